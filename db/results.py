"""Results for tables, figures and statistics over very many rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from db.columns import bunches
from db.corrections import as_corrected
from db.executions import last_of, metrics_of
from db.rows import Curve, ResultRow, Span
from db.text import parse_time


def rows(connection: Connection, study: str, *, cancelled: bool = False, dropped: bool = False) -> list[ResultRow]:
    """Every job of a study, with its result where it has one, in order of id.

    Cancelled ones, and those that a person dropped, only where they are asked for.
    """
    return list(bunches(connection, study, cancelled=cancelled, dropped=dropped))


def counted_execution(connection: Connection, job: int) -> int | None:
    """The execution whose metrics count: the accepted one, else the newest."""
    found = connection.exec_driver_sql(
        "SELECT coalesce((SELECT execution_id FROM result WHERE job_id = ?), "
        "(SELECT max(id) FROM execution WHERE job_id = ?))",
        (job, job),
    ).scalar_one()
    return None if found is None else int(found)


def execution_path(connection: Connection, job: int) -> tuple[int, str] | None:
    """(attempt number, folder name) of the execution whose metrics count; None where there is none."""
    execution = counted_execution(connection, job)
    if execution is None:
        return None
    row = connection.exec_driver_sql(
        "SELECT a.number, e.name FROM execution e JOIN attempt a ON a.id = e.attempt_id WHERE e.id = ?", (execution,)
    ).one()
    return int(row[0]), str(row[1])


def accepted_execution(connection: Connection, job: int) -> tuple[int, str] | None:
    """(attempt number, folder name) of the accepted execution; None without one (an import)."""
    row = connection.exec_driver_sql(
        "SELECT a.number, e.name FROM result r JOIN execution e ON e.id = r.execution_id "
        "JOIN attempt a ON a.id = e.attempt_id WHERE r.job_id = ?",
        (job,),
    ).one_or_none()
    return (int(row[0]), str(row[1])) if row else None


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """When the result of a job was accepted, in which generation, and when its execution began (None: an import)."""

    generation: int
    at: datetime
    started_at: datetime | None


def acceptances(connection: Connection, study: str) -> dict[int, Acceptance]:
    """Of every job of a study that has a result."""
    found = connection.exec_driver_sql(
        "SELECT r.job_id, r.generation, r.accepted_at, e.started_at FROM result r JOIN job j ON j.id = r.job_id "
        "LEFT JOIN execution e ON e.id = r.execution_id WHERE j.study_id = (SELECT id FROM study WHERE name = ?)",
        (study,),
    )
    return {
        row[0]: Acceptance(generation=row[1], at=parse_time(row[2]), started_at=parse_time(row[3]) if row[3] else None)
        for row in found
    }


def set_aside(connection: Connection, study: str) -> int:
    """How many results of a study are superseded: a person had their jobs run anew."""
    return int(
        connection.exec_driver_sql(
            "SELECT count(*) FROM earlier_result e JOIN job j ON j.id = e.job_id "
            "WHERE j.study_id = (SELECT id FROM study WHERE name = ?)",
            (study,),
        ).scalar_one()
    )


def points(connection: Connection, job: int) -> list[tuple[int, Mapping[str, float | None]]]:
    """The per-epoch numbers of a job's counted execution, ascending; none of an import."""
    execution = counted_execution(connection, job)
    return [] if execution is None else metrics_of(connection, execution)


def curves(connection: Connection, study: str, kinds: Sequence[str] = ()) -> list[Curve]:
    """The per-epoch numbers of a study's jobs, of those kinds."""
    where = f"AND j.kind IN ({','.join('?' * len(kinds))})" if kinds else ""
    jobs = connection.exec_driver_sql(
        "SELECT j.id, j.kind, j.seed, c.text AS config, json_extract(l.text, '$.label') AS label, r.metrics, "
        "r.original FROM job j JOIN config c ON c.id = j.config_id JOIN launch l ON l.id = j.launch_id "
        "LEFT JOIN result r ON r.job_id = j.id "
        f"WHERE j.study_id = (SELECT id FROM study WHERE name = ?) AND j.state != 'cancelled' "
        f"AND j.dropped IS NULL {where} ORDER BY j.id",
        (study, *kinds),
    ).all()
    found = []
    for item in jobs:
        execution = counted_execution(connection, item.id)
        if execution is not None:
            found.append(
                Curve(
                    job=item.id,
                    kind=item.kind,
                    seed=item.seed,
                    config=msgspec.json.decode(item.config),
                    label=item.label or "",
                    points=tuple(metrics_of(connection, execution)),
                    last=as_corrected(last_of(connection, execution), item.metrics, item.original),
                )
            )
    return found


def spans(connection: Connection, study: str) -> list[Span]:
    """Every execution of a study on its node, for the Gantt chart."""
    found = connection.exec_driver_sql(
        "SELECT j.id, j.kind, j.seed, a.number, e.name, e.node, e.started_at, e.ended_at, e.cause FROM execution e "
        "JOIN attempt a ON a.id = e.attempt_id JOIN job j ON j.id = e.job_id "
        "WHERE j.study_id = (SELECT id FROM study WHERE name = ?) ORDER BY e.id",
        (study,),
    )
    return [
        Span(
            job=row[0],
            kind=row[1],
            seed=row[2],
            attempt=row[3],
            execution=row[4],
            node=row[5],
            started_at=parse_time(row[6]),
            ended_at=parse_time(row[7]) if row[7] else None,
            cause=row[8],
        )
        for row in found
    ]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Mean and sample std (ddof = 1) of the test accuracy of one config, in percent."""

    config: int
    n: int
    mean: float
    std: float | None


def accuracy_by_config(connection: Connection) -> list[Group]:
    """Mean±std of every config over its results, by a covering index, in two passes.

    The second pass sums squared distances from the mean: the one-pass sum of squares is numerically wrong
    (mean 1e8, std 1e-3 gives 2.56).
    """
    found = connection.exec_driver_sql(
        """WITH g AS (SELECT config_id, count(test_accuracy) AS n, avg(test_accuracy) AS mean FROM result
            WHERE test_accuracy IS NOT NULL GROUP BY config_id)
        SELECT g.config_id, g.n, g.mean, (SELECT sum((test_accuracy - g.mean) * (test_accuracy - g.mean))
            FROM result r WHERE r.config_id = g.config_id AND r.test_accuracy IS NOT NULL) FROM g"""
    )
    return [
        Group(config=config, n=n, mean=mean, std=math.sqrt(squares / (n - 1)) if n > 1 else None)
        for config, n, mean, squares in found
    ]
