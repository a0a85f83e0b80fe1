"""Attempts that were sent under other terms, or with another nice, than their jobs are to have by now."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection

from db import attempts
from db.attempts import StoredAttempt
from db.launching import Launching
from jobs.words import BackendName


def level(connection: Connection) -> int:
    """The highest priority of what waits in SLURM's queue; 0 where none is above it."""
    found = connection.exec_driver_sql(
        "SELECT max(-j.rank) FROM attempt a JOIN submission s ON s.token = a.token JOIN job j ON j.id = a.job_id "
        "WHERE a.state = 'submitted' AND s.backend = ?",
        (BackendName.SLURM.value,),
    ).scalar_one()
    return max(0, found or 0)


def due(connection: Connection, level: int, step: int) -> list[StoredAttempt]:
    """Live attempts that are to be stopped, and those of SLURM that have not what they should, oldest first.

    `step`: by so much nice a priority lies below the one above it.
    """
    rows = connection.exec_driver_sql(
        "SELECT a.id FROM attempt a JOIN submission s ON s.token = a.token JOIN job j ON j.id = a.job_id "
        "WHERE a.state != 'ended' AND (a.recall = 1 OR (s.backend = ? AND (a.launch_id != j.launch_id "
        "OR (a.state = 'submitted' AND a.nice != max(0, ? + j.rank) * ?))))",
        (BackendName.SLURM.value, level, step),
    )
    ids = [int(row[0]) for row in rows]
    return attempts.of_ids(connection, ids) if ids else []


def is_due(connection: Connection, job: int, number: int) -> bool:
    """Whether an attempt was sent under other terms than its job has now."""
    found = connection.exec_driver_sql(
        "SELECT a.launch_id != j.launch_id FROM attempt a JOIN job j ON j.id = a.job_id "
        "WHERE a.job_id = ? AND a.number = ?",
        (job, number),
    ).scalar_one_or_none()
    return bool(found)


def launchings(connection: Connection, ids: Iterable[int]) -> dict[int, Launching]:
    """How jobs are run, by the row's id."""
    found = {}
    for one in set(ids):
        text = connection.exec_driver_sql("SELECT text FROM launch WHERE id = ?", (one,)).scalar_one()
        found[one] = msgspec.json.decode(text, type=Launching)
    return found
