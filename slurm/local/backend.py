"""The local backend: workers in slots of this host's GPUs or cores, each in a session of its own (docs/local.md).

A worker needs nothing of the supervisor: it goes on when that dies, and the next one finds it again by its record, its
pid and start, or the token in its environment.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jobs import hosts
from jobs.files import write_json
from jobs.layout import Layout
from jobs.node import endings
from jobs.resources import InQueue
from jobs.words import BackendName, Cause
from slurm.backend import (
    AttemptKey,
    Batch,
    Launched,
    LaunchRefused,
    LaunchUncertain,
    LiveAttempt,
    Observation,
    Phase,
    QueuedJob,
    Standing,
    Submission,
)
from slurm.local import processes
from slurm.local.gpulocks import GpuLocks
from slurm.local.host import Host
from slurm.local.record import describe, printed, record_path, time_limit
from slurm.local.roster import Roster
from slurm.local.slots import CPU, Plan, Share, parse_slot, plan, slot_name
from slurm.local.worker import Worker
from slurm.pools import Pools

GRACE_SECONDS = 30.0
"""From USR2 to TERM and from TERM to KILL; the worker gives a user's program 25 s of it."""
WAKE_SECONDS = 0.1
"""How often a wake-up file is looked at."""


class LocalBackend:
    """`slurm.backend.Backend` on this host. Used by one thread, the supervisor's loop."""

    name = BackendName.LOCAL
    launch_seconds = 0.0

    def __init__(
        self,
        layout: Layout,
        *,
        jobs_per_gpu: int = 1,
        cpu_slots: int | None = None,
        gpus: Sequence[str] | None = None,
        grace: float = GRACE_SECONDS,
        environ: Mapping[str, str] | None = None,
        locks: GpuLocks | None = None,
    ) -> None:
        """`cpu_slots` None: as many as the cores hold. `gpus`: names to use instead of CUDA_VISIBLE_DEVICES."""
        self.layout = layout
        self.grace = grace
        self.environ = dict(os.environ if environ is None else environ)
        self.locks = locks or GpuLocks()
        variable = self.environ.get("CUDA_VISIBLE_DEVICES") if gpus is None else ",".join(gpus)
        self.host = Host(self.locks, variable, jobs_per_gpu=jobs_per_gpu, cpu_slots=cpu_slots)
        self.roster = Roster(layout)
        self._told: set[str] = set()
        self.workers = self.roster.workers
        self._wake_seen: tuple[int, int, int] | None = None

    def plan(self, queued: Sequence[QueuedJob], live: Sequence[LiveAttempt], exclude: frozenset[str]) -> list[Batch]:
        """One batch a job, with its slot."""
        placed = self._plan(queued, live, exclude).placed
        return [Batch(jobs=(job,), slot=slot_name(placed[job.job])) for job in queued if job.job in placed]

    def waiting(
        self, queued: Sequence[QueuedJob], live: Sequence[LiveAttempt], exclude: frozenset[str]
    ) -> dict[int, str]:
        """Job → why it cannot go now, in words (`orch explain`)."""
        return self._plan(queued, live, exclude).waiting

    def _plan(self, queued: Sequence[QueuedJob], live: Sequence[LiveAttempt], exclude: frozenset[str]) -> Plan:
        if not queued:
            return Plan({}, {})
        slots = {attempt.token: attempt.slot for attempt in live if attempt.slot}
        for token, worker in self.workers.items():  # an ended attempt's slot is free when its whole group is gone
            if worker.ended is None and worker.record.slot and worker.record.is_here:
                slots.setdefault(token, worker.record.slot)
        taken = {token: parse_slot(slot) for token, slot in slots.items()}
        wants_gpu = any(job.resources.gpus > 0 and job.device != "cpu" for job in queued)
        machine = self.host.look(taken, with_gpus=wants_gpu)
        for text in set(self.locks.oddities.values()) - self._told:
            self._told.add(text)
            print(f"orch: {text}", file=sys.stderr, flush=True)
        return plan(queued, machine, exclude)

    def launch(self, submission: Submission) -> Launched:
        """Start the worker (its id: its pid). The slot's GPUs are locked, and the lock is the worker's at once."""
        if submission.batch.slot is None:
            raise LaunchRefused(f"submission {submission.token} has no slot: plan it first")
        from slurm.local import executor  # submitit

        oom_kills = endings.oom_kills()
        shares = [share for share in parse_slot(submission.batch.slot) if share.device != CPU]
        with contextlib.ExitStack() as stack:
            held: list[tuple[int, Share]] = []
            for share in shares:
                handle = self.locks.acquire(self.host.key(share.device), share, submission.token)
                stack.callback(os.close, handle)
                held.append((handle, share))
            task = self._task(submission)
            child = executor.start(submission, task, self.environ, [handle for handle, _ in held])
            found = processes.process(child.pid)  # there even if it has ended: nobody else reaps our child
            if found is None:
                raise LaunchUncertain(f"worker {child.pid} of submission {submission.token} is not seen in /proc")
            minutes = time_limit(submission.batch.jobs[0].options)
            record = describe(submission.token, found, submission.batch.slot, minutes=minutes, oom_kills=oom_kills)
            worker = Worker(record, child)
            worker.look(oom_kills)
            self.workers[submission.token] = worker
            try:
                for handle, share in held:
                    self.locks.started(handle, share, submission.token, found.pid, found.start)
                write_json(record_path(submission.folder), worker.record)
            except OSError as error:
                text = f"worker {child.pid} runs, but cannot be recorded ({error.strerror}): it is found by its token"
                raise LaunchUncertain(text) from None
        return Launched(str(child.pid))

    def _task(self, submission: Submission) -> Callable[[], object]:
        from jobs.node.worker import Task

        return Task(str(submission.folder))

    def find(self, intents: Sequence[Submission]) -> dict[str, str]:
        """By its record, else by its token in some environment (and then it is recorded), else by started.json."""
        return self.roster.find(intents)

    def observe(self, live: Sequence[LiveAttempt]) -> dict[AttemptKey, Observation]:
        """Look at all workers, and carry on with ending those that were cancelled, timed out, or left children."""
        wanted = {attempt.token for attempt in live}
        self.roster.find_unrecorded(live)
        before = endings.oom_kills()
        look = [worker for worker in self.workers.values() if worker.ended is None and worker.record.is_here]
        for worker in look:
            worker.look(before)
        self._end([worker for worker in look if worker.must_end(self.grace)])
        self._judge([worker for worker in look if not worker.running and not worker.left])
        for token, worker in list(self.workers.items()):
            if token not in wanted and (worker.ended is not None or not worker.record.is_here):
                del self.workers[token]
        return {attempt.key: self._observation(attempt) for attempt in live}

    def others(self, live: Sequence[LiveAttempt]) -> list[tuple[str, int, bool]]:
        """Nothing: a host begins no job again."""
        return []

    def cancel(self, live: Sequence[LiveAttempt]) -> None:
        """TERM to the workers at once; `observe` follows with TERM to what they leave, and KILL after the grace."""
        self.roster.find_unrecorded(live)
        chosen = [
            worker
            for attempt in live
            if (worker := self.roster.of(attempt.token)) and worker.ended is None and worker.record.is_here
        ]
        for worker in chosen:
            worker.intent = worker.intent or Cause.CANCELLED
            worker.look(None)
        self._end(chosen)

    def avoid(self, live: Sequence[LiveAttempt], exclude: frozenset[str]) -> None:
        """Nothing to do: nothing is pending here, and `plan` places no job on a device that is struck out."""

    def standing(self, live: Sequence[LiveAttempt]) -> dict[AttemptKey, Standing]:
        """Nothing: what has a slot runs."""
        return {}

    def alter(self, wanted: Sequence[tuple[LiveAttempt, InQueue]]) -> None:
        """Nothing to do: nothing waits here."""

    def pools(self) -> Pools:
        """One pool: this host's GPUs, or the host itself where there are none."""
        found = self.host.devices()
        return Pools(partitions={"local": frozenset(gpu.name for gpu in found) or frozenset([socket.gethostname()])})

    def wait(self, timeout: float, wake: Path | None = None) -> bool:
        """Sleep until a worker ends, something here falls due, or `wake` changes; False where only the time passed.

        Call `observe` after it: an end that was not looked at ends the next sleep at once. So does a change of `wake`
        since the last call: none is lost while the caller is busy.
        """
        now = time.monotonic()
        end = now + timeout
        due = min(
            (worker.due(self.grace) for worker in self.workers.values() if worker.ended is None), default=float("inf")
        )
        poll = select.poll()
        for worker in self.workers.values():
            if worker.ended is None and worker.watch is not None:
                poll.register(worker.watch, select.POLLIN)
        while True:
            left = min(end, due) - time.monotonic()
            pause = min(left, WAKE_SECONDS) if wake is not None else left
            ended = poll.poll(max(0.0, pause) * 1000)
            seen, self._wake_seen = self._wake_seen, _stamp(wake)
            if ended or seen != self._wake_seen:
                return True
            if time.monotonic() >= min(end, due):
                return due <= end

    # ---- endings

    def _end(self, workers: Sequence[Worker]) -> None:
        members = processes.members([worker.group for worker in workers])
        for worker in workers:
            worker.end(members[worker.record.token], self.grace)

    def _judge(self, gone: Sequence[Worker]) -> None:
        """Say how those ended whose whole group is gone.

        The kernel counts kills for memory but not whose: so that count is believed only where it accounts for every
        worker that a KILL of others ended since the last look.
        """
        after = endings.oom_kills()
        killed = sum(worker.killed_by_others for worker in gone)
        for worker in gone:
            token = worker.record.token
            worker.judge(after, killed, printed(self.layout.submission(token), token))

    def _observation(self, attempt: LiveAttempt) -> Observation:
        worker = self.workers.get(attempt.token)
        if worker is None:
            return Observation(phase=Phase.ABSENT, reason="no process carries its token")
        record = worker.record
        if record.is_here:
            return worker.observation()
        if record.host == socket.gethostname() and record.boot_id != hosts.boot_id():
            text = f"worker {record.pid} was started in an earlier boot of {record.host}"
            return Observation(phase=Phase.ENDED, node=record.host, cause=Cause.NODE_FAILURE, evidence=(text,))
        reason = f"it was started on {record.host}, in another host or container: run orch supervise there to see it"
        return Observation(phase=Phase.ABSENT, node=record.host, reason=reason)


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino
