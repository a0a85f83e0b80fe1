"""What is known of how long jobs took, for slices and bundles: the same number of queries for any number of jobs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

NEWEST = 20


def took(connection: Connection, jobs: Sequence[int]) -> dict[int, list[tuple[float, int]]]:
    """Job → (seconds of all executions together, epochs) of jobs of the same config that succeeded, newest first.

    Of the newest 20 results, those that tell their time.
    """
    found: dict[int, list[tuple[float, int]]] = {}
    configs = dict(_pairs(connection, "SELECT id, config_id FROM job WHERE id IN ({})", jobs))
    rows = connection.exec_driver_sql(
        "SELECT r.config_id, sum(e.wall_seconds), coalesce(max(e.epochs), 0) FROM json_each(?) mine JOIN result r "
        "ON r.config_id = mine.value AND r.job_id IN (SELECT job_id FROM result newest "
        f"WHERE newest.config_id = mine.value ORDER BY job_id DESC LIMIT {NEWEST}) "
        "JOIN attempt a ON a.job_id = r.job_id AND a.generation = r.generation "
        "JOIN execution e ON e.attempt_id = a.id GROUP BY r.config_id, r.job_id HAVING sum(e.wall_seconds) > 0 "
        "ORDER BY r.config_id, r.job_id DESC",
        (_listed(sorted(set(configs.values()))),),
    )
    for config, seconds, epochs in rows:
        found.setdefault(int(config), []).append((float(seconds), int(epochs)))
    return {job: found.get(config, []) for job, config in configs.items()}


def used_seconds(connection: Connection, jobs: Sequence[int]) -> dict[int, float]:
    """Job → what the executions of its generation have run so far; those that were killed tell nothing."""
    sql = (
        "SELECT j.id, coalesce(sum(e.wall_seconds), 0) FROM job j JOIN attempt a ON a.job_id = j.id "
        "AND a.generation = j.generation JOIN execution e ON e.attempt_id = a.id WHERE j.id IN ({}) GROUP BY j.id"
    )
    return {job: float(seconds) for job, seconds in _pairs(connection, sql, jobs)}


def _pairs(connection: Connection, sql: str, jobs: Sequence[int]) -> list[tuple[int, int]]:
    rows = connection.exec_driver_sql(sql.format("SELECT value FROM json_each(?)"), (_listed(jobs),))
    return [(int(job), other) for job, other in rows]


def _listed(ids: Sequence[int]) -> str:
    return msgspec.json.encode(list(ids)).decode()
