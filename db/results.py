"""Results for tables, figures and statistics over very many rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection

from db.executions import metrics_of
from db.jobs import blocked
from db.rows import Curve, ResultRow, Span
from db.text import parse_time
from jobs.words import JobState


def rows(connection: Connection, study: str) -> list[ResultRow]:
    """Every job of a study that was not cancelled, with its result where it has one, in order of id."""
    stuck = blocked(connection, study)
    found = connection.exec_driver_sql(
        """SELECT j.id, j.kind, c.preset, c.dataset, j.seed, j.state, j.imported, c.text AS config, l.text AS launching,
        r.metrics, r.architecture, r.flags, a.edges, e.device_name, e.code_changed,
        (SELECT sum(gpu_seconds) FROM execution WHERE job_id = j.id) AS gpu_seconds
        FROM job j JOIN config c ON c.id = j.config_id JOIN launch l ON l.id = j.launch_id
        LEFT JOIN result r ON r.job_id = j.id LEFT JOIN architecture a ON a.hash = r.architecture
        LEFT JOIN execution e ON e.id = r.execution_id
        WHERE j.study_id = (SELECT id FROM study WHERE name = ?) AND j.state != 'cancelled' ORDER BY j.id""",
        (study,),
    )
    return [_row(item, study, item.id in stuck) for item in found]


def _row(item: Any, study: str, is_blocked: bool) -> ResultRow:
    fingerprint = msgspec.json.decode(item.launching).get("fingerprint") or {}
    code = " ".join(str(fingerprint[k])[:12] for k in ("version", "source", "commit", "diff") if fingerprint.get(k))
    return ResultRow(
        job=item.id,
        study=study,
        kind=item.kind,
        preset=item.preset,
        dataset=item.dataset,
        seed=item.seed,
        state=JobState(item.state),
        blocked=is_blocked,
        imported=bool(item.imported),
        config=msgspec.json.decode(item.config),
        metrics=msgspec.json.decode(item.metrics) if item.metrics else {},
        architecture=item.architecture or (f"imported-{item.id}" if item.imported else None),
        edges=tuple((i, j) for i, j in msgspec.json.decode(item.edges)) if item.edges else None,
        device_name=item.device_name or "",
        code=code,
        code_changed=bool(item.code_changed),
        gpu_seconds=item.gpu_seconds or 0.0,
        flags=msgspec.json.decode(item.flags) if item.flags else {},
    )


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


def curves(connection: Connection, study: str, kinds: Sequence[str] = ()) -> list[Curve]:
    """The per-epoch numbers of a study's jobs, of those kinds."""
    where = f"AND j.kind IN ({','.join('?' * len(kinds))})" if kinds else ""
    jobs = connection.exec_driver_sql(
        "SELECT j.id, j.kind, j.seed, c.text AS config FROM job j JOIN config c ON c.id = j.config_id "
        f"WHERE j.study_id = (SELECT id FROM study WHERE name = ?) AND j.state != 'cancelled' {where} ORDER BY j.id",
        (study, *kinds),
    ).all()
    found = []
    for item in jobs:
        execution = counted_execution(connection, item.id)
        if execution is not None:
            points = tuple(metrics_of(connection, execution))
            config = msgspec.json.decode(item.config)
            found.append(Curve(job=item.id, kind=item.kind, seed=item.seed, config=config, points=points))
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
