"""What `orch doctor` asks the database itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from db.text import parse_time


def integrity(connection: Connection) -> list[str]:
    """What SQLite finds wrong with the file and its references (PRAGMA integrity_check, foreign_key_check)."""
    said = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
    found = [text for text in said if text != "ok"]
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        found.append(f"row {row} of {table} refers to nothing in {parent}")
    return found


def journal_mode(connection: Connection) -> str:
    """'wal', 'delete', …"""
    return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())


def schema_version(connection: Connection) -> str:
    """The migration that the database stands at."""
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())


def jobs(connection: Connection) -> frozenset[int]:
    """The ids of all jobs."""
    return frozenset(int(row[0]) for row in connection.exec_driver_sql("SELECT id FROM job"))


def miscounted(connection: Connection) -> list[str]:
    """Counters that triggers keep, where they differ from the jobs."""
    rows = connection.exec_driver_sql(
        """SELECT k.kind, k.state, sum(k.n) FROM (
            SELECT study_id, kind, state, n FROM job_count WHERE n != 0
            UNION ALL SELECT study_id, kind, state, -count(*) FROM job GROUP BY study_id, kind, state
        ) k GROUP BY k.study_id, k.kind, k.state HAVING sum(k.n) != 0"""
    )
    return [f"{kind} {state}: off by {n}" for kind, state, n in rows]


@dataclass(frozen=True, kw_only=True)
class Skew:
    """By how much a node's clock surely differs from the submitting side's: ahead (+) or behind (−)."""

    node: str
    ahead: timedelta


def skews(connection: Connection) -> Sequence[Skew]:
    """Bounds from order: nothing starts before it was sent, and nothing ends after its end was seen. The worst a node.

    A superseded copy is no witness: it may have ended long after the result of its attempt was taken.

    Times of the node's own clock (execution) against those of the submitting side (attempt).
    """
    worst: dict[str, timedelta] = {}
    for node, sent, began, ended, seen in connection.exec_driver_sql(
        "SELECT e.node, a.created_at, e.started_at, e.ended_at, a.ended_at FROM execution e "
        "JOIN attempt a ON a.id = e.attempt_id WHERE e.started_at < a.created_at "
        "OR (e.ending IS NOT NULL AND NOT e.superseded AND e.ended_at > a.ended_at AND a.cause = e.cause)"
    ):
        behind = parse_time(began) - parse_time(sent)
        ahead = parse_time(ended) - parse_time(seen) if ended and seen else timedelta()
        found = behind if behind < timedelta() else max(ahead, timedelta())
        if abs(found) > abs(worst.get(node, timedelta())):
            worst[node] = found
    return [Skew(node=node, ahead=ahead) for node, ahead in sorted(worst.items())]


def datasets(connection: Connection) -> list[str]:
    """The data sets that jobs which have not ended need."""
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT c.dataset FROM config c WHERE c.dataset != '' AND EXISTS (SELECT 1 FROM job j "
        "WHERE j.config_id = c.id AND j.state IN ('waiting', 'queued', 'submitted', 'running')) ORDER BY 1"
    )
    return [str(row[0]) for row in rows]


def newest_accepted(connection: Connection, limit: int) -> list[tuple[int, int, str]]:
    """(job, attempt number, execution) of the newest accepted results that ran here."""
    rows = connection.exec_driver_sql(
        "SELECT r.job_id, a.number, e.name FROM result r JOIN execution e ON e.id = r.execution_id "
        "JOIN attempt a ON a.id = e.attempt_id ORDER BY r.job_id DESC LIMIT ?",
        (limit,),
    )
    return [(int(row[0]), int(row[1]), str(row[2])) for row in rows]
