"""What `orch status` reads: counts that triggers keep, and jobs with their newest execution in one query.

Columns come back as the database has them (JSON as text), so that ten thousand jobs cost no decoding.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from jobs.words import JobState


class StatusRow(NamedTuple):
    """A job as `status` shows it; times are the database's text (UTC)."""

    id: int
    kind: str
    seed: int
    state: str
    imported: int
    cause: str | None
    error: str | None
    attempts: int
    executions: int
    declared: str | None
    """JSON: what a person declared of its metrics."""
    not_before: str | None
    updated_at: str
    node: str | None
    epoch: int | None
    epochs: int | None
    metrics: str | None
    """JSON: the result's numbers, else those of the newest epoch."""
    architecture: str | None
    code_changed: int
    attempt: int | None
    execution: str | None
    """Folder of the counted execution: the accepted one, else the newest of this generation."""
    started_at: str | None
    ready_at: str | None
    phase: str | None
    """Where the machines say the newest attempt is."""
    reason: str | None
    dropped: str | None
    flags: str | None
    """JSON: the remarks on the result."""
    behind: int | None
    """The canary that it waits for."""
    config: str
    """JSON: what the job was given."""
    label: str | None
    """A person's name for it, else its experiment of a study file."""
    usage: str | None
    """JSON: what that execution has used of its machine (jobs.usage.Usage)."""


_SELECT = """SELECT j.id, j.kind, j.seed, j.state, j.imported, j.cause, j.error, j.attempts,
    (SELECT count(*) FROM execution x WHERE x.job_id = j.id) AS executions,
    json_extract(l.text, '$.options.metrics') AS declared, j.not_before, j.updated_at,
    coalesce(e.node, a.node) AS node, e.epoch, e.epochs, coalesce(r.metrics, e.latest) AS metrics, r.architecture,
    coalesce(e.code_changed, 0) AS code_changed, ea.number AS attempt, e.name AS execution, e.started_at, e.ready_at,
    a.phase, a.reason, j.dropped, r.flags, j.behind, c.text AS config,
    coalesce(nullif(json_extract(l.text, '$.label'), ''), json_extract(l.text, '$.options.experiment')) AS label,
    e.usage
    FROM job j JOIN config c ON c.id = j.config_id JOIN launch l ON l.id = j.launch_id
    LEFT JOIN result r ON r.job_id = j.id
    LEFT JOIN execution e ON e.id = coalesce(r.execution_id, (SELECT max(x.id) FROM execution x
        JOIN attempt y ON y.id = x.attempt_id WHERE x.job_id = j.id AND y.generation = j.generation))
    LEFT JOIN attempt ea ON ea.id = e.attempt_id
    LEFT JOIN attempt a ON a.job_id = j.id AND a.number = j.attempts
    WHERE j.study_id = (SELECT id FROM study WHERE name = ?) """


def rows(connection: Connection, study: str) -> list[StatusRow]:
    """Every job of a study, in order of id."""
    return [StatusRow._make(row) for row in connection.exec_driver_sql(_SELECT + "ORDER BY j.id", (study,))]


def some(
    connection: Connection, study: str, state: JobState, kinds: Collection[str], limit: int, *, newest: bool = False
) -> list[StatusRow]:
    """A few jobs of one state and these kinds, grouped by kind: the first ones by id, or the last.

    One indexed query a kind, so that a million other jobs cost nothing.
    """
    sql = f"{_SELECT} AND j.state = ? AND j.kind = ? ORDER BY j.id {'DESC' if newest else ''} LIMIT ?"
    found = [
        StatusRow._make(row)
        for kind in kinds
        for row in connection.exec_driver_sql(sql, (study, state.value, kind, limit))
    ]
    chosen = sorted(found, key=lambda row: row.id, reverse=newest)[:limit]
    return sorted(chosen, key=lambda row: row.kind)


def by_id(connection: Connection, jobs: Sequence[int]) -> list[StatusRow]:
    """Those jobs of any study (at most 500), by id."""
    where = f"WHERE j.id IN ({','.join('?' * len(jobs))}) ORDER BY j.id"
    sql = _SELECT.partition("WHERE j.study_id")[0] + where
    return [StatusRow._make(row) for row in connection.exec_driver_sql(sql, tuple(jobs))]


def configs(connection: Connection, study: str, kind: str, states: Collection[JobState], limit: int) -> list[str]:
    """What jobs of a study and kind were given, each config (JSON) once: of so many jobs of each state, the newest."""
    found: dict[str, None] = {}
    for state in states:
        for (text,) in connection.exec_driver_sql(
            "SELECT text FROM config WHERE id IN (SELECT config_id FROM job WHERE state = ? AND kind = ? "
            "AND study_id = (SELECT id FROM study WHERE name = ?) ORDER BY id DESC LIMIT ?) ORDER BY id",
            (state.value, kind, study, limit),
        ):
            found[text] = None
    return list(found)


def kind_counts(connection: Connection, study: str) -> dict[str, dict[JobState, int]]:
    """Kind → state → jobs, kept by triggers: never reads the jobs."""
    found: dict[str, dict[JobState, int]] = {}
    for kind, state, n in connection.exec_driver_sql(
        "SELECT kind, state, n FROM job_count WHERE study_id = (SELECT id FROM study WHERE name = ?) AND n > 0 "
        "ORDER BY kind",
        (study,),
    ):
        found.setdefault(kind, {})[JobState(state)] = n
    return found


def study_counts(connection: Connection) -> dict[str, int]:
    """Study → its jobs."""
    return {
        name: int(n)
        for name, n in connection.exec_driver_sql(
            "SELECT s.name, coalesce(sum(c.n), 0) FROM study s LEFT JOIN job_count c ON c.study_id = s.id "
            "GROUP BY s.name ORDER BY s.name"
        )
    }


def code_changed(connection: Connection, study: str, limit: int) -> tuple[int, list[int]]:
    """How many jobs of a study have an execution whose code was not the submitted one, and the first few."""
    where = (
        "FROM execution e CROSS JOIN job j ON j.id = e.job_id WHERE e.code_changed = 1 "
        "AND j.study_id = (SELECT id FROM study WHERE name = ?)"
    )
    n = int(connection.exec_driver_sql(f"SELECT count(DISTINCT e.job_id) {where}", (study,)).scalar_one())
    first = connection.exec_driver_sql(f"SELECT DISTINCT e.job_id {where} ORDER BY 1 LIMIT ?", (study, limit))
    return n, [int(row[0]) for row in first]


def waiting_launches(connection: Connection, study: str, limit: int) -> list[tuple[str, int, int]]:
    """(how jobs are run as JSON, how many, the first of them) of the first jobs of a study that have not started."""
    rows = connection.exec_driver_sql(
        """SELECT l.text, w.n, w.first FROM (SELECT launch_id, count(*) AS n, min(id) AS first FROM (
            SELECT id, launch_id FROM job WHERE study_id = (SELECT id FROM study WHERE name = ?)
            AND state IN ('waiting', 'queued', 'submitted') LIMIT ?) GROUP BY launch_id) w
        JOIN launch l ON l.id = w.launch_id ORDER BY w.first""",
        (study, limit),
    )
    return [(row[0], int(row[1]), int(row[2])) for row in rows]


def live_code(connection: Connection, study: str, limit: int) -> tuple[int, list[int]]:
    """How many jobs of a study run live code (`--code live`), and the first few."""
    launches = connection.exec_driver_sql(
        "SELECT id FROM launch WHERE json_extract(text, '$.code') IS NOT NULL "
        "AND json_extract(text, '$.code.snapshot') IS NULL AND json_extract(text, '$.code.package') IS NULL"
    )
    ids = [int(row[0]) for row in launches]
    if not ids:
        return 0, []
    where = (
        f"FROM job WHERE launch_id IN ({','.join(map(str, ids))}) AND state != 'cancelled' "
        "AND study_id = (SELECT id FROM study WHERE name = ?)"
    )
    n = int(connection.exec_driver_sql(f"SELECT count(*) {where}", (study,)).scalar_one())
    first = connection.exec_driver_sql(f"SELECT id {where} ORDER BY id LIMIT ?", (study, limit))
    return n, [int(row[0]) for row in first]


def searches(connection: Connection, study: str) -> list[tuple[int, str]]:
    """(job, the newest numbers as JSON) of a study's searches that have any, dropped and cancelled ones left out."""
    found = connection.exec_driver_sql(
        """SELECT j.id, coalesce(r.metrics, e.latest) AS metrics FROM job j LEFT JOIN result r ON r.job_id = j.id
        LEFT JOIN execution e ON e.id = (SELECT max(x.id) FROM execution x WHERE x.job_id = j.id)
        WHERE j.kind = 'search' AND j.state IN ('running', 'succeeded') AND j.dropped IS NULL
        AND j.study_id = (SELECT id FROM study WHERE name = ?) AND metrics IS NOT NULL ORDER BY j.id""",
        (study,),
    )
    return [(int(row[0]), str(row[1])) for row in found]


def may_have_news(connection: Connection) -> bool:
    """Whether any execution may have written what the store does not hold yet.

    Of jobs that are open, or that a late success could still close; what comes after that is not worth a look.
    """
    return bool(
        connection.exec_driver_sql(
            """SELECT EXISTS (SELECT 1 FROM attempt a WHERE (a.state != 'ended' OR a.doomed = 1)
                AND NOT (a.state = 'ended' AND EXISTS (
                    SELECT 1 FROM execution e WHERE e.attempt_id = a.id AND e.ending IS NOT NULL)))
            OR EXISTS (SELECT 1 FROM attempt a CROSS JOIN job j ON j.id = a.job_id
                WHERE a.cause IN ('lost', 'node_failure', 'killed', 'timeout', 'launch_failure', 'preempted')
                AND a.generation = j.generation AND j.state IN ('queued', 'failed'))"""
        ).scalar_one()
    )
