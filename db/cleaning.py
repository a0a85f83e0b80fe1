"""What `orch clean` must know of the store: which executions and submissions nothing waits for."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from db.launching import Launching

_FOLDER = re.compile(r"runs/\d+/([1-9]\d{0,8})(?=/|\b)")


@dataclass(frozen=True, kw_only=True)
class EndedExecution:
    """An execution of a job that succeeded and of which nothing lives any more."""

    job: int
    kind: str
    attempt: int
    name: str
    accepted: bool
    id: int = 0
    needed: bool = False
    """Some job that has not succeeded waits for this job, or has its folder in its settings (a warm start)."""


def ended_executions(connection: Connection) -> list[EndedExecution]:
    """Every execution of succeeded jobs that have no living or doomed attempt."""
    rows = connection.exec_driver_sql(
        """SELECT j.id, j.kind, a.number, e.name, r.execution_id = e.id, e.id, EXISTS (SELECT 1 FROM job_dependency d
            JOIN job n ON n.id = d.job_id WHERE d.needs_id = j.id AND n.state != 'succeeded')
        FROM job j JOIN result r ON r.job_id = j.id
        JOIN attempt a ON a.job_id = j.id JOIN execution e ON e.attempt_id = a.id WHERE j.state = 'succeeded'
        AND NOT EXISTS (SELECT 1 FROM attempt x WHERE x.job_id = j.id AND (x.state != 'ended' OR x.doomed = 1))
        ORDER BY e.id"""
    ).all()
    named = named_in_settings(connection) if rows else frozenset()
    return [
        EndedExecution(
            job=row[0],
            kind=row[1],
            attempt=row[2],
            name=row[3],
            accepted=bool(row[4]),
            id=row[5],
            needed=bool(row[6]) or row[0] in named,
        )
        for row in rows
    ]


def named_in_settings(connection: Connection) -> frozenset[int]:
    """Jobs into whose folders the settings of jobs that have not succeeded lead."""
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT c.text FROM job j JOIN config c ON c.id = j.config_id "
        "WHERE j.state != 'succeeded' AND c.text LIKE '%runs/%'"
    )
    return frozenset(int(found) for row in rows for found in _FOLDER.findall(row[0]))


def launching_of(connection: Connection, job: int) -> Launching:
    """How a job is run: what was declared of its metrics stands there."""
    return msgspec.json.decode(
        connection.exec_driver_sql(
            "SELECT l.text FROM job j JOIN launch l ON l.id = j.launch_id WHERE j.id = ?", (job,)
        ).scalar_one(),
        type=Launching,
    )


def code_in_use(connection: Connection) -> frozenset[str]:
    """Code snapshots, their trees, differences to a commit, and lists of what was installed, that some job names."""
    rows = connection.exec_driver_sql(
        "SELECT json_extract(l.text, '$.code.snapshot'), json_extract(l.text, '$.code.software'), "
        "json_extract(l.text, '$.code.patch'), json_extract(l.text, '$.code.origin') FROM launch l "
        "WHERE EXISTS (SELECT 1 FROM job WHERE launch_id = l.id)"
    )
    return frozenset(name for row in rows for name in row if name)


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
