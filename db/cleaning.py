"""What `orch clean` must know of the store: which executions and submissions nothing waits for."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection


@dataclass(frozen=True, kw_only=True)
class EndedExecution:
    """An execution of a job that succeeded and of which nothing lives any more."""

    job: int
    kind: str
    attempt: int
    name: str
    accepted: bool


def ended_executions(connection: Connection) -> list[EndedExecution]:
    """Every execution of succeeded jobs that have no living or doomed attempt."""
    rows = connection.exec_driver_sql(
        """SELECT j.id, j.kind, a.number, e.name, r.execution_id = e.id FROM job j JOIN result r ON r.job_id = j.id
        JOIN attempt a ON a.job_id = j.id JOIN execution e ON e.attempt_id = a.id WHERE j.state = 'succeeded'
        AND NOT EXISTS (SELECT 1 FROM attempt x WHERE x.job_id = j.id AND (x.state != 'ended' OR x.doomed = 1))
        ORDER BY e.id"""
    )
    return [EndedExecution(job=row[0], kind=row[1], attempt=row[2], name=row[3], accepted=bool(row[4])) for row in rows]


def tokens(connection: Connection) -> frozenset[str]:
    """All submissions that the store knows."""
    return frozenset(row[0] for row in connection.exec_driver_sql("SELECT token FROM submission"))


def open_tokens(connection: Connection) -> frozenset[str]:
    """Submissions of which some attempt lives, is doomed, or may still live although it was given up."""
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT a.token FROM attempt a JOIN job j ON j.id = a.job_id WHERE a.state != 'ended' OR a.doomed = 1 "
        "OR j.state NOT IN ('succeeded', 'cancelled')"
    )
    return frozenset(row[0] for row in rows)
