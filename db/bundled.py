"""Attempts that share a task of SLURM with others (docs/bundles.md): who was with whom, and who is not to be again."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection

GIVEN_BACK = "given back by its task"
"""How the decision on an attempt begins that a bundle gave back."""


def sent_back(connection: Connection) -> set[int]:
    """Queued jobs that a bundle gave back in this generation although they had begun: they go alone next."""
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT a.job_id FROM job j JOIN attempt a ON a.job_id = j.id AND a.generation = j.generation "
        "JOIN submission s ON s.token = a.token JOIN execution e ON e.attempt_id = a.id "
        "WHERE j.state = 'queued' AND j.attempts > 0 AND s.bundle > 0 AND a.cause = 'cancelled' "
        "AND substr(a.decision, 1, ?) = ?",
        (len(GIVEN_BACK), GIVEN_BACK),
    )
    return {int(row[0]) for row in rows}


def before(connection: Connection, jobs: Iterable[int]) -> set[int]:
    """Of these jobs, those of which a bundle's runner may still begin an earlier attempt."""
    listed = msgspec.json.encode(list(jobs)).decode()
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT a.job_id FROM attempt a JOIN submission s ON s.token = a.token "
        "WHERE s.bundle > 0 AND a.job_id IN (SELECT value FROM json_each(?))",
        (listed,),
    )
    return {int(row[0]) for row in rows}


def mates(connection: Connection, token: str, position: int, bundle: int) -> set[int]:
    """The jobs of the task in which the attempt at that position is listed, its own among them; none if it is alone."""
    if not bundle:
        return set()
    rows = connection.exec_driver_sql(
        "SELECT job_id FROM attempt WHERE token = ? AND position / ? = ?", (token, bundle, position // bundle)
    )
    return {int(row[0]) for row in rows}
