"""The tables of what supervising leaves behind: strikes against nodes, gone hosts, events, canaries, how often
jobs report, the rules that end studies, and the lease."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Table


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


class Canary(Table):
    """A job that goes first; those that wait for it name it (`job.behind`)."""

    __tablename__ = "canary"
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    began_at: Mapped[str]
    over_at: Mapped[str | None]
    """When nothing waited for it any more; NULL: it is open."""
    __table_args__ = (
        Index("canary_open", "job_id", sqlite_where=text("over_at IS NULL")),
        {"sqlite_with_rowid": False},
    )


class GoneHost(Table):
    """A host that a person declared gone: what it had begun until then on its local slots has ended."""

    __tablename__ = "gone_host"
    name: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[str]
    evidence: Mapped[str]
    __table_args__ = ({"sqlite_with_rowid": False},)


class Rhythm(Table):
    """How often an execution gave a sign of life, for those of the same config that come after it."""

    __tablename__ = "rhythm"
    config_id: Mapped[int] = mapped_column(ForeignKey("config.id"), primary_key=True)
    execution_id: Mapped[int] = mapped_column(ForeignKey("execution.id"), primary_key=True)
    text: Mapped[str]
    """JSON: jobs.rhythm.Rhythm."""
    __table_args__ = ({"sqlite_with_rowid": False},)


class Seal(Table):
    """What a rehearsal said of a program and its arguments, with the code that it was said of."""

    __tablename__ = "seal"
    code: Mapped[str] = mapped_column(primary_key=True)
    program: Mapped[str] = mapped_column(primary_key=True)
    arguments: Mapped[str] = mapped_column(primary_key=True)
    """JSON: the other words of its command line; empty of a kind."""
    verdict: Mapped[str]
    reason: Mapped[str]
    tried: Mapped[str]
    """JSON: disturbance -> runs that were judged."""
    untried: Mapped[str]
    """JSON: disturbances of which no run was judged."""
    at: Mapped[str]
    __table_args__ = ({"sqlite_with_rowid": False},)


class Rule(Table):
    """A rule that says when a study has enough seeds; of a study the newest one is in force."""

    __tablename__ = "rule"
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    entry: Mapped[str]
    """What was registered, as JSON (db/stopping.py)."""
    seeds: Mapped[int]
    """So many seeds a side were asked for."""
    look: Mapped[str | None]
    """The newest look, as JSON."""
    verdict: Mapped[str]
    why: Mapped[str | None]
    """Of one that was stopped by hand: what was done."""
    ended_at: Mapped[str | None]
    __table_args__ = (Index("rule_open", "study_id", unique=True, sqlite_where=text("ended_at IS NULL")),)


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
