"""The tables of the store, as typed models. The rules between them are in the triggers (db/rules.py).

Models describe; hot paths use plain SQL over the same connection. A test holds the models against the migrations.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, MetaData, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from jobs.words import AttemptState, BackendName, Cause, JobState

VERSION = "0001"
"""The newest migration: what `alembic_version` of an up-to-date store holds."""


def _one_of(column: str, words: type[JobState] | type[AttemptState] | type[Cause] | type[BackendName]) -> str:
    return f"{column} IN ({', '.join(repr(str(word)) for word in words)})"


class Table(DeclarativeBase):
    """Base of all tables. Times are text, ISO 8601 in UTC; lengths are not limited (SQLite ignores them)."""

    metadata = MetaData()


class Setting(Table):
    """Single values of the store: `journal_seq`, the number of the last journal entry that this database holds."""

    __tablename__ = "setting"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Study(Table):
    """A named group of jobs."""

    __tablename__ = "study"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class Config(Table):
    """A canonical config of a kind; many seeds share one row."""

    __tablename__ = "config"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    kind_version: Mapped[int]
    preset: Mapped[str]
    dataset: Mapped[str] = mapped_column(server_default="")
    text: Mapped[str]
    __table_args__ = (UniqueConstraint("kind", "kind_version", "text", "dataset"),)


class Launch(Table):
    """How jobs are run (outside the job key): device, resources, options, folder, code. Shared by many jobs."""

    __tablename__ = "launch"
    id: Mapped[int] = mapped_column(primary_key=True)
    backend: Mapped[str]
    text: Mapped[str] = mapped_column(unique=True)


class Job(Table):
    """kind + config + seed, and where it stands."""

    __tablename__ = "job"
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    config_id: Mapped[int] = mapped_column(ForeignKey("config.id"))
    launch_id: Mapped[int] = mapped_column(ForeignKey("launch.id"))
    kind: Mapped[str]
    seed: Mapped[int]
    key: Mapped[str]
    state: Mapped[str]
    generation: Mapped[int] = mapped_column(server_default="1")
    attempts: Mapped[int] = mapped_column(server_default="0")
    resume: Mapped[int] = mapped_column(server_default="1")
    """0: the running generation begins anew (a retry after an error)."""
    imported: Mapped[int] = mapped_column(server_default="0")
    tolerant: Mapped[int] = mapped_column(server_default="0")
    """1: starts even where a needed job failed."""
    cause: Mapped[str | None]
    error: Mapped[str | None]
    not_before: Mapped[str | None]
    memory_mb: Mapped[int | None]
    """Raised request after an out_of_memory, where that was opted in."""
    created_at: Mapped[str]
    updated_at: Mapped[str]
    __table_args__ = (
        UniqueConstraint("study_id", "key"),
        CheckConstraint(_one_of("state", JobState), name="job_state"),
        CheckConstraint("cause IS NULL OR " + _one_of("cause", Cause), name="job_cause"),
        Index("job_queue", "id", sqlite_where=text("state = 'queued'")),
        Index("job_waiting", "id", sqlite_where=text("state = 'waiting'")),
        Index("job_by_state", "study_id", "state", "kind", "id"),
    )


class JobDependency(Table):
    """`job_id` waits for `needs_id`."""

    __tablename__ = "job_dependency"
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    needs_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    __table_args__ = (Index("job_dependency_needs", "needs_id"), {"sqlite_with_rowid": False})


class JobCount(Table):
    """Jobs per study, kind and state, kept by triggers, so that counting never reads the jobs."""

    __tablename__ = "job_count"
    study_id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int]
    __table_args__ = ({"sqlite_with_rowid": False},)


class Submission(Table):
    """One sbatch, or one local spawn. `native_id` is null until the launch is known to have happened."""

    __tablename__ = "submission"
    token: Mapped[str] = mapped_column(primary_key=True)
    backend: Mapped[str]
    size: Mapped[int]
    slot: Mapped[str | None]
    native_id: Mapped[str | None]
    created_at: Mapped[str]
    misses: Mapped[int] = mapped_column(server_default="0")
    """Good queries that did not find this intent."""
    missed_at: Mapped[str | None]
    __table_args__ = (
        CheckConstraint(_one_of("backend", BackendName), name="submission_backend"),
        Index("submission_intent", "token", sqlite_where=text("native_id IS NULL")),
        {"sqlite_with_rowid": False},
    )


GIVEN_UP = "cause IN ('lost', 'node_failure', 'killed', 'timeout', 'launch_failure', 'preempted')"
"""Endings that the machines told, not the worker: its outcome may still come."""


class Attempt(Table):
    """One try of a job through a submission."""

    __tablename__ = "attempt"
    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    number: Mapped[int]
    generation: Mapped[int]
    token: Mapped[str] = mapped_column(ForeignKey("submission.token"))
    position: Mapped[int]
    """Array index in the submission."""
    state: Mapped[str] = mapped_column(server_default="submitted")
    phase: Mapped[str | None]
    """Where the machines say it is (pending, held, running, ...)."""
    reason: Mapped[str | None]
    """Why it waits, in plain words."""
    node: Mapped[str | None]
    absent: Mapped[int] = mapped_column(server_default="0")
    """Cycles in which no source knew it."""
    doomed: Mapped[int] = mapped_column(server_default="0")
    """1: it ended or nobody wants it any more, and the machines have not yet been seen without it."""
    cause: Mapped[str | None]
    evidence: Mapped[str | None]
    """Lines that show the cause, as JSON."""
    decision: Mapped[str | None]
    """What orch did about it, in one sentence."""
    checkpoint_step: Mapped[int] = mapped_column(server_default="-1")
    """The newest checkpoint when it ended: budgets count failures since the last advance."""
    created_at: Mapped[str]
    ended_at: Mapped[str | None]
    __table_args__ = (
        UniqueConstraint("job_id", "number"),
        CheckConstraint(_one_of("state", AttemptState), name="attempt_state"),
        CheckConstraint("cause IS NULL OR " + _one_of("cause", Cause), name="attempt_cause"),
        Index("attempt_one_live", "job_id", unique=True, sqlite_where=text("state != 'ended'")),
        Index("attempt_by_token", "token"),
        Index("attempt_given_up", "id", sqlite_where=text(GIVEN_UP)),
        Index("attempt_live", "id", sqlite_where=text("state != 'ended' OR doomed = 1")),
    )


class Execution(Table):
    """One start of an attempt on a node, as its files say."""

    __tablename__ = "execution"
    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"))
    name: Mapped[str]
    node: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    process_start: Mapped[float]
    boot_id: Mapped[str]
    slurm_job: Mapped[str | None]
    code_changed: Mapped[int]
    started_at: Mapped[str]
    ready_at: Mapped[str | None]
    ended_at: Mapped[str | None]
    ending: Mapped[str | None]
    cause: Mapped[str | None]
    error: Mapped[str | None]
    superseded: Mapped[int] = mapped_column(server_default="0")
    epoch: Mapped[int | None]
    epochs: Mapped[int | None]
    latest: Mapped[str | None]
    """The newest metric line's numbers, as JSON."""
    checkpoint_step: Mapped[int] = mapped_column(server_default="-1")
    wall_seconds: Mapped[float] = mapped_column(server_default="0")
    gpu_seconds: Mapped[float] = mapped_column(server_default="0")
    peak_memory_mb: Mapped[float] = mapped_column(server_default="0")
    device_name: Mapped[str | None]
    __table_args__ = (
        UniqueConstraint("attempt_id", "name"),
        CheckConstraint("cause IS NULL OR " + _one_of("cause", Cause), name="execution_cause"),
        Index("execution_by_job", "job_id"),
        Index("execution_code_changed", "job_id", sqlite_where=text("code_changed = 1")),
    )


class Metric(Table):
    """One number of one epoch of one execution."""

    __tablename__ = "metric"
    execution_id: Mapped[int] = mapped_column(ForeignKey("execution.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float | None]
    __table_args__ = ({"sqlite_with_rowid": False},)


class Architecture(Table):
    """A set of edges i→j, stored once."""

    __tablename__ = "architecture"
    hash: Mapped[str] = mapped_column(primary_key=True)
    edges: Mapped[str]
    shortcuts: Mapped[int]
    __table_args__ = ({"sqlite_with_rowid": False},)


class Result(Table):
    """The one accepted outcome of a job."""

    __tablename__ = "result"
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    config_id: Mapped[int] = mapped_column(ForeignKey("config.id"))
    execution_id: Mapped[int | None] = mapped_column(ForeignKey("execution.id"), unique=True)
    generation: Mapped[int]
    architecture: Mapped[str | None] = mapped_column(ForeignKey("architecture.hash"))
    test_accuracy: Mapped[float | None]
    metrics: Mapped[str]
    """All numbers of the result, as JSON."""
    flags: Mapped[str]
    accepted_at: Mapped[str]
    __table_args__ = (Index("result_accuracy", "config_id", "test_accuracy"),)


class NodeHealth(Table):
    """One strike against a node, or a local GPU."""

    __tablename__ = "node_health"
    id: Mapped[int] = mapped_column(primary_key=True)
    node: Mapped[str]
    at: Mapped[str]
    cause: Mapped[str]
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))
    cleared_at: Mapped[str | None]
    __table_args__ = (Index("node_health_open", "node", sqlite_where=text("cleared_at IS NULL")),)


class Event(Table):
    """Append-only: every change of a job's state."""

    __tablename__ = "event"
    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    at: Mapped[str]
    before: Mapped[str | None]
    after: Mapped[str]
    generation: Mapped[int]
    attempt: Mapped[int]
    cause: Mapped[str | None]
    __table_args__ = (Index("event_by_job", "job_id"),)


class Lease(Table):
    """Who supervises: one row. Every supervisor write is conditional on `number`."""

    __tablename__ = "lease"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]
    host: Mapped[str | None]
    pid: Mapped[int | None]
    process_start: Mapped[str | None]
    boot_id: Mapped[str | None]
    renewed_at: Mapped[str | None]
    __table_args__ = (CheckConstraint("id = 1", name="lease_single"),)
