"""One job in full, as `show` and `explain` read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from db import attempts, columns, executions, jobs
from db.attempts import StoredAttempt
from db.executions import StoredExecution
from db.jobs import StoredJob
from db.text import parse_time
from jobs.records import Edge
from jobs.words import JobState


@dataclass(frozen=True, kw_only=True)
class StoredResult:
    """The one accepted outcome of a job; `execution` is None for an import."""

    execution: int | None
    generation: int
    metrics: Mapping[str, float | None]
    flags: Mapping[str, str]
    architecture: str | None
    edges: tuple[Edge, ...] | None
    accepted_at: datetime
    original: Mapping[str, float | None] | None = None
    """The numbers that were accepted, where they were corrected since."""


@dataclass(frozen=True, kw_only=True)
class StoredEvent:
    """One change of a job's state."""

    at: datetime
    before: str | None
    after: str
    generation: int
    attempt: int
    cause: str | None


@dataclass(frozen=True, kw_only=True)
class Relative:
    """A job that this one needs, or that needs this one."""

    id: int
    kind: str
    seed: int
    state: JobState
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Rest:
    """A needed job whose number the result rests on, and which counts no more."""

    job: int
    generation: int
    """Of the number that it rests on."""
    superseded_by: int | None
    """The job's present generation, where it was run anew since."""
    dropped: str | None
    """Why a person dropped it."""


@dataclass(frozen=True, kw_only=True)
class Detail:
    """Everything that the store knows of one job."""

    job: StoredJob
    attempts: tuple[StoredAttempt, ...]
    executions: tuple[StoredExecution, ...]
    result: StoredResult | None
    events: tuple[StoredEvent, ...]
    needs: tuple[Relative, ...]
    needed_by: tuple[Relative, ...]
    blocked_by: tuple[int, ...]
    rests_on: tuple[Rest, ...] = ()


def get(connection: Connection, job: int) -> Detail:
    """The job of that id. Raises BadInput."""
    stored = jobs.get(connection, job)
    blocked = jobs.blocked(connection, stored.study) if stored.state is JobState.WAITING else {}
    return Detail(
        job=stored,
        attempts=tuple(attempts.of_job(connection, job)),
        executions=tuple(executions.of_job(connection, job)),
        result=result(connection, job),
        events=tuple(events(connection, job)),
        needs=tuple(_relatives(connection, "needs_id", "job_id", job)),
        needed_by=tuple(_relatives(connection, "job_id", "needs_id", job)),
        blocked_by=tuple(blocked.get(job, ())),
        rests_on=_rests_on(connection, job),
    )


def _rests_on(connection: Connection, job: int) -> tuple[Rest, ...]:
    """By the same rule as tables; a dropped job besides."""
    superseded = dict(columns.rests_on(connection).get(job, ()))
    found = connection.exec_driver_sql(
        "SELECT n.id, n.generation, n.dropped FROM job_dependency d JOIN job n ON n.id = d.needs_id "
        "JOIN result r ON r.job_id = d.job_id WHERE d.job_id = ? ORDER BY n.id",
        (job,),
    )
    return tuple(
        Rest(
            job=needed,
            generation=superseded.get(needed, generation),
            superseded_by=generation if needed in superseded else None,
            dropped=dropped,
        )
        for needed, generation, dropped in found
        if needed in superseded or dropped is not None
    )


def result(connection: Connection, job: int) -> StoredResult | None:
    """The accepted outcome; None while there is none."""
    row = connection.exec_driver_sql(
        "SELECT r.execution_id, r.generation, r.metrics, r.flags, r.architecture, a.edges, r.accepted_at, "
        "r.original FROM result r "
        "LEFT JOIN architecture a ON a.hash = r.architecture WHERE r.job_id = ?",
        (job,),
    ).one_or_none()
    if row is None:
        return None
    return StoredResult(
        execution=row.execution_id,
        generation=row.generation,
        metrics=msgspec.json.decode(row.metrics),
        flags=msgspec.json.decode(row.flags),
        architecture=row.architecture,
        edges=tuple((i, j) for i, j in msgspec.json.decode(row.edges)) if row.edges is not None else None,
        accepted_at=parse_time(row.accepted_at),
        original=msgspec.json.decode(row.original) if row.original else None,
    )


def events(connection: Connection, job: int) -> list[StoredEvent]:
    """Every change of a job's state, oldest first."""
    rows = connection.exec_driver_sql(
        "SELECT at, before, after, generation, attempt, cause FROM event WHERE job_id = ? ORDER BY id", (job,)
    )
    return [
        StoredEvent(
            at=parse_time(row.at),
            before=row.before,
            after=row.after,
            generation=row.generation,
            attempt=row.attempt,
            cause=row.cause,
        )
        for row in rows
    ]


def _relatives(connection: Connection, wanted: str, known: str, job: int) -> list[Relative]:
    rows = connection.exec_driver_sql(
        f"SELECT j.id, j.kind, j.seed, j.state, j.error FROM job_dependency d JOIN job j ON j.id = d.{wanted} "
        f"WHERE d.{known} = ? ORDER BY j.id",
        (job,),
    )
    return [
        Relative(id=row.id, kind=row.kind, seed=row.seed, state=JobState(row.state), error=row.error) for row in rows
    ]


def queued_before(connection: Connection, job: int) -> int:
    """How many queued jobs go before this one."""
    found = connection.exec_driver_sql(
        "SELECT count(*) FROM job mine JOIN job other ON other.state = 'queued' AND other.behind IS NULL "
        "AND (other.rank < mine.rank OR (other.rank = mine.rank AND other.id < mine.id)) WHERE mine.id = ?",
        (job,),
    )
    return int(found.scalar_one())


def errors(connection: Connection, study: str) -> dict[int, str]:
    """Job → the last line of what went wrong, of those where anything did: the job's own, else its executions'."""
    rows = connection.exec_driver_sql(
        "SELECT j.id, coalesce(j.error, (SELECT e.error FROM execution e WHERE e.job_id = j.id AND e.error IS NOT NULL "
        "ORDER BY e.id DESC LIMIT 1)) AS error FROM job j "
        "WHERE j.study_id = (SELECT id FROM study WHERE name = ?) ORDER BY j.id",
        (study,),
    )
    return {int(row[0]): str(row[1]) for row in rows if row[1] is not None}
