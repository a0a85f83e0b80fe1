"""What the store knows of jobs now: how far they are, and their numbers. Written into decisions about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Connection

from db.entries import Known
from db.text import encode


def known(connection: Connection, jobs: Iterable[int]) -> tuple[Known, ...]:
    """Of those of these jobs that have reported anything: the numbers of the result, else of the newest execution."""
    found = connection.exec_driver_sql(
        "SELECT j.id, r.metrics, e.epoch, e.epochs, e.latest FROM job j LEFT JOIN result r ON r.job_id = j.id "
        "LEFT JOIN execution e ON e.id = coalesce(r.execution_id, (SELECT max(id) FROM execution WHERE job_id = j.id)) "
        "WHERE j.id IN (SELECT value FROM json_each(?)) AND (r.metrics IS NOT NULL OR e.latest IS NOT NULL) "
        "ORDER BY j.id",
        (encode(list(jobs)),),
    )
    return tuple(
        Known(
            job=row.id,
            epoch=-1 if row.epoch is None else row.epoch,
            epochs=row.epochs or 0,
            numbers=msgspec.json.decode(row.metrics or row.latest),
        )
        for row in found
    )


def newest_attempts(connection: Connection, jobs: Sequence[int]) -> list[tuple[int, int]]:
    """(job, number) of the newest attempt of each of these jobs that have one and have not ended."""
    found = connection.exec_driver_sql(
        "SELECT id, attempts FROM job WHERE id IN (SELECT value FROM json_each(?)) AND attempts > 0 "
        "AND state IN ('submitted', 'running', 'queued') ORDER BY id",
        (encode(list(jobs)),),
    )
    return [(int(row[0]), int(row[1])) for row in found]
