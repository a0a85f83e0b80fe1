"""What does not get going: attempts held up in a queue, standing still or ended before they were ready; queued jobs
that nothing sends before a person does something."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from db import canaries
from db.limits import limited
from db.text import encode


@dataclass(frozen=True, kw_only=True)
class Held:
    """A live attempt that does not run, or stands still, and why the machines say so."""

    job: int
    submitted: bool
    """Its job waits in the queue; else it has its node."""
    phase: str
    reason: str


def held_up(connection: Connection) -> list[Held]:
    """The newest live attempt of each job for which the machines have given a reason, by job."""
    rows = connection.exec_driver_sql(
        "SELECT a.job_id, j.state, a.phase, a.reason FROM attempt a JOIN job j ON j.id = a.job_id "
        "WHERE a.state != 'ended' AND j.state IN ('submitted', 'running') AND a.reason IS NOT NULL AND a.reason != '' "
        "ORDER BY a.job_id"
    )
    return [Held(job=row[0], submitted=row[1] == "submitted", phase=row[2] or "", reason=row[3]) for row in rows]


NEVER_BEGAN = 500


def never_began(connection: Connection, job: int) -> list[tuple[int, str, tuple[str, ...]]]:
    """(job, node, evidence) of the newest launches that failed before any worker began, of jobs that run alike.

    Empty where any execution of them ever began: then what they run before it is sound.
    """
    alike = "JOIN job j ON j.id = a.job_id WHERE j.launch_id = (SELECT launch_id FROM job WHERE id = ?)"
    began = (
        f"SELECT EXISTS (SELECT 1 FROM attempt a {alike} AND EXISTS (SELECT 1 FROM execution WHERE attempt_id = a.id))"
    )
    if connection.exec_driver_sql(began, (job,)).scalar_one():
        return []
    rows = connection.exec_driver_sql(
        f"SELECT a.job_id, a.node, a.evidence FROM attempt a {alike} AND a.cause = 'launch_failure' "
        "AND a.node IS NOT NULL AND a.evidence IS NOT NULL ORDER BY a.id DESC LIMIT ?",
        (job, NEVER_BEGAN),
    )
    return [(int(row[0]), str(row[1]), tuple(msgspec.json.decode(row[2]))) for row in rows]


EARLY_ERRORS = 200


def early_errors(connection: Connection, job: int, generation: int) -> list[tuple[int, str, str]]:
    """(job, node, error) of the newest executions that failed before they were ready, of jobs that differ by seed only.

    Empty where any execution of them was ever ready: then the program is sound.
    """
    same = (
        "FROM job j JOIN execution e ON e.job_id = j.id JOIN attempt a ON a.id = e.attempt_id "
        "WHERE j.config_id = (SELECT config_id FROM job WHERE id = ?) AND a.generation = ? "
    )
    rows = connection.exec_driver_sql(
        f"SELECT e.job_id, e.node, e.error {same} AND e.ready_at IS NULL AND e.ending = 'failure' "
        "AND e.error IS NOT NULL ORDER BY e.id DESC LIMIT ?",
        (job, generation, EARLY_ERRORS),
    )
    found = [(int(row[0]), str(row[1]), str(row[2])) for row in rows]
    sql = f"SELECT EXISTS (SELECT 1 {same} AND e.ready_at IS NOT NULL)"
    if found and connection.exec_driver_sql(sql, (job, generation)).scalar_one():
        return []
    return found


def in_vain(
    connection: Connection,
    *,
    study: str | None = None,
    only: Sequence[int] | None = None,
    standing: Collection[int] = frozenset(),
) -> int:
    """How many queued jobs nothing sends before a person does something; of a study, or of `only` these.

    Their canary has failed, or too many of their study have. `standing`: jobs that stand still with the machines; what
    waits for one of them, or for room in a study that is full, waits in vain too.
    """
    halted = [one.job for one in canaries.opened(connection, study) if one.failed or one.job in standing]
    studies = [one.id for one in limited(connection, study) if one.stopped or (standing and one.room == 0)]
    if not halted and not studies:
        return 0
    rows = connection.exec_driver_sql(
        "SELECT count(*) FROM job WHERE state = 'queued' AND (study_id IN (SELECT value FROM json_each(?)) "
        "OR behind IN (SELECT value FROM json_each(?))) AND (? IS NULL OR id IN (SELECT value FROM json_each(?)))",
        (encode(studies), encode(halted), None if only is None else 1, encode(list(only or ()))),
    )
    return int(rows.scalar_one())
