"""Strikes against nodes (and local GPUs)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from db.text import parse_time, stamp


@dataclass(frozen=True, kw_only=True)
class StoredStrike:
    """One strike that nobody cleared."""

    node: str
    at: datetime
    cause: str
    job: int | None


def strikes(connection: Connection, since: datetime) -> list[StoredStrike]:
    """Open strikes since then, oldest first."""
    rows = connection.exec_driver_sql(
        "SELECT node, at, cause, job_id FROM node_health WHERE cleared_at IS NULL AND at >= ? ORDER BY id",
        (stamp(since),),
    )
    return [StoredStrike(node=row[0], at=parse_time(row[1]), cause=row[2], job=row[3]) for row in rows]
