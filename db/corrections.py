"""Results that were taken by an older rule, and those that were corrected since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from jobs.metrics import RULE
from jobs.records import NO_PLACE


@dataclass(frozen=True, kw_only=True)
class Unchecked:
    """A result that the present rule has not looked at, and where its execution lies."""

    job: int
    kind: str
    attempt: int
    execution: str
    row: int
    """The execution's id in the database."""
    metrics: Mapping[str, float | None]
    flags: Mapping[str, str]
    rule: int
    files: bool
    """Whether its job declares result files."""


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """A result whose numbers are not those that were accepted."""

    job: int
    study: str
    seed: int
    before: Mapping[str, float | None]
    metrics: Mapping[str, float | None]
    flags: Mapping[str, str]


def any_unchecked(connection: Connection) -> bool:
    """Whether there is any; one look into an index."""
    return bool(connection.exec_driver_sql(f"SELECT EXISTS (SELECT 1 FROM result WHERE rule < {RULE})").scalar_one())


def unchecked(connection: Connection) -> list[Unchecked]:
    """All of them, in order of job."""
    rows = connection.exec_driver_sql(
        "SELECT r.job_id, j.kind, a.number, e.name, r.metrics, r.flags, e.id, r.rule, "
        "json_array_length(l.text, '$.options.result_files') FROM result r "
        "JOIN job j ON j.id = r.job_id JOIN execution e ON e.id = r.execution_id "
        "JOIN attempt a ON a.id = e.attempt_id JOIN launch l ON l.id = j.launch_id "
        f"WHERE r.rule < {RULE} ORDER BY r.job_id"
    )
    return [
        Unchecked(
            job=row[0],
            kind=row[1],
            attempt=row[2],
            execution=row[3],
            metrics=msgspec.json.decode(row[4]),
            flags=msgspec.json.decode(row[5]),
            row=row[6],
            rule=row[7],
            files=bool(row[8]),
        )
        for row in rows
    ]


def corrected(connection: Connection) -> list[Corrected]:
    """All of them, in order of job."""
    rows = connection.exec_driver_sql(
        "SELECT r.job_id, s.name, j.seed, r.original, r.metrics, r.flags FROM result r JOIN job j ON j.id = r.job_id "
        "JOIN study s ON s.id = j.study_id WHERE r.original IS NOT NULL ORDER BY r.job_id"
    )
    return [
        Corrected(
            job=row[0],
            study=row[1],
            seed=row[2],
            before=msgspec.json.decode(row[3]),
            metrics=msgspec.json.decode(row[4]),
            flags=msgspec.json.decode(row[5]),
        )
        for row in rows
    ]


def as_corrected(
    last: dict[str, tuple[int, float | None]], metrics: str | None, original: str | None
) -> dict[str, tuple[int, float | None]]:
    """The newest lines, with what a correction took from a line that has no place on the curve."""
    if metrics is None or original is None:
        return last
    before, after = msgspec.json.decode(original), msgspec.json.decode(metrics)
    changed = {
        name: (NO_PLACE, value)
        for name, value in after.items()
        if (was := last.get(name, (NO_PLACE, None))[1]) == before.get(name) and was != value
    }
    return {**last, **changed}
