"""Applying journal entries: the only code that changes jobs, attempts, submissions, results and node health.

Everything follows from the entry (its times too), so that live use and a rebuild end with the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import singledispatch

from sqlalchemy import Connection

from db.entries import Cancel, ClearStrikes, Dispatch, Ended, Entry, Lost, Strike, Submit
from db.executions import vanished
from db.following import leave, pass_over, taken_back
from db.launching import Launching, Template
from db.text import encode, stamp
from jobs.words import Cause, JobState


@singledispatch
def apply(entry: Entry, connection: Connection) -> None:
    """Change the database as the entry says, inside the caller's transaction. Raises IntegrityError by its rules."""
    raise TypeError(f"no journal entry: {entry!r}")


def study_row(connection: Connection, name: str) -> int:
    """The row of that study, made where it is new."""
    connection.exec_driver_sql("INSERT INTO study (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
    return int(connection.exec_driver_sql("SELECT id FROM study WHERE name = ?", (name,)).scalar_one())


def template_rows(connection: Connection, templates: Iterable[Template]) -> list[tuple[str, int, int]]:
    """(kind, config id, launch id) of each template; the rows are made where they are new."""
    templates = list(templates)
    if not templates:
        return []
    configs = [(one.kind, one.kind_version, one.preset, one.dataset, encode(one.config)) for one in templates]
    connection.exec_driver_sql(
        "INSERT INTO config (kind, kind_version, preset, dataset, text) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        configs,
    )
    ids = connection.exec_driver_sql(
        "SELECT w.key, c.id FROM json_each(?) w JOIN config c ON c.kind = json_extract(w.value, '$[0]') AND "
        "c.kind_version = json_extract(w.value, '$[1]') AND c.dataset = json_extract(w.value, '$[3]') AND "
        "c.text = json_extract(w.value, '$[4]')",
        (encode(configs),),
    )
    by_place = {int(place): int(id) for place, id in ids}
    launches = launch_rows(connection, [one.launching for one in templates])
    return [(one.kind, by_place[place], launches[place]) for place, one in enumerate(templates)]


def launch_row(connection: Connection, launching: Launching) -> int:
    """The row of that launching, made where it is new."""
    (found,) = launch_rows(connection, [launching])
    return found


def launch_rows(connection: Connection, launchings: Sequence[Launching]) -> list[int]:
    """The row of each of these launchings, made where it is new."""
    texts = [encode(one) for one in launchings]
    connection.exec_driver_sql(
        "INSERT INTO launch (backend, text) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(one.backend, text) for one, text in zip(launchings, texts, strict=True)],
    )
    found = connection.exec_driver_sql(
        "SELECT text, id FROM launch WHERE text IN (SELECT value FROM json_each(?))", (encode(texts),)
    )
    ids = {text: int(id) for text, id in found}
    return [ids[text] for text in texts]


@apply.register
def _(entry: Submit, connection: Connection) -> None:
    study = study_row(connection, entry.study)
    templates = template_rows(connection, entry.templates)
    at = stamp(entry.at)
    rows = []
    for job in entry.jobs:
        kind, config, launch = templates[job.template]
        state = JobState.WAITING if job.needs else JobState.QUEUED
        rows.append((job.id, study, config, launch, kind, job.seed, job.key, state.value, int(job.tolerant), at, at))
    connection.exec_driver_sql(
        "INSERT INTO job "
        "(id, study_id, config_id, launch_id, kind, seed, key, state, tolerant, created_at, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    needs = [(job.id, needed) for job in entry.jobs for needed in dict.fromkeys(job.needs)]
    if needs:
        connection.exec_driver_sql("INSERT INTO job_dependency VALUES (?, ?)", needs)
        release(connection, [job.id for job in entry.jobs if job.needs], at)


@apply.register
def _(entry: Cancel, connection: Connection) -> None:
    at = stamp(entry.at)
    jobs = [(at, job) for job in entry.jobs]
    connection.exec_driver_sql(
        "UPDATE attempt SET state = 'ended', doomed = 1, cause = 'cancelled', ended_at = ? "
        "WHERE job_id = ? AND state != 'ended'",
        jobs,
    )
    leave(connection, entry.jobs, at)
    connection.exec_driver_sql(
        "UPDATE job SET state = 'cancelled', cause = 'cancelled', error = NULL, not_before = NULL, updated_at = ? "
        "WHERE id = ? AND state IN ('waiting', 'queued', 'submitted', 'running')",
        jobs,
    )
    vanished(connection, entry.jobs)


@apply.register
def _(entry: Dispatch, connection: Connection) -> None:
    at = stamp(entry.at)
    connection.exec_driver_sql(
        "INSERT INTO submission (token, backend, size, pieces, bundle, slot, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (entry.token, entry.backend, len(entry.tasks), entry.pieces, entry.bundle, entry.slot, at),
    )
    connection.exec_driver_sql(
        "INSERT INTO attempt (job_id, number, generation, token, position, created_at, nice, launch_id) "
        "SELECT id, ?, ?, ?, ?, ?, ?, launch_id FROM job WHERE id = ?",
        [
            (t.attempt, t.generation, entry.token, position, at, entry.nice, t.job)
            for position, t in enumerate(entry.tasks)
        ],
    )
    connection.exec_driver_sql(
        "UPDATE job SET state = 'submitted', attempts = ?, not_before = NULL, updated_at = ? WHERE id = ?",
        [(t.attempt, at, t.job) for t in entry.tasks],
    )


@apply.register
def _(entry: Ended, connection: Connection) -> None:
    at = stamp(entry.at)
    connection.exec_driver_sql(
        "UPDATE attempt SET state = 'ended', doomed = ?, cause = ?, evidence = ?, decision = ?, ended_at = ?, "
        "node = coalesce(?, node), checkpoint_step = ? WHERE job_id = ? AND number = ? AND state != 'ended'",
        (
            int(entry.launched),
            entry.cause.value,
            encode(entry.evidence),
            entry.decision,
            at,
            entry.node,
            entry.checkpoint_step,
            entry.job,
            entry.attempt,
        ),
    )
    connection.exec_driver_sql(
        "UPDATE job SET state = ?, cause = ?, error = ?, not_before = ?, memory_mb = coalesce(?, memory_mb), "
        "updated_at = ? WHERE id = ? AND attempts = ? AND state IN ('submitted', 'running')",
        (
            entry.then,
            entry.cause.value,
            entry.error,
            stamp(entry.not_before) if entry.not_before else None,
            entry.memory_mb,
            at,
            entry.job,
            entry.attempt,
        ),
    )
    vanished(connection, [entry.job])
    if entry.then == JobState.QUEUED:
        hold_back(connection, [entry.job], at)
    if entry.then == JobState.FAILED:
        pass_over(connection, [entry.job], at)
        release(connection, dependents(connection, entry.job), at)
    if entry.then == JobState.CANCELLED:
        taken_back(connection, [entry.job], at)


@apply.register
def _(entry: Strike, connection: Connection) -> None:
    connection.exec_driver_sql(
        "INSERT INTO node_health (node, at, cause, job_id) VALUES (?, ?, ?, ?)",
        (entry.node, stamp(entry.at), entry.cause.value, entry.job),
    )


@apply.register
def _(entry: ClearStrikes, connection: Connection) -> None:
    at = stamp(entry.at)
    if not entry.nodes and not entry.jobs:
        connection.exec_driver_sql("UPDATE node_health SET cleared_at = ? WHERE cleared_at IS NULL", (at,))
    for job in entry.jobs:
        connection.exec_driver_sql(
            "UPDATE node_health SET cleared_at = ? WHERE cleared_at IS NULL AND job_id = ? AND cause = ?",
            (at, job, Cause.LAUNCH_FAILURE.value),
        )
    for node in entry.nodes:
        connection.exec_driver_sql(
            "UPDATE node_health SET cleared_at = ? WHERE cleared_at IS NULL AND node = ?", (at, node)
        )


@apply.register
def _(entry: Lost, connection: Connection) -> None:
    connection.exec_driver_sql(
        "INSERT INTO setting VALUES ('journal_lost', ?) ON CONFLICT (name) "
        "DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))",
        (str(max(entry.jobs, default=0)),),
    )


UNMET = (
    "EXISTS (SELECT 1 FROM job_dependency d JOIN job n ON n.id = d.needs_id WHERE d.job_id = {job} "
    "AND NOT (n.state = 'succeeded' OR (job.tolerant = 1 AND n.state = 'failed')))"
)


def dependents(connection: Connection, job: int, state: JobState = JobState.WAITING) -> list[int]:
    """The jobs in that state that need this one."""
    rows = connection.exec_driver_sql(
        "SELECT d.job_id FROM job_dependency d JOIN job j ON j.id = d.job_id WHERE d.needs_id = ? AND j.state = ?",
        (job, state.value),
    )
    return [int(row[0]) for row in rows]


def hold_back(connection: Connection, jobs: Iterable[int], at: str) -> None:
    """Let those queued jobs wait that need one which has begun anew."""
    rows = [(at, job) for job in jobs]
    if rows:
        connection.exec_driver_sql(
            "UPDATE job SET state = 'waiting', updated_at = ? WHERE id = ? AND state = 'queued' AND "
            + UNMET.format(job="job.id"),
            rows,
        )


def release(connection: Connection, jobs: Iterable[int], at: str) -> None:
    """Queue those waiting jobs whose needed jobs have all succeeded (a tolerant one: or failed)."""
    rows = [(at, job) for job in jobs]
    if rows:
        connection.exec_driver_sql(
            "UPDATE job SET state = 'queued', updated_at = ? WHERE id = ? AND state = 'waiting' AND NOT "
            + UNMET.format(job="job.id"),
            rows,
        )
