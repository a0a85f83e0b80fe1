"""What is known of how long jobs took, for those that are run in slices."""

from __future__ import annotations

from sqlalchemy import Connection

NEWEST = 20


def took(connection: Connection, job: int) -> list[tuple[float, int]]:
    """(seconds of all executions together, epochs) of jobs of the same config that succeeded, newest first."""
    rows = connection.exec_driver_sql(
        "SELECT sum(e.wall_seconds), coalesce(max(e.epochs), 0) FROM job me "
        "JOIN result r ON r.config_id = me.config_id "
        "JOIN attempt a ON a.job_id = r.job_id AND a.generation = r.generation "
        "JOIN execution e ON e.attempt_id = a.id WHERE me.id = ? GROUP BY r.job_id HAVING sum(e.wall_seconds) > 0 "
        f"ORDER BY r.job_id DESC LIMIT {NEWEST}",
        (job,),
    )
    return [(float(seconds), int(epochs)) for seconds, epochs in rows]


def used_seconds(connection: Connection, job: int) -> float:
    """What the executions of a job's generation have run so far; those that were killed tell nothing."""
    found = connection.exec_driver_sql(
        "SELECT coalesce(sum(e.wall_seconds), 0) FROM job j JOIN attempt a ON a.job_id = j.id "
        "AND a.generation = j.generation JOIN execution e ON e.attempt_id = a.id WHERE j.id = ?",
        (job,),
    )
    return float(found.scalar_one())
