"""Entries of a change of mind: terms that change, results taken out of every table, finished jobs that run anew."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import msgspec
from sqlalchemy import Connection

from db.applying import UNMET, apply, dependents, hold_back, launch_row
from db.changes import Altered, Change
from db.entries import Drop, Keep, Retry, Set
from db.following import pass_over
from db.launching import Launching
from db.registered import stopped_by_hand
from db.text import encode, stamp
from jobs.words import JobState


def changed(launching: Launching, change: Change) -> Launching:
    """The launching with what a person changed of it. Pure."""
    given = msgspec.structs.asdict(change.asked)
    asked = msgspec.structs.replace(
        launching.asked, **{name: value for name, value in given.items() if value is not None}
    )
    resources = msgspec.structs.replace(
        launching.resources, **{name: value for name, value in given.items() if value is not None}
    )
    options = {**launching.options, **change.options}
    if change.slurm:
        merged = {**dict(options.get("slurm", {})), **change.slurm}
        options["slurm"] = {name: value for name, value in merged.items() if value is not None}
    if change.asked.minutes is not None:
        options["minutes"] = change.asked.minutes
    surroundings = change.surroundings or launching.surroundings
    if change.env and surroundings is not None:
        surroundings = msgspec.structs.replace(surroundings, given={**surroundings.given, **change.env})
    return msgspec.structs.replace(
        launching,
        asked=asked,
        resources=resources,
        options=options,
        backend=change.backend or launching.backend,
        code=change.code or launching.code,
        surroundings=surroundings,
    )


def relaunch(connection: Connection, jobs: Iterable[int], change: Change) -> None:
    """Give jobs the changed launching from their next attempt on."""
    rows = [
        connection.exec_driver_sql(
            "SELECT j.id, l.id, l.text FROM job j JOIN launch l ON l.id = j.launch_id WHERE j.id = ?", (job,)
        ).one()
        for job in jobs
    ]
    made: dict[int, int] = {}
    for job, launch, text in rows:
        if launch not in made:
            made[launch] = launch_row(connection, changed(msgspec.json.decode(text, type=Launching), change))
        if change.asked.memory_mb is not None:
            connection.exec_driver_sql("UPDATE job SET memory_mb = NULL WHERE id = ?", (job,))
        connection.exec_driver_sql("UPDATE job SET launch_id = ? WHERE id = ?", (made[launch], job))
        if change.priority is not None:
            connection.exec_driver_sql("UPDATE job SET rank = ? WHERE id = ?", (-change.priority, job))


@apply.register
def _(entry: Set, connection: Connection) -> None:
    connection.exec_driver_sql(
        "UPDATE attempt SET launch_id = coalesce(launch_id, (SELECT launch_id FROM job WHERE id = job_id)), "
        "recall = max(recall, ?) WHERE job_id = ? AND state != 'ended'",
        [(int(entry.now), job) for job in entry.jobs],
    )
    relaunch(connection, entry.jobs, entry.change)
    if not entry.in_place and msgspec.structs.replace(entry.change, priority=None) != Change():
        for job in entry.jobs:
            _take_back(connection, job, stamp(entry.at))


def _take_back(connection: Connection, job: int, at: str) -> None:
    """What waits in the machines' queue under other terms is sent again; it counts as no failure."""
    taken = connection.exec_driver_sql(
        "UPDATE attempt SET state = 'ended', doomed = 1, cause = 'cancelled', decision = ?, ended_at = ? "
        "WHERE job_id = ? AND state = 'submitted'",
        ("taken back: it is sent again under other terms", at, job),
    )
    if taken.rowcount:
        connection.exec_driver_sql(
            "UPDATE job SET state = 'queued', cause = NULL, error = NULL, not_before = NULL, updated_at = ? "
            "WHERE id = ? AND state = 'submitted'",
            (at, job),
        )
        hold_back(connection, [job], at)


@apply.register
def _(entry: Altered, connection: Connection) -> None:
    text = encode(entry.change)
    connection.exec_driver_sql(
        "UPDATE attempt SET altered = json_patch(coalesce(altered, '{}'), ?), nice = coalesce(?, nice), "
        "recall = recall AND NOT ?, launch_id = CASE WHEN ? THEN (SELECT launch_id FROM job WHERE id = job_id) "
        "ELSE launch_id END WHERE job_id = ? AND number = ? AND state != 'ended'",
        [(text, entry.change.nice, entry.settled, entry.settled, *key) for key in entry.attempts],
    )


@apply.register
def _(entry: Drop, connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE job SET dropped = ? WHERE id = ?", [(entry.because, job) for job in entry.jobs])
    pass_over(connection, entry.jobs, stamp(entry.at))
    stopped_by_hand(connection, entry.jobs, "was dropped", stamp(entry.at))


@apply.register
def _(entry: Keep, connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE job SET dropped = NULL WHERE id = ?", [(job,) for job in entry.jobs])


@apply.register
def _(entry: Retry, connection: Connection) -> None:
    at = stamp(entry.at)
    listed = encode(entry.jobs)
    found = connection.exec_driver_sql(
        "SELECT id, state FROM job WHERE id IN (SELECT value FROM json_each(?))", (listed,)
    )
    states = {row[0]: row[1] for row in found}
    needed = connection.exec_driver_sql(
        "SELECT DISTINCT needs_id FROM job_dependency WHERE needs_id IN (SELECT value FROM json_each(?))", (listed,)
    )
    special = {row[0] for row in needed} | {job for job, state in states.items() if state == JobState.SUCCEEDED}
    for alone, jobs in groupby(dict.fromkeys(entry.jobs), key=lambda job: job not in special):
        if alone:
            rows = [
                (int(entry.resume), at, job) for job in jobs if states[job] in (JobState.FAILED, JobState.CANCELLED)
            ]
            if rows:
                connection.exec_driver_sql(_AGAIN, rows)
        else:
            _with_what_hangs_on_them(connection, entry, jobs, at)
    if entry.change is not None:
        relaunch(connection, entry.jobs, entry.change)


_AGAIN = (
    "UPDATE job SET state = CASE WHEN " + UNMET.format(job="job.id") + " THEN 'waiting' ELSE 'queued' END, "
    "generation = generation + 1, resume = ?, cause = NULL, error = NULL, not_before = NULL, updated_at = ? "
    "WHERE id = ?"
)


def _with_what_hangs_on_them(connection: Connection, entry: Retry, jobs: Iterable[int], at: str) -> None:
    """Retry jobs that have a result, or that others need, one after the other."""
    for job in jobs:
        state = connection.exec_driver_sql("SELECT state FROM job WHERE id = ?", (job,)).scalar_one()
        anew = entry.succeeded and state == JobState.SUCCEEDED
        if not (anew or state in (JobState.FAILED, JobState.CANCELLED)):
            continue
        if anew:
            stopped_by_hand(connection, [job], "was run again after its number was known", at)
            _set_aside(connection, job, at)
        connection.exec_driver_sql(_AGAIN, (int(entry.resume), at, job))
        if anew:
            connection.exec_driver_sql("DELETE FROM result WHERE job_id = ?", (job,))
        hold_back(connection, dependents(connection, job, JobState.QUEUED), at)


def _set_aside(connection: Connection, job: int, at: str) -> None:
    """The result of a finished job that runs anew is superseded, in the same transaction."""
    connection.exec_driver_sql(
        "INSERT INTO earlier_result "
        "SELECT job_id, generation, execution_id, architecture, metrics, flags, accepted_at, ? "
        "FROM result WHERE job_id = ?",
        (at, job),
    )
    connection.exec_driver_sql(
        "UPDATE execution SET superseded = 1 WHERE id = (SELECT execution_id FROM result WHERE job_id = ?)", (job,)
    )
