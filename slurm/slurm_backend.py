"""The SLURM backend: submitit launches, and what SLURM says is observed in one squeue a cycle (docs/slurm.md).

What it keeps in memory only saves questions: a new one takes over from the store and the queue alone.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.files import now, read_json, write_json
from jobs.layout import Layout, restart_of
from jobs.words import BackendName
from slurm import arrays, causes, reasons, sacct, squeue, states, updates
from slurm.backend import (
    AttemptKey,
    Batch,
    LaunchUncertain,
    LimitReached,
    LiveAttempt,
    Observation,
    ObservationFailed,
    Phase,
    QueuedJob,
    Submission,
)
from slurm.commands import CommandFailed, Commands
from slurm.machines import Machines
from slurm.pools import Pools
from slurm.queue import Queue
from slurm.requeues import Requeues
from slurm.rows import Row

if TYPE_CHECKING:
    from slurm.sbatch import LaunchSettings

log = logging.getLogger(__name__)

CLOCKS_DIFFER = timedelta(minutes=2)
LOG_TAIL = 64 * 1024
"""Bytes of a log in which the cause of an ending is looked for."""
IDS_AT_ONCE = 200
RELEASED_AGAIN_S = 60.0
"""A job that SLURM holds anew after a release has this long until the next."""


class SlurmBackend:
    """`slurm.backend.Backend` on a SLURM cluster. Used by one thread, the supervisor's loop."""

    name = BackendName.SLURM

    def __init__(
        self,
        layout: Layout,
        *,
        commands: Commands | None = None,
        settings: LaunchSettings | None = None,
    ) -> None:
        self.layout = layout
        self.commands = commands or Commands()
        self.settings = settings
        self.machines = Machines(self.commands)
        self.requeues = Requeues()
        self._limit = arrays.SubmitLimit()
        self._tasks = 0
        self._queue: Queue | None = None
        self._released: dict[AttemptKey, float] = {}
        self._avoided: tuple[frozenset[str], int] | None = None

    # ---- launching

    def plan(self, queued: Sequence[QueuedJob], live: Sequence[LiveAttempt], exclude: frozenset[str]) -> list[Batch]:
        """Arrays of jobs that ask for the same, as many as a submit limit that was met lets through."""
        self._tasks = len(live)
        if not queued:
            return []
        return arrays.group(queued, self.machines.max_array(), self._limit.room(self._tasks, now()))

    def launch(self, submission: Submission) -> str:
        """One sbatch by submitit. Returns the id of the job or array."""
        from slurm import sbatch

        count = len(submission.batch.jobs)
        own = sbatch.own_exclude(submission.batch.jobs[0])
        exclude = self.machines.known(submission.exclude)
        self.commands.counts["sbatch"] += 1
        try:
            sbatch.ensure_pickle(submission.folder)
            write_json(self._own_exclude_file(submission.token), sorted(own), durable=False)
            job = sbatch.submit(submission, exclude, self.settings or sbatch.LaunchSettings())
        except LimitReached:
            self._limit = self._limit.refuse(self._tasks + count, now())
            raise
        except OSError as error:
            raise LaunchUncertain(f"the files of submission {submission.token} could not be written: {error}") from None
        self._tasks += count
        self._limit = self._limit.accept(self._tasks, now())
        return job

    def find(self, intents: Sequence[Submission]) -> dict[str, str]:
        """Ids of those that did start, looked up by name in the queue and in the records."""
        from slurm import sbatch

        if not intents:
            return {}
        rows = list(self._read_queue().rows)
        missing = {intent.token for intent in intents} - {row.name for row in rows}
        if missing:
            since = min(intent.manifest.created_at for intent in intents) - CLOCKS_DIFFER
            records = self.machines.records(sacct.by_name(some, since) for some in _chunks(sorted(missing)))
            if records is None and self.machines.has_accounting():
                raise ObservationFailed("SLURM's records could not be read, so nobody knows what was submitted")
            rows += records or []
        found: dict[str, str] = {}
        for intent in intents:
            mine = [row for row in rows if row.name == intent.token]
            if mine:
                alive = [row for row in mine if states.phase_of_row(row) is not Phase.ENDED]
                found[intent.token] = min((row.job for row in alive or mine), key=int)
                sbatch.ensure_pickle(intent.folder)
        return found

    # ---- observing

    def observe(self, live: Sequence[LiveAttempt]) -> dict[AttemptKey, Observation]:
        """One squeue; one sacct where an attempt left the queue, was requeued or was cancelled by somebody."""
        if not live:
            return {}
        queue = self._read_queue()
        rows = {attempt.key: queue.row(attempt) for attempt in live}
        for attempt in live:
            row = rows[attempt.key]
            if row is not None and states.phase_of_row(row) is not Phase.ENDED:
                self.requeues.note(attempt, row)
        self.requeues.forget_all_but(rows.keys())
        node_states = self.machines.node_states(self.requeues.nodes())
        records = self._records(live, rows)
        found: dict[AttemptKey, Observation] = {}
        for attempt in live:
            row = rows[attempt.key]
            if row is not None:
                found[attempt.key] = self._in_queue(attempt, row, node_states, records)
            elif records is not None or not self.machines.has_accounting():
                found[attempt.key] = self._gone(attempt, records)
        return found

    def _read_queue(self) -> Queue:
        try:
            self._queue = Queue(squeue.parse(self.commands.ask(squeue.arguments())))
        except CommandFailed as error:
            raise ObservationFailed(f"SLURM's queue could not be read: {error}") from None
        return self._queue

    def _records(self, live: Sequence[LiveAttempt], rows: Mapping[AttemptKey, Row | None]) -> Queue | None:
        """The records of those that need them; None where accounting cannot say."""
        wanted = set()
        for attempt in live:
            row = rows[attempt.key]
            if row is None:
                wanted.update({attempt.native_id} - {None})
            elif row.state == "CANCELLED" or self.requeues.open(attempt.key):
                wanted.add(row.job)
        ids = sorted((job for job in wanted if job), key=int)
        if not ids:
            return Queue([])
        found = self.machines.records(sacct.by_id(some) for some in _chunks(ids))
        return None if found is None else Queue(found)

    def _in_queue(
        self, attempt: LiveAttempt, row: Row, node_states: Mapping[str, str], records: Queue | None
    ) -> Observation:
        phase = states.phase_of_row(row)
        runs = None if records is None else records.runs(attempt)
        if phase is Phase.ENDED:
            if row.state == "CANCELLED" and runs and runs[-1].cancelled_by is not None:
                row = replace(row, cancelled_by=runs[-1].cancelled_by)
            return self._ended(attempt, row)
        return Observation(
            phase=phase,
            node=row.node or None,
            reason=reasons.in_words(row.reason) if phase in (Phase.PENDING, Phase.HELD) else "",
            restarts=row.restarts,
            previous=self.requeues.explain(attempt.key, node_states, runs),
        )

    def _gone(self, attempt: LiveAttempt, records: Queue | None) -> Observation:
        """An attempt that the queue does not know: what the records say of its newest run."""
        runs = [] if records is None else records.runs(attempt)
        if not runs:
            return Observation(phase=Phase.ABSENT, evidence=("SLURM knows it neither in its queue nor in its records",))
        last = runs[-1]
        if states.phase_of_row(last) is Phase.ENDED:
            return self._ended(attempt, replace(last, restarts=len(runs) - 1))
        return Observation(phase=Phase.ABSENT, evidence=(f"{last.line()}; but it is not in the queue any more",))

    def _ended(self, attempt: LiveAttempt, row: Row) -> Observation:
        verdict = causes.judge(row, self._printed(attempt, row) if row.state in ("FAILED", "COMPLETED") else "")
        return Observation(
            phase=Phase.ENDED,
            node=row.node or None,
            cause=verdict.cause,
            evidence=verdict.evidence,
            restarts=row.restarts,
        )

    def _printed(self, attempt: LiveAttempt, row: Row) -> str:
        """The end of submitit's log, and of what this very run printed after it."""
        text = _tail(self.layout.submission(attempt.token) / "submitit" / f"{row.id}_0_log.out")
        runs: list[Path] = []
        with contextlib.suppress(OSError):  # a folder that does not answer now: the record alone must do
            runs = self.layout.executions(attempt.job, attempt.attempt)
        for folder in [path for path in runs if restart_of(path.name) == (row.restarts or 0)][-1:]:
            text += "\n" + _tail(folder / "stderr")
        return text

    def pools(self) -> Pools:
        """The partitions with all their nodes, at most a minute old."""
        return self.machines.pools()

    # ---- changing

    def cancel(self, live: Sequence[LiveAttempt]) -> None:
        """scancel running, waiting and single array tasks, many in one call."""
        together: dict[tuple[str, str | None], list[LiveAttempt]] = {}
        for attempt in live:
            together.setdefault((attempt.token, attempt.native_id), []).append(attempt)
        ids: list[str] = []
        names: list[str] = []
        for (token, job), attempts in together.items():
            whole = len({attempt.index for attempt in attempts}) == attempts[0].size
            if job is None:
                names += [token] if whole else []
            elif whole:
                ids.append(job)
            else:
                ids += [f"{job}_{attempt.index}" for attempt in attempts]
        for some in _chunks(ids):
            self._tell(["scancel", *some])
        for some in _chunks(names):
            self._tell(["scancel", "--name", ",".join(some)])

    def avoid(self, live: Sequence[LiveAttempt], exclude: frozenset[str]) -> None:
        """Merge bad nodes into ExcNodeList of what waits, and start at once what waits since its node failed.

        What SLURM itself holds after a failed launch is released; holds by people stay.
        Asks the queue anew only where the nodes changed or something was requeued: what was launched since has them.
        """
        queue = self._queue or self._read_queue()
        waiting = [
            (attempt, row)
            for attempt in live
            if (row := queue.row(attempt)) and states.phase_of_row(row) in (Phase.PENDING, Phase.HELD)
        ]
        known = self.machines.known(exclude)
        if waiting and self._avoided != (known, self.requeues.seen if known else 0):
            self._exclude([(row.job, attempt.token) for attempt, row in waiting], known)
        soon = [
            row.id
            for attempt, row in waiting
            if row.reason == "BeginTime" and (attempt.key in self.requeues.of_bad_nodes or attempt.node in known)
        ]
        for some in _chunks(soon):
            self._tell(["scontrol", "update", f"jobid={','.join(some)}", "StartTime=now"])
        self._release([(attempt.key, row) for attempt, row in waiting])

    def _exclude(self, submissions: Sequence[tuple[str, str]], known: frozenset[str]) -> None:
        seen = self.requeues.seen
        try:
            waiting = updates.parse(self.commands.ask(updates.arguments()))
        except CommandFailed as error:
            raise ObservationFailed(f"SLURM's queue could not be read: {error}") from None
        wanted = {(job, token): known | self._own_exclude(token) for job, token in set(submissions)}
        went_well = True
        for nodes, ids in updates.exclusions(waiting, wanted).items():
            for some in _chunks(ids):
                went_well &= self._tell(["scontrol", "update", f"jobid={','.join(some)}", f"ExcNodeList={nodes}"])
        if went_well:
            self._avoided = (known, seen if known else 0)
        else:
            self.machines.forget_pools()  # perhaps a node is gone

    def _release(self, waiting: Sequence[tuple[AttemptKey, Row]]) -> None:
        present = time.monotonic()
        held = {key: row.id for key, row in waiting if states.held_for_launch(row.reason)}
        ready = [key for key in held if present - self._released.get(key, -RELEASED_AGAIN_S) >= RELEASED_AGAIN_S]
        for some in _chunks([held[key] for key in ready]):
            self._tell(["scontrol", "release", ",".join(some)])
        self._released = {key: at for key, at in self._released.items() if key in held} | dict.fromkeys(ready, present)

    def _tell(self, arguments: list[str]) -> bool:
        """Whether nobody complained. Raises ObservationFailed where SLURM did not answer."""
        try:
            reply = self.commands.run(arguments)
        except CommandFailed as error:
            raise ObservationFailed(str(error)) from None
        if reply.code == 0:
            return True
        bad = updates.complaints(reply.err + "\n" + reply.out)
        if any("contact" in line or "timed out" in line for line in bad):
            raise ObservationFailed(f"`{arguments[0]}` got no answer: {bad[0].strip()}")
        for line in bad:
            log.warning("%s: %s", " ".join(arguments[:2]), line.strip())
        return not bad

    def _own_exclude_file(self, token: str) -> Path:
        return self.layout.submission(token) / "submitit" / "exclude.json"

    def _own_exclude(self, token: str) -> frozenset[str]:
        return frozenset(read_json(self._own_exclude_file(token), list[str]) or ())


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), IDS_AT_ONCE):
        yield items[start : start + IDS_AT_ONCE]


def _tail(path: Path) -> str:
    """The end of a file; nothing where it is not there (yet)."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, handle.seek(0, 2) - LOG_TAIL))
            return handle.read().decode(errors="replace")
    except OSError:
        return ""
