"""Hosts without SLURM that a person declared gone (`orch nodes --gone`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from db.applying import apply
from db.entries import Gone
from db.text import parse_time, stamp


@dataclass(frozen=True, kw_only=True)
class GoneHost:
    """What it had begun until then has ended, by that evidence; what it begins later counts again."""

    at: datetime
    evidence: str


@apply.register
def _(entry: Gone, connection: Connection) -> None:
    connection.exec_driver_sql(
        "INSERT INTO gone_host VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET at = excluded.at, "
        "evidence = excluded.evidence WHERE excluded.at >= at",
        (entry.host, stamp(entry.at), entry.evidence),
    )


def gone(connection: Connection) -> dict[str, GoneHost]:
    """Host -> since when it is gone."""
    rows = connection.exec_driver_sql("SELECT name, at, evidence FROM gone_host")
    return {str(row[0]): GoneHost(at=parse_time(row[1]), evidence=str(row[2])) for row in rows}
