"""Step 6, dispatch: queued jobs go to the machines. After a crash anywhere the token tells what happened (intents.py).

What may go where is placing.py's, the durable intent submissions.py's, the launch itself launches.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from db import attempts, bundled, health, jobs, limits
from db.attempts import StoredAttempt
from db.jobs import StoredJob
from db.launching import Launching
from db.slices import took
from jobs.bundles import at_once
from jobs.errors import BadInput
from jobs.words import AttemptState, BackendName
from orchestrator.settings import hours
from orchestrator.supervision import sliced
from orchestrator.supervision.backends import Backends
from orchestrator.supervision.canaries import Canaries
from orchestrator.supervision.cycle import Cycle
from orchestrator.supervision.handover import live_attempt, queued_job
from orchestrator.supervision.launches import Launches
from orchestrator.supervision.placing import Placement, place, within
from orchestrator.supervision.slicing import SlicePlan
from orchestrator.supervision.submissions import intend
from orchestrator.supervision.tenure import Tenure
from orchestrator.terms import as_sent
from slurm.backend import Backend
from slurm.pools import Pools

MOST_AT_ONCE = {BackendName.LOCAL: 256, BackendName.SLURM: 5000}
"""How many queued jobs are looked at in one cycle: a host has few slots, an array takes many."""
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class Dispatcher:
    """Plans with the backends, writes intents and hands them to the launches."""

    def __init__(self, tenure: Tenure, backends: Backends, launches: Launches) -> None:
        self._tenure = tenure
        self._backends = backends
        self._launches = launches
        self._canaries = Canaries(tenure)

    def dispatch(self, observe: Sequence[BackendName], cycle: Cycle) -> None:
        """Send what can go now, to the machines that are asked now."""
        tenure = self._tenure
        now = tenure.clock.now()
        behind = {canary.job: canary.behind for canary in self._canaries.release(cycle)}
        with tenure.store.read() as connection:
            live = tenure.live(connection)
            limited = limits.limited(connection)
            queued = {name: jobs.dispatchable(connection, name, now, MOST_AT_ONCE[name], limited) for name in observe}
            failed_on = attempts.failed_nodes(connection)
            strikes = health.strikes(connection, now - hours(tenure.settings.nodes.strike_hours))
            # What is put off waits for a node as well: without it, a stop would come and go with every backoff.
            later = dict(queued)
            if strikes:
                stopped = [one for one in limited if one.stopped]
                later = {
                    name: jobs.dispatchable(connection, name, END_OF_TIME, MOST_AT_ONCE[name], stopped)
                    for name in observe
                }
        room = {one.study: one.room for one in limited if one.room is not None}
        for name in observe:
            running = [attempt for attempt in live if attempt.backend == name]
            if name == BackendName.SLURM:
                later[name], queued[name] = self._as_sent(later[name], queued[name], cycle, behind)
            if not later[name] and not running:
                continue
            with self._backends.asking(name, cycle) as backend:
                pools = backend.pools() if strikes or failed_on else Pools()
                placement = place(later[name], queued[name], strikes, failed_on, pools, now, tenure.settings.nodes)
                cycle.held += len(placement.held) + sum(behind.get(job, 0) for job in placement.held)
                cycle.going += len(later[name]) - len(placement.held)
                cycle.stopped.update(placement.stopped)
                if running and name == BackendName.SLURM:
                    backend.avoid([live_attempt(a) for a in running if not a.doomed], placement.exclude)
                cycle.changed |= self._send(backend, placement, running, room) > 0

    def _as_sent(
        self, later: Sequence[StoredJob], now_due: Sequence[StoredJob], cycle: Cycle, behind: Mapping[int, int]
    ) -> tuple[list[StoredJob], list[StoredJob]]:
        """These jobs under orch.toml as it stands now. Those with which it makes no sense wait until it is mended.

        `behind`: canary → how many wait for it.
        """
        made: dict[int, Launching | None] = {}
        for job in later:
            if job.launch not in made:
                try:
                    made[job.launch] = as_sent(job.launching, self._tenure.slurm())
                except BadInput as error:
                    made[job.launch] = None
                    cycle.stopped["orch.toml"] = str(error)
        cycle.held += sum(1 + behind.get(job.id, 0) for job in later if made[job.launch] is None)
        found = [
            [replace(job, launching=how) for job in jobs if (how := made.get(job.launch)) is not None]
            for jobs in (later, now_due)
        ]
        return found[0], found[1]

    def _send(self, backend: Backend, placement: Placement, live: Sequence[StoredAttempt], room: dict[str, int]) -> int:
        """The number of jobs that are sent. `room`: study → how many more of it may be sent, where that is limited."""
        queued = within(placement.going, room)
        if not queued or self._launches.paused(backend.name):
            return 0
        with self._tenure.store.read() as connection:
            alone = attempts.crowded_out(connection)
            plans, learnt = dict[int, SlicePlan](), dict[int, float]()
            if backend.name == BackendName.SLURM:
                alone |= bundled.sent_back(connection)
                plans = sliced.plans(connection, queued)
                known = took(connection, [job.id for job in queued if at_once(job.launching.options) > 1])
                learnt = {job: max((seconds for seconds, _ in runs), default=0.0) for job, runs in known.items()}
        level = max([0, queued[0].priority, *(one.priority for one in live if one.state is AttemptState.SUBMITTED)])
        wanted = [
            queued_job(
                job,
                placement.avoid.get(job.id, frozenset()),
                alone=job.id in alone,
                level=level,
                plan=plans.get(job.id),
                learnt=learnt.get(job.id, 0.0),
            )
            for job in queued
        ]
        batches = backend.plan(wanted, [live_attempt(attempt) for attempt in live], placement.exclude)
        by_id = {job.id: replace(job, launching=self._tenure.with_secrets(job.launching)) for job in queued}
        submissions = intend(self._tenure, backend.name, batches, by_id, placement.exclude)
        self._launches.add(backend.name, submissions)
        self._launches.go_on()
        for submission in submissions:
            for task in submission.manifest.tasks:
                if by_id[task.job].study in room:
                    room[by_id[task.job].study] -= 1
        return sum(len(submission.manifest.tasks) for submission in submissions)
