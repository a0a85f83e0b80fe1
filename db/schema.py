"""The tables of the store, as typed models, held against the migrations. The rules between them are in db/rules.py."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from db import supervising as supervising  # its tables belong to the same metadata
from db.base import Table as Table
from jobs.words import AttemptState, BackendName, Cause, JobState

VERSION = "0017"  # the newest migration: what `alembic_version` of an up-to-date store holds


def _one_of(column: str, words: type[JobState] | type[AttemptState] | type[Cause] | type[BackendName]) -> str:
    return f"{column} IN ({', '.join(repr(str(word)) for word in words)})"


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
    max_running: Mapped[int | None]
    """So many of its jobs are with the machines at once; NULL: no limit."""
    max_fails: Mapped[int | None]
    """Once so many of its jobs have failed, nothing more is sent; NULL: no limit."""
    layouts: Mapped[str | None]
    """How its tables are laid out, as JSON (db/layouts.py); NULL where nobody laid any out."""


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
    rank: Mapped[int] = mapped_column(server_default="0")
    """−priority: so that one index gives the order in which queued jobs are sent."""
    dropped: Mapped[str | None]
    """Why a person took its result out of every table; NULL: it counts."""
    behind: Mapped[int | None]
    """The canary that it waits for; NULL: it may be sent."""
    __table_args__ = (
        UniqueConstraint("study_id", "key"),
        CheckConstraint(_one_of("state", JobState), name="job_state"),
        CheckConstraint("cause IS NULL OR " + _one_of("cause", Cause), name="job_cause"),
        Index("job_queue", "behind", "rank", "id", sqlite_where=text("state = 'queued'")),
        Index("job_behind", "behind", "id", sqlite_where=text("behind IS NOT NULL")),
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
    pieces: Mapped[int] = mapped_column(server_default="0")  # tasks that run its one attempt in turn; 0: not sliced
    bundle: Mapped[int] = mapped_column(server_default="0")  # attempts in the list of one task; 0: each has its own
    slot: Mapped[str | None]
    native_id: Mapped[str | None]
    created_at: Mapped[str]
    misses: Mapped[int] = mapped_column(server_default="0")  # good queries that did not find this intent
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
    launch_id: Mapped[int | None]
    """The terms that it has: where its job has others by now, it gets them in the queue, or its next attempt does."""
    recall: Mapped[int] = mapped_column(server_default="0")
    """1: it is stopped where it runs, to go on under other terms."""
    nice: Mapped[int] = mapped_column(server_default="0")
    altered: Mapped[str | None]
    """What was changed of it in the queue, as JSON (jobs.resources.InQueue)."""
    __table_args__ = (
        UniqueConstraint("job_id", "number"),
        CheckConstraint(_one_of("state", AttemptState), name="attempt_state"),
        CheckConstraint("cause IS NULL OR " + _one_of("cause", Cause), name="attempt_cause"),
        Index("attempt_one_live", "job_id", unique=True, sqlite_where=text("state != 'ended'")),
        Index("attempt_by_token", "token"),
        Index("attempt_given_up", "id", sqlite_where=text(GIVEN_UP)),
        Index("attempt_live", "id", sqlite_where=text("state != 'ended' OR doomed = 1")),
        Index("attempt_hung", "ended_at", sqlite_where=text("cause = 'hang'")),
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
    """Of each metric the value in the newest line that names it, as JSON."""
    last: Mapped[str | None]
    """Metric → (epoch, value) of the newest line that names it, as JSON: whatever the epochs' order."""
    checkpoint_step: Mapped[int] = mapped_column(server_default="-1")
    wall_seconds: Mapped[float] = mapped_column(server_default="0")
    gpu_seconds: Mapped[float] = mapped_column(server_default="0")
    peak_memory_mb: Mapped[float] = mapped_column(server_default="0")
    device_name: Mapped[str | None]
    torch: Mapped[str | None]  # the version that it ran with; NULL where it had none, or where nobody knows
    usage: Mapped[str | None]  # JSON: jobs.usage.Usage; NULL where it was not sampled
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
    rule: Mapped[int] = mapped_column(server_default="0")
    """By which rule (jobs/metrics.py) its numbers were taken; 0: by an orch that did not say so."""
    original: Mapped[str | None]
    """The numbers that were accepted, where they were corrected since."""
    __table_args__ = (
        Index("result_accuracy", "config_id", "test_accuracy"),
        Index("result_unchecked", "job_id", sqlite_where=text("rule < 2")),
    )


class EarlierResult(Table):
    """A result that a person had run anew (`retry --succeeded`): superseded, in no table."""

    __tablename__ = "earlier_result"
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True)
    execution_id: Mapped[int | None] = mapped_column(ForeignKey("execution.id"))
    architecture: Mapped[str | None] = mapped_column(ForeignKey("architecture.hash"))
    metrics: Mapped[str]
    flags: Mapped[str]
    accepted_at: Mapped[str]
    superseded_at: Mapped[str]
    __table_args__ = ({"sqlite_with_rowid": False},)
