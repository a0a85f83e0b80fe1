"""Sending queued jobs to the machines: the intent is durable before anything is launched.

Order: job.json, manifest, then Dispatch in the journal and the database, then the launch. After a crash anywhere the
token tells whether the launch happened (`resolve`).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from db import attempts, jobs, lease, results
from db.attempts import Intent, StoredAttempt
from db.entries import Dispatch, DispatchedTask, Ended, Entry
from db.jobs import StoredJob
from db.store import Store
from jobs.errors import StoreError
from jobs.files import names, read_json, write_bytes, write_json
from jobs.kind import Resources, kind_named
from jobs.layout import Layout
from jobs.records import JobFile, Manifest, Started, Task
from jobs.words import AttemptState, BackendName, Cause, JobState
from orchestrator.clock import Clock
from slurm.backend import (
    Backend,
    Batch,
    LaunchRefused,
    LaunchUncertain,
    LimitReached,
    LiveAttempt,
    ObservationFailed,
    QueuedJob,
    Submission,
)

LIMIT_PAUSE_SECONDS = 5.0
MISSES_NEEDED = 2
MISS_SPACING = timedelta(seconds=60)
"""A launch is believed not to have happened after two good queries this far apart."""
MOST_AT_ONCE = {BackendName.LOCAL: 256, BackendName.SLURM: 5000}
"""How many queued jobs are looked at in one cycle: a host has few slots, an array takes many."""


def live_attempt(attempt: StoredAttempt) -> LiveAttempt:
    """An attempt as a backend is told of it."""
    return LiveAttempt(
        job=attempt.job,
        attempt=attempt.number,
        token=attempt.token,
        index=attempt.position,
        size=attempt.size,
        native_id=attempt.native_id,
        slot=attempt.slot,
        running=attempt.state == "running",
        submitted_at=attempt.created_at,
        node=attempt.node,
        pid=attempt.pid,
        process_start=attempt.process_start,
        boot_id=attempt.boot_id,
    )


def resources_of(job: StoredJob) -> Resources:
    """What the job asks for now (memory may have been raised)."""
    wanted = job.launching.resources
    return msgspec.structs.replace(wanted, memory_mb=job.memory_mb) if job.memory_mb else wanted


def queued_job(job: StoredJob, avoid: frozenset[str], *, alone: bool) -> QueuedJob:
    """A queued job as a backend is told of it; `alone`: it shares its GPU with no other job of ours."""
    return QueuedJob(
        job=job.id,
        resources=resources_of(job),
        device=job.launching.device,
        checkpoints=kind_named(job.kind).checkpoints,
        options={**job.launching.options, "jobs_per_gpu": 1} if alone else job.launching.options,
        avoid=avoid,
    )


def job_file(job: StoredJob) -> JobFile:
    """The job as workers read it."""
    launching = job.launching
    return JobFile(
        id=job.id,
        study=job.study,
        kind=job.kind,
        kind_version=job.kind_version,
        seed=job.seed,
        config=job.config,
        preset=job.preset,
        key=job.key,
        needs=job.needs,
        device=launching.device,
        resources=launching.resources,
        cwd=launching.cwd,
        data_dir=launching.data_dir,
        fingerprint=launching.fingerprint,
        options=launching.options,
        created_at=job.created_at,
    )


class Dispatcher:
    """Plans with the backends, writes intents, launches, and finds out what became of unclear launches."""

    def __init__(self, store: Store, lease: int, clock: Clock) -> None:
        self.store = store
        self.layout: Layout = store.layout
        self.lease = lease
        self.clock = clock
        self._paused: dict[str, float] = {}

    def dispatch(
        self,
        backend: Backend,
        queued: Sequence[StoredJob],
        live: Sequence[StoredAttempt],
        exclude: frozenset[str],
        avoid: dict[int, frozenset[str]],
    ) -> int:
        """Send what can go now; the number of jobs sent."""
        if not queued or self.clock.monotonic() < self._paused.get(backend.name, 0.0):
            return 0
        by_id = {job.id: job for job in queued}
        with self.store.read() as connection:
            alone = attempts.crowded_out(connection)
        wanted = [queued_job(job, avoid.get(job.id, frozenset()), alone=job.id in alone) for job in queued]
        batches = backend.plan(wanted, [live_attempt(attempt) for attempt in live], exclude)
        submissions = self._intend(backend, batches, by_id, exclude)
        sent = 0
        for position, submission in enumerate(submissions):
            # Whoever was overtaken while it stalled must not launch what its successor may have given up.
            lease.check(self.store, self.lease)
            try:
                native = backend.launch(submission)
            except LimitReached as error:
                self._paused[backend.name] = self.clock.monotonic() + LIMIT_PAUSE_SECONDS
                self._withdraw(submissions[position:], f"waits: {error}")
                break
            except LaunchRefused as error:
                self._refuse(submission, str(error))
                continue
            except LaunchUncertain:
                continue  # `resolve` finds out
            with self.store.write(self.lease) as writer:
                attempts.launched(writer.connection, submission.token, native)
            sent += len(submission.manifest.tasks)
        return sent

    def _intend(
        self, backend: Backend, batches: Sequence[Batch], by_id: dict[int, StoredJob], exclude: frozenset[str]
    ) -> list[Submission]:
        """Make the intents durable: files first, then journal and database in one transaction."""
        if not batches:
            return []
        at = self.clock.now()
        with self.store.read() as connection:
            made = [self._submission(connection, backend, batch, by_id, exclude, at) for batch in batches]
        kept = []
        with self.store.write(self.lease) as writer:
            for submission in made:
                entry = Dispatch(
                    token=submission.token,
                    backend=backend.name,
                    slot=submission.batch.slot,
                    tasks=tuple(DispatchedTask(t.job, t.attempt, t.generation) for t in submission.manifest.tasks),
                    at=at,
                )
                if self._still_queued(writer.connection, submission):
                    writer.decide([entry])
                    kept.append(submission)
        return kept

    def _still_queued(self, connection: Connection, submission: Submission) -> bool:
        """Whether nobody cancelled one of them since they were read."""
        ids = [task.job for task in submission.manifest.tasks]
        return all(job.state is JobState.QUEUED for job in jobs.get_many(connection, ids))

    def _submission(
        self,
        connection: Connection,
        backend: Backend,
        batch: Batch,
        by_id: dict[int, StoredJob],
        exclude: frozenset[str],
        at: datetime,
    ) -> Submission:
        token = f"orch-{secrets.token_hex(8)}"
        folder = self.layout.submission(token)
        tasks = []
        for item in batch.jobs:
            job = by_id[item.job]
            self._write_job_file(job)
            inputs = {}
            for needed in job.needs:
                accepted = results.accepted_execution(connection, needed)
                if accepted is not None:
                    path = self.layout.attempt(needed, accepted[0]) / accepted[1]
                    inputs[str(needed)] = self.layout.relative(path)
            tasks.append(
                Task(
                    job=job.id,
                    attempt=job.attempts + 1,
                    generation=job.generation,
                    resources=item.resources,
                    inputs=inputs,
                    resume=job.resume,
                )
            )
        manifest = Manifest(token=token, backend=backend.name, tasks=tuple(tasks), created_at=at)
        try:
            folder.mkdir(parents=True)
            write_json(self.layout.manifest(token), manifest)
        except OSError as error:
            raise StoreError(f"cannot write {folder}: {error.strerror}; make room or mend the folder") from None
        return Submission(token=token, folder=folder, manifest=manifest, batch=batch, exclude=exclude)

    def _write_job_file(self, job: StoredJob) -> None:
        folder = self.layout.job(job.id)
        path = folder / "job.json"
        if job.attempts == 0 or not path.exists():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write_json(path, job_file(job))
            except OSError as error:
                raise StoreError(f"cannot write {path}: {error.strerror}; make room or mend the folder") from None

    def _withdraw(self, submissions: Sequence[Submission], sentence: str) -> None:
        """These were never launched: their jobs are queued again, and nothing counts against them."""
        self._end(submissions, Cause.CANCELLED, JobState.QUEUED, sentence, None)

    def _refuse(self, submission: Submission, sentence: str) -> None:
        """The machines will never take this: asking again would not help."""
        self._end([submission], Cause.LAUNCH_FAILURE, JobState.FAILED, sentence, sentence)

    def _end(
        self, submissions: Sequence[Submission], cause: Cause, then: JobState, sentence: str, error: str | None
    ) -> None:
        at = self.clock.now()
        entries: list[Entry] = [
            Ended(
                job=task.job,
                attempt=task.attempt,
                cause=cause,
                then=then.value,
                error=error,
                decision=sentence,
                evidence=(sentence,),
                launched=False,
                at=at,
            )
            for submission in submissions
            for task in submission.manifest.tasks
        ]
        with self.store.write(self.lease) as writer:
            writer.decide(entries)

    def resolve(self, backend: Backend, intents: Sequence[Intent]) -> bool:
        """Look up the intents whose launch is unclear. True where anything became clear. Raises ObservationFailed."""
        mine = [intent for intent in intents if intent.backend == backend.name]
        if not mine:
            return False
        try:
            submissions = {intent.token: self._read_submission(intent.token) for intent in mine}
            ids = {token: self._id_by_files(submission) for token, submission in submissions.items()}
        except OSError as error:
            raise ObservationFailed(f"the store's files cannot be read now: {error}") from None
        found = backend.find([submission for submission in submissions.values() if submission is not None])
        at = self.clock.now()
        gone = []
        with self.store.write(self.lease) as writer:
            for intent in mine:
                native = found.get(intent.token) or ids[intent.token]
                if native is not None:
                    self.layout.given_up(intent.token).unlink(missing_ok=True)  # by one that died before it said so
                    attempts.launched(writer.connection, intent.token, native)
                    continue
                attempts.missed(writer.connection, intent.token, at)
                spaced = intent.missed_at is not None and at - intent.missed_at >= MISS_SPACING
                if backend.name is BackendName.LOCAL or (intent.misses + 1 >= MISSES_NEEDED and spaced):
                    gone.append(intent.token)
            if gone:
                self._give_up(gone)
                writer.decide(self._never_launched(writer.connection, gone, at))
                attempts.never_ran(writer.connection, gone)
        return bool(found or any(ids.values()) or gone)

    def _id_by_files(self, submission: Submission | None) -> str | None:
        """SLURM's id as a worker of that submission wrote it down: the queue forgets, and the records may be off."""
        for task in submission.manifest.tasks if submission is not None else ():
            for path in self.layout.executions(task.job, task.attempt):
                started = read_json(path / "started.json", Started)
                if started is not None and started.slurm_job is not None:
                    return started.slurm_job.partition("_")[0]
        return None

    def _give_up(self, tokens: Sequence[str]) -> None:
        """Should one of them start after all (sbatch was slow, or a stalled supervisor called it), it ends at once."""
        for token in tokens:
            path = self.layout.given_up(token)
            try:
                write_bytes(path, b"")
            except FileNotFoundError:
                continue  # without its folder it cannot run either
            except OSError as error:
                raise StoreError(f"cannot write {path}: {error.strerror}; make room or mend the folder") from None

    def _never_launched(self, connection: Connection, tokens: Sequence[str], at: datetime) -> list[Entry]:
        lost = set(tokens)
        return [
            Ended(
                job=attempt.job,
                attempt=attempt.number,
                cause=Cause.CANCELLED,
                then=JobState.QUEUED.value,
                decision="the launch never happened (looked up by its token): queued again",
                launched=False,
                at=at,
            )
            for attempt in attempts.live(connection)
            if attempt.token in lost and attempt.state is not AttemptState.ENDED
        ]

    def _read_submission(self, token: str) -> Submission | None:
        manifest = read_json(self.layout.manifest(token), Manifest)
        if manifest is None:
            names(self.layout.submission(token))  # raises where the folder does not answer, rather than being empty
            return None
        batch = Batch(
            jobs=tuple(QueuedJob(job=task.job, resources=task.resources) for task in manifest.tasks),
            slot=self._slot(token),
        )
        return Submission(token=token, folder=Path(self.layout.submission(token)), manifest=manifest, batch=batch)

    def _slot(self, token: str) -> str | None:
        with self.store.read() as connection:
            return attempts.slot_of(connection, token)
