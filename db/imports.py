"""Results that were made elsewhere: which of them a study has already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from jobs.records import Edge


@dataclass(frozen=True, kw_only=True)
class Known:
    """A job that a study has under a key, with its result's numbers."""

    job: int
    metrics: Mapping[str, float | None]
    edges: tuple[Edge, ...] | None


def known(connection: Connection, study: str, keys: Sequence[str]) -> dict[str, Known]:
    """Key → what the study has under it."""
    found: dict[str, Known] = {}
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        rows = connection.exec_driver_sql(
            "SELECT j.key, j.id, r.metrics, a.edges FROM job j LEFT JOIN result r ON r.job_id = j.id "
            "LEFT JOIN architecture a ON a.hash = r.architecture "
            f"WHERE j.study_id = (SELECT id FROM study WHERE name = ?) AND j.key IN ({','.join('?' * len(part))})",
            (study, *part),
        )
        for key, job, metrics, edges in rows:
            found[key] = Known(
                job=job,
                metrics=msgspec.json.decode(metrics) if metrics else {},
                edges=tuple((i, j) for i, j in msgspec.json.decode(edges)) if edges else None,
            )
    return found
