"""The local backend: workers in slots of this host's GPUs or cores, each in a session of its own (docs/local.md).

A worker needs nothing of the supervisor: it goes on when that dies, and the next one finds it again by its record, its
pid and start, or the token in its environment.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jobs import endings
from jobs.files import read_json, write_json
from jobs.layout import Layout
from jobs.records import Started
from jobs.words import BackendName, Cause
from slurm import processes
from slurm.backend import (
    AttemptKey,
    Batch,
    LaunchRefused,
    LaunchUncertain,
    LiveAttempt,
    Observation,
    Phase,
    QueuedJob,
    Submission,
)
from slurm.gpulocks import GpuLocks
from slurm.host import Host
from slurm.local_record import LocalRecord, describe, printed, record_path, time_limit
from slurm.local_worker import Worker
from slurm.pools import Pools
from slurm.slots import CPU, Plan, Share, parse_slot, plan, slot_name

GRACE_SECONDS = 30.0
"""From USR2 to TERM and from TERM to KILL; the worker gives a user's program 25 s of it."""
NO_START = 0
"""The start of a worker that has ended, where it is not known: no process of now has it."""
WAKE_SECONDS = 0.1
"""How often a wake-up file is looked at."""


class LocalBackend:
    """`slurm.backend.Backend` on this host. Used by one thread, the supervisor's loop."""

    name = BackendName.LOCAL

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
        self.workers: dict[str, Worker] = {}
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
        return plan(queued, self.host.look(taken, with_gpus=wants_gpu), exclude)

    def launch(self, submission: Submission) -> str:
        """Start the worker; its pid. The slot's GPUs are locked, and the lock is the worker's from the start."""
        if submission.batch.slot is None:
            raise LaunchRefused(f"submission {submission.token} has no slot: plan it first")
        from slurm import local_executor  # submitit

        oom_kills = endings.oom_kills()
        shares = [share for share in parse_slot(submission.batch.slot) if share.device != CPU]
        with contextlib.ExitStack() as stack:
            held: list[tuple[int, Share]] = []
            for share in shares:
                handle = self.locks.acquire(self.host.key(share.device), share, submission.token)
                stack.callback(os.close, handle)
                held.append((handle, share))
            task = self._task(submission)
            child = local_executor.start(submission, task, self.environ, [handle for handle, _ in held])
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
        return str(child.pid)

    def _task(self, submission: Submission) -> Callable[[], object]:
        from jobs.worker import Task

        return Task(str(submission.folder))

    def find(self, intents: Sequence[Submission]) -> dict[str, str]:
        """By its record, else by its token in some environment (and then it is recorded), else by started.json."""
        found: dict[str, str] = {}
        unknown: list[Submission] = []
        for intent in intents:
            worker = self._known(intent.token)
            if worker is not None:
                found[intent.token] = str(worker.record.pid)
            else:
                unknown.append(intent)
        leaders = processes.leaders(intent.token for intent in unknown)
        for intent in unknown:
            leader = leaders.get(intent.token)
            if leader is not None:
                minutes = time_limit(intent.batch.jobs[0].options)
                record: LocalRecord | None = describe(intent.token, leader, intent.batch.slot or "", minutes=minutes)
            else:
                record = self._by_its_own_word(intent)
            if record is not None:
                self._adopt(record)
                with contextlib.suppress(OSError):  # a full disk: it is found again in the same way
                    write_json(record_path(intent.folder), record)
                found[intent.token] = str(record.pid)
        return found

    def _by_its_own_word(self, intent: Submission) -> LocalRecord | None:
        """From started.json, where a worker came that far and has ended since: nothing carries its token any more."""
        for task in intent.manifest.tasks:
            for folder in self.layout.executions(task.job, task.attempt):
                started = read_json(folder / "started.json", Started)
                if started is not None and started.token == intent.token:
                    return LocalRecord(
                        token=intent.token,
                        host=started.host,
                        boot_id=started.boot_id,
                        pid=started.pid,
                        start=NO_START,
                        slot=intent.batch.slot or "",
                    )
        return None

    def observe(self, live: Sequence[LiveAttempt]) -> dict[AttemptKey, Observation]:
        """Look at all workers, and carry on with ending those that were cancelled, timed out, or left children."""
        wanted = {attempt.token for attempt in live}
        self._find_unrecorded(live)
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

    def cancel(self, live: Sequence[LiveAttempt]) -> None:
        """TERM to the workers at once; `observe` follows with TERM to what they leave, and KILL after the grace."""
        self._find_unrecorded(live)
        chosen = [
            worker
            for attempt in live
            if (worker := self._known(attempt.token)) and worker.ended is None and worker.record.is_here
        ]
        for worker in chosen:
            worker.intent = worker.intent or Cause.CANCELLED
            worker.look(None)
        self._end(chosen)

    def avoid(self, live: Sequence[LiveAttempt], exclude: frozenset[str]) -> None:
        """Nothing to do: nothing is pending here, and `plan` places no job on a device that is struck out."""

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

    # ---- what is known of workers

    def _known(self, token: str) -> Worker | None:
        worker = self.workers.get(token)
        if worker is None:
            record = read_json(record_path(self.layout.submission(token)), LocalRecord)
            if record is not None:
                worker = self._adopt(record)
        return worker

    def _adopt(self, record: LocalRecord) -> Worker:
        return self.workers.setdefault(record.token, Worker(record, None))

    def _find_unrecorded(self, live: Sequence[LiveAttempt]) -> None:
        """Adopt the workers of attempts that have no record, by their tokens."""
        unknown = [attempt for attempt in live if self._known(attempt.token) is None]
        leaders = processes.leaders(attempt.token for attempt in unknown)
        for attempt in unknown:
            leader = leaders.get(attempt.token)
            slot = attempt.slot or ""
            if leader is not None:
                self._adopt(describe(attempt.token, leader, slot))
            elif attempt.pid is not None and attempt.boot_id is not None:  # it had started, and runs no more
                self._adopt(
                    LocalRecord(
                        token=attempt.token,
                        host=attempt.node or socket.gethostname(),
                        boot_id=attempt.boot_id,
                        pid=attempt.pid,
                        start=NO_START,
                        slot=slot,
                    )
                )

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
        if record.host == socket.gethostname() and record.boot_id != processes.boot_id():
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
