"""What a mirror must know of the store: its attempts, and what of their files somebody may still need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from db.cleaning import named_in_settings
from db.text import parse_time


@dataclass(frozen=True, kw_only=True)
class MirroredAttempt:
    """One attempt. Its folders are listed by whoever copies: some may not have been read yet."""

    job: int
    kind: str
    number: int
    token: str
    ended_at: datetime | None
    """None: it lives, or is doomed."""
    goes_on: bool
    """Its job is not finished, and in this generation: its checkpoints are what the job goes on from."""
    executions: tuple[tuple[str, bool], ...] = ()
    """(name, whether it has an outcome) of those that the store has read."""
    accepted: str | None = None
    """The execution whose result counts."""
    needed: bool = False
    """Some job that has not succeeded waits for that result, or has its folder in its settings."""


def mirrored_attempts(connection: Connection) -> list[MirroredAttempt]:
    """All attempts of the store, in order."""
    named = named_in_settings(connection)
    read: dict[int, list[tuple[str, bool]]] = {}
    for attempt, name, finished in connection.exec_driver_sql(
        "SELECT attempt_id, name, ending IS NOT NULL FROM execution ORDER BY id"
    ):
        read.setdefault(attempt, []).append((name, bool(finished)))
    rows = connection.exec_driver_sql(
        """SELECT j.id, j.kind, a.number, a.token,
            CASE WHEN a.state = 'ended' AND a.doomed = 0 THEN a.ended_at END,
            j.state NOT IN ('succeeded', 'failed', 'cancelled') AND a.generation = j.generation,
            (SELECT e.name FROM execution e JOIN result r ON r.execution_id = e.id
             WHERE e.attempt_id = a.id AND r.job_id = j.id),
            EXISTS (SELECT 1 FROM job_dependency d JOIN job n ON n.id = d.job_id
             WHERE d.needs_id = j.id AND n.state != 'succeeded'), a.id
        FROM attempt a JOIN job j ON j.id = a.job_id ORDER BY a.id"""
    )
    return [
        MirroredAttempt(
            job=row[0],
            kind=row[1],
            number=row[2],
            token=row[3],
            ended_at=parse_time(row[4]) if row[4] else None,
            goes_on=bool(row[5]),
            accepted=row[6],
            needed=bool(row[7]) or row[0] in named,
            executions=tuple(read.get(row[8], ())),
        )
        for row in rows
    ]
