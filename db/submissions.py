"""Submissions: what the machines were given as one piece, and whether it is known that they have it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from db.text import parse_time, stamp


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A submission whose launch is not known to have happened."""

    token: str
    backend: str
    created_at: datetime
    misses: int
    missed_at: datetime | None


def open_intents(connection: Connection) -> list[Intent]:
    """Submissions without a native id that still carry a live attempt."""
    rows = connection.exec_driver_sql(
        "SELECT token, backend, created_at, misses, missed_at FROM submission WHERE native_id IS NULL "
        "AND EXISTS (SELECT 1 FROM attempt WHERE attempt.token = submission.token AND (state != 'ended' OR doomed = 1))"
    )
    return [
        Intent(
            token=row.token,
            backend=row.backend,
            created_at=parse_time(row.created_at),
            misses=row.misses,
            missed_at=parse_time(row.missed_at) if row.missed_at else None,
        )
        for row in rows
    ]


def launched(connection: Connection, token: str, native_id: str) -> None:
    """The launch of that submission is known to have happened."""
    connection.exec_driver_sql("UPDATE submission SET native_id = ? WHERE token = ?", (native_id, token))


def named_by_their_executions(connection: Connection) -> None:
    """After a rebuild: the native ids that executions tell of (SLURM's job, without the task; a local worker's pid)."""
    connection.exec_driver_sql(
        "UPDATE submission SET native_id = (SELECT CASE submission.backend WHEN 'slurm' "
        "THEN substr(e.slurm_job, 1, instr(e.slurm_job || '_', '_') - 1) ELSE CAST(e.pid AS TEXT) END "
        "FROM attempt a JOIN execution e ON e.attempt_id = a.id WHERE a.token = submission.token "
        "ORDER BY e.id LIMIT 1) WHERE native_id IS NULL"
    )


def missed(connection: Connection, token: str, at: datetime) -> None:
    """A good query did not find that intent (`missed_at`: the first time, or anew by a clock that was set back)."""
    connection.exec_driver_sql(
        "UPDATE submission SET misses = misses + 1, missed_at = min(coalesce(missed_at, ?), ?) WHERE token = ?",
        (stamp(at), stamp(at), token),
    )


def slot_of(connection: Connection, token: str) -> str | None:
    """The local slot that a submission was given."""
    slot = connection.exec_driver_sql("SELECT slot FROM submission WHERE token = ?", (token,)).scalar_one_or_none()
    return None if slot is None else str(slot)


def never_ran(connection: Connection, tokens: Iterable[str]) -> None:
    """The machines never had anything of these submissions: there is nothing of theirs to end."""
    rows = [(token,) for token in tokens]
    if rows:
        connection.exec_driver_sql("UPDATE attempt SET doomed = 0 WHERE token = ?", rows)


def any_launched(connection: Connection, backend: str) -> bool:
    """Whether that backend was ever given anything."""
    sql = "SELECT EXISTS (SELECT 1 FROM submission WHERE backend = ? AND native_id IS NOT NULL)"
    return bool(connection.exec_driver_sql(sql, (backend,)).scalar_one())


def any_unended(connection: Connection, token: str) -> bool:
    """Whether the submission still carries an attempt that has not ended."""
    sql = "SELECT EXISTS (SELECT 1 FROM attempt WHERE token = ? AND state != 'ended')"
    return bool(connection.exec_driver_sql(sql, (token,)).scalar_one())
