"""Executions and their metrics, as ingestion reads them from the run folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from db.text import encode, parse_time, stamp
from jobs.records import NO_PLACE, MetricLine, Outcome, Started
from jobs.words import Cause


@dataclass(frozen=True, kw_only=True)
class StoredExecution:
    """One start of an attempt, as the database knows it."""

    id: int
    job: int
    attempt: int
    generation: int
    name: str
    node: str
    host: str
    pid: int
    started_at: datetime
    ready_at: datetime | None
    ended_at: datetime | None
    ending: str | None
    cause: Cause | None
    error: str | None
    superseded: bool
    code_changed: bool
    epoch: int | None
    epochs: int | None
    latest: str | None
    checkpoint_step: int
    wall_seconds: float
    gpu_seconds: float
    gpu_parts: int
    peak_memory_mb: float
    device_name: str | None


_SELECT = """SELECT e.id, e.job_id AS job, a.number AS attempt, a.generation, e.name, e.node, e.host, e.pid,
    e.started_at, e.ready_at, e.ended_at, e.ending, e.cause, e.error, e.superseded, e.code_changed, e.epoch, e.epochs,
    e.latest, e.checkpoint_step, e.wall_seconds, gpu_parts(s.slot) AS gpu_parts, e.peak_memory_mb, e.device_name,
    e.gpu_seconds / gpu_parts(s.slot) AS gpu_seconds
    FROM execution e JOIN attempt a ON a.id = e.attempt_id JOIN submission s USING (token) """


def _stored(row: Any) -> StoredExecution:
    values = dict(row._mapping)
    values.update(
        started_at=parse_time(row.started_at),
        ready_at=parse_time(row.ready_at) if row.ready_at else None,
        ended_at=parse_time(row.ended_at) if row.ended_at else None,
        cause=Cause(row.cause) if row.cause else None,
        superseded=bool(row.superseded),
        code_changed=bool(row.code_changed),
    )
    return StoredExecution(**values)


def of_job(connection: Connection, job: int) -> list[StoredExecution]:
    """All executions of a job, oldest first."""
    return [_stored(row) for row in connection.exec_driver_sql(_SELECT + "WHERE e.job_id = ? ORDER BY e.id", (job,))]


def all_of(connection: Connection, study: str) -> list[StoredExecution]:
    """All executions of a study's jobs, oldest first."""
    of = "JOIN job j ON j.id = e.job_id WHERE j.study_id = (SELECT id FROM study WHERE name = ?) ORDER BY e.id"
    return [_stored(row) for row in connection.exec_driver_sql(_SELECT + of, (study,))]


def began(connection: Connection, attempt: int, name: str, started: Started) -> int:
    """Record a new execution (idempotent): its row id."""
    connection.exec_driver_sql(
        "INSERT INTO execution (job_id, attempt_id, name, node, host, pid, process_start, boot_id, slurm_job, "
        "code_changed, started_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            started.job,
            attempt,
            name,
            started.node,
            started.host,
            started.pid,
            started.process_start,
            started.boot_id,
            started.slurm_job,
            int(started.code_changed),
            stamp(started.at),
        ),
    )
    return int(
        connection.exec_driver_sql(
            "SELECT id FROM execution WHERE attempt_id = ? AND name = ?", (attempt, name)
        ).scalar_one()
    )


def is_ready(connection: Connection, execution: int, at: datetime) -> None:
    """Its data is loaded and its first step done."""
    connection.exec_driver_sql(
        "UPDATE execution SET ready_at = ? WHERE id = ? AND ready_at IS NULL", (stamp(at), execution)
    )


def progressed(connection: Connection, execution: int, lines: Sequence[MetricLine]) -> None:
    """New metric lines of an execution: each epoch counts once, the later line wins; without a place, on no curve."""
    placed = [line for line in lines if line.epoch != NO_PLACE]
    rows = [(execution, line.epoch, name, value) for line in placed for name, value in line.values.items()]
    if rows:
        connection.exec_driver_sql(
            "INSERT INTO metric VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", rows
        )
    if lines:
        latest = {name: value for name, (_, value) in ordered(connection, execution, lines).items()}
        where = (placed[-1].epoch, placed[-1].epochs) if placed else (None,) * 2
        sql = "UPDATE execution SET epoch = coalesce(?, epoch), epochs = coalesce(?, epochs), latest = ? WHERE id = ?"
        connection.exec_driver_sql(sql, (*where, encode(latest), execution))


def ordered(connection: Connection, execution: int, lines: Iterable[MetricLine]) -> dict[str, tuple[int, float | None]]:
    """Keep of each metric the newest line that names it: the table of metrics tells epochs, and no order of lines.

    Metric → (epoch, value).
    """
    text = connection.exec_driver_sql("SELECT last FROM execution WHERE id = ?", (execution,)).scalar_one()
    last = msgspec.json.decode(text) if text else {}
    for line in lines:
        last.update((name, (line.epoch, value)) for name, value in line.values.items())
    if last:
        connection.exec_driver_sql("UPDATE execution SET last = ? WHERE id = ?", (encode(last), execution))
    return last


def checkpointed(connection: Connection, execution: int, step: int, *, exact: bool = False) -> None:
    """The newest checkpoint of an execution; `exact`: also where the store holds a later one."""
    sql = f"UPDATE execution SET checkpoint_step = ? WHERE id = ? AND checkpoint_step {'!=' if exact else '<'} ?"
    connection.exec_driver_sql(sql, (step, execution, step))


def ended(connection: Connection, execution: int, outcome: Outcome, cause: Cause) -> None:
    """What its outcome file says; `cause` is the one after judging readiness.

    A success is superseded where its job has another result, was cancelled or begun anew: it is kept, never counted.
    """
    outdated = (
        "EXISTS (SELECT 1 FROM job j JOIN attempt a ON a.job_id = j.id LEFT JOIN result r ON r.job_id = j.id "
        "WHERE a.id = execution.attempt_id AND ? = 'success' AND r.execution_id IS NOT execution.id "
        "AND (r.job_id IS NOT NULL OR j.state = 'cancelled' OR a.generation < j.generation))"
    )
    connection.exec_driver_sql(
        f"UPDATE execution SET ended_at = ?, ending = ?, cause = ?, error = ?, superseded = max(?, {outdated}), "
        "checkpoint_step = max(checkpoint_step, ?), wall_seconds = ?, gpu_seconds = ?, peak_memory_mb = ?, "
        "device_name = ?, torch = ? WHERE id = ?",
        (
            stamp(outcome.at),
            outcome.ending,
            cause.value,
            outcome.error,
            int(outcome.superseded),
            outcome.ending,
            outcome.checkpoint_step,
            outcome.wall_seconds,
            outcome.gpu_seconds,
            outcome.peak_memory_mb,
            outcome.device_name,
            outcome.versions.get("torch"),
            execution,
        ),
    )


def vanished(connection: Connection, jobs: Iterable[int] | None = None) -> None:
    """Executions that left no outcome ended with their attempt, by its cause (of those jobs, or of all).

    One whose attempt succeeded by another of its executions is left out: it may go on for a while (`left_behind`).
    """
    ended = "SELECT {} FROM attempt a WHERE a.id = execution.attempt_id"
    at = ended.format("max(execution.started_at, a.ended_at)")
    sql = (
        f"UPDATE execution SET ended_at = ({at}), cause = ({ended.format('a.cause')}), "
        f"wall_seconds = max(0, (julianday(({at})) - julianday(started_at)) * 86400) "
        f"WHERE ended_at IS NULL AND ({ended.format('1')} AND a.state = 'ended' AND a.cause != 'success') "
    )
    _of_jobs(connection, sql, jobs)


def left_behind(connection: Connection, jobs: Iterable[int] | None = None) -> None:
    """Executions without an outcome of attempts that succeeded and are gone: nobody knows how they ended.

    At the latest when the next one of the attempt began, or with the attempt.
    """
    end = (
        "SELECT max(execution.started_at, coalesce((SELECT min(n.started_at) FROM execution n "
        "WHERE n.attempt_id = execution.attempt_id AND n.started_at > execution.started_at), a.ended_at)) "
        "FROM attempt a WHERE a.id = execution.attempt_id"
    )
    sql = (
        f"UPDATE execution SET cause = 'lost', ended_at = ({end}), "
        f"wall_seconds = max(0, (julianday(({end})) - julianday(started_at)) * 86400) "
        "WHERE ended_at IS NULL AND EXISTS (SELECT 1 FROM attempt a WHERE a.id = execution.attempt_id "
        "AND a.state = 'ended' AND a.cause = 'success' AND a.doomed = 0) "
    )
    _of_jobs(connection, sql, jobs)


def over(connection: Connection, jobs: Iterable[int]) -> None:
    """Executions of these jobs that came to light after their attempts were over."""
    jobs = list(jobs)
    vanished(connection, jobs)
    left_behind(connection, jobs)


def _of_jobs(connection: Connection, sql: str, jobs: Iterable[int] | None) -> None:
    """Run the update for executions of these jobs, or of all."""
    if jobs is None:
        connection.exec_driver_sql(sql)
        return
    rows = [(job,) for job in jobs]
    if rows:
        connection.exec_driver_sql(sql + "AND job_id = ?", rows)


def taken_away(connection: Connection, attempt: int, node: str, cause: Cause, at: datetime) -> None:
    """The execution of a living attempt on that node has ended without an outcome (one may still come)."""
    connection.exec_driver_sql(
        "UPDATE execution SET ended_at = ?, cause = ? WHERE attempt_id = ? AND node = ? AND ended_at IS NULL",
        (stamp(at), cause.value, attempt, node),
    )


def began_on(connection: Connection, attempt: int, node: str) -> datetime | None:
    """When the newest execution of that attempt on that node began; None where none is known."""
    text = connection.exec_driver_sql(
        "SELECT max(started_at) FROM execution WHERE attempt_id = ? AND node = ?", (attempt, node)
    ).scalar_one()
    return parse_time(text) if text else None


def supersede(connection: Connection, job: int, accepted: int) -> None:
    """Every other finished execution of the job is superseded: kept, never counted."""
    connection.exec_driver_sql(
        "UPDATE execution SET superseded = 1 WHERE job_id = ? AND ending = 'success' AND id != ?", (job, accepted)
    )


def metrics_of(connection: Connection, execution: int) -> list[tuple[int, Mapping[str, float | None]]]:
    """(epoch, numbers) of an execution, ascending."""
    found: dict[int, dict[str, float | None]] = {}
    for epoch, name, value in connection.exec_driver_sql(
        "SELECT epoch, name, value FROM metric WHERE execution_id = ? ORDER BY epoch, name", (execution,)
    ):
        found.setdefault(epoch, {})[name] = value
    return list(found.items())


def last_of(connection: Connection, execution: int) -> dict[str, tuple[int, float | None]]:
    """Metric → (epoch, value) of the newest line that names it; without a value where that is not finite.

    An execution that an older orch took in tells no order of its lines: there it is the highest epoch's.
    """
    text = connection.exec_driver_sql("SELECT last FROM execution WHERE id = ?", (execution,)).scalar_one()
    if text:
        return {name: (epoch, value) for name, (epoch, value) in msgspec.json.decode(text).items()}
    return {
        name: (epoch, value) for epoch, values in metrics_of(connection, execution) for name, value in values.items()
    }


class Report(NamedTuple):
    """How far the newest execution of a study that has reported is."""

    job: int
    kind: str
    epoch: int
    epochs: int
    latest: str | None
    """JSON: its newest numbers."""
    config: str
    """JSON: what its job was given."""


def newest_report(connection: Connection, study: str) -> Report | None:
    """Of the newest execution of a study's running jobs that has reported; None where none has."""
    row = connection.exec_driver_sql(
        "SELECT e.job_id, j.kind, e.epoch, coalesce(e.epochs, 0), e.latest, c.text FROM execution e "
        "JOIN job j ON j.id = e.job_id JOIN config c ON c.id = j.config_id "
        "WHERE j.study_id = (SELECT id FROM study WHERE name = ?) AND j.state = 'running' AND e.epoch IS NOT NULL "
        "ORDER BY e.id DESC LIMIT 1",
        (study,),
    ).one_or_none()
    return None if row is None else Report._make(row)
