"""Attempts and their submissions: who is alive, what the machines say, and the history that budgets count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection

from db.text import parse_time, stamp
from jobs.words import AttemptState, Cause


@dataclass(frozen=True, kw_only=True)
class StoredAttempt:
    """One try of a job, with its submission and the process facts of its newest execution."""

    id: int
    job: int
    kind: str
    number: int
    generation: int
    job_generation: int
    token: str
    position: int
    size: int
    backend: str
    native_id: str | None
    slot: str | None
    state: AttemptState
    doomed: bool
    phase: str | None
    reason: str | None
    node: str | None
    absent: int
    cause: Cause | None
    evidence: tuple[str, ...]
    decision: str | None
    checkpoint_step: int
    created_at: datetime
    ended_at: datetime | None
    pid: int | None
    process_start: float | None
    boot_id: str | None


_SELECT = """SELECT a.id, a.job_id AS job, j.kind, a.number, a.generation, j.generation AS job_generation, a.token,
    a.position, s.size, s.backend, s.native_id, s.slot, a.state, a.doomed, a.phase, a.reason,
    coalesce(e.node, a.node) AS node, a.absent, a.cause, a.evidence, a.decision, a.checkpoint_step, a.created_at,
    a.ended_at, e.pid, e.process_start, e.boot_id
    FROM attempt a JOIN submission s ON s.token = a.token JOIN job j ON j.id = a.job_id
    LEFT JOIN execution e ON e.id = (SELECT max(id) FROM execution WHERE attempt_id = a.id) """


def _stored(row: Any) -> StoredAttempt:
    values = dict(row._mapping)
    values.update(
        state=AttemptState(row.state),
        doomed=bool(row.doomed),
        cause=Cause(row.cause) if row.cause else None,
        evidence=tuple(msgspec.json.decode(row.evidence)) if row.evidence else (),
        created_at=parse_time(row.created_at),
        ended_at=parse_time(row.ended_at) if row.ended_at else None,
    )
    return StoredAttempt(**values)


def live(connection: Connection) -> list[StoredAttempt]:
    """All attempts that have not ended, and those that nobody wants but the machines may still run (`doomed`)."""
    sql = _SELECT + "WHERE a.state != 'ended' OR a.doomed = 1 ORDER BY a.id"
    return [_stored(row) for row in connection.exec_driver_sql(sql)]


def doomed(connection: Connection) -> list[StoredAttempt]:
    """Those of `live` that are to be gone."""
    return [_stored(row) for row in connection.exec_driver_sql(_SELECT + "WHERE a.doomed = 1 ORDER BY a.id")]


def any_live(connection: Connection) -> bool:
    """Whether `live` has any."""
    found = connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM attempt WHERE state != 'ended' OR doomed = 1)")
    return bool(found.scalar_one())


def of_job(connection: Connection, job: int) -> list[StoredAttempt]:
    """The attempts of a job, oldest first."""
    sql = _SELECT + "WHERE a.job_id = ? ORDER BY a.number"
    return [_stored(row) for row in connection.exec_driver_sql(sql, (job,))]


def observed(connection: Connection, changes: Iterable[tuple[int, str, str, str | None, int]]) -> None:
    """What the machines say: (attempt id, phase, reason, node, absent cycles)."""
    rows = [(phase, reason, node, absent, attempt) for attempt, phase, reason, node, absent in changes]
    if rows:
        connection.exec_driver_sql(
            "UPDATE attempt SET phase = ?, reason = ?, node = coalesce(?, node), absent = ? WHERE id = ?", rows
        )


def set_running(connection: Connection, attempt: int, at: datetime) -> None:
    """The attempt runs, and so does its job."""
    _set_state(connection, attempt, "running", at)


def set_submitted(connection: Connection, attempt: int, at: datetime) -> None:
    """The attempt waits in SLURM's queue again (requeued), and so does its job."""
    _set_state(connection, attempt, "submitted", at)


def _set_state(connection: Connection, attempt: int, state: str, at: datetime) -> None:
    changed = connection.exec_driver_sql(
        "UPDATE attempt SET state = ? WHERE id = ? AND state != 'ended' AND state != ?", (state, attempt, state)
    )
    if changed.rowcount:
        connection.exec_driver_sql(
            "UPDATE job SET state = ?, updated_at = ? WHERE id = (SELECT job_id FROM attempt WHERE id = ?) "
            "AND state IN ('submitted', 'running')",
            (state, stamp(at), attempt),
        )


def undoom(connection: Connection, attempts: Iterable[int]) -> None:
    """The machines no longer have these."""
    rows = [(attempt,) for attempt in attempts]
    if rows:
        connection.exec_driver_sql("UPDATE attempt SET doomed = 0 WHERE id = ?", rows)


def undoom_old(connection: Connection, age: timedelta) -> None:
    """Take attempts for gone that ended so long before the newest one ended (after a rebuild, which cannot know)."""
    newest = connection.exec_driver_sql("SELECT max(ended_at) FROM attempt").scalar_one()
    if newest is not None:
        before = stamp(parse_time(newest) - age)
        connection.exec_driver_sql("UPDATE attempt SET doomed = 0 WHERE doomed = 1 AND ended_at < ?", (before,))


def never_ran(connection: Connection, tokens: Iterable[str]) -> None:
    """The machines never had anything of these submissions: there is nothing of theirs to end."""
    rows = [(token,) for token in tokens]
    if rows:
        connection.exec_driver_sql("UPDATE attempt SET doomed = 0 WHERE token = ?", rows)


def doom(connection: Connection, attempts: Iterable[int]) -> None:
    """Nobody wants these any more: end them wherever they are."""
    rows = [(attempt,) for attempt in attempts]
    if rows:
        connection.exec_driver_sql("UPDATE attempt SET doomed = 1 WHERE id = ?", rows)


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A submission whose launch is not known to have happened."""

    token: str
    backend: str
    created_at: datetime
    misses: int
    missed_at: datetime | None


def intents(connection: Connection) -> list[Intent]:
    """Submissions without a native id that still carry a live attempt."""
    rows = connection.exec_driver_sql(
        "SELECT token, backend, created_at, misses, missed_at FROM submission WHERE native_id IS NULL "
        "AND EXISTS (SELECT 1 FROM attempt WHERE attempt.token = submission.token AND (state != 'ended' OR doomed = 1))"
    )
    return [
        Intent(
            token=row.token,
            backend=row.backend,
            created_at=parse_time(row.created_at),
            misses=row.misses,
            missed_at=parse_time(row.missed_at) if row.missed_at else None,
        )
        for row in rows
    ]


def launched(connection: Connection, token: str, native_id: str) -> None:
    """The launch of that submission is known to have happened."""
    connection.exec_driver_sql("UPDATE submission SET native_id = ? WHERE token = ?", (native_id, token))


def named_by_their_executions(connection: Connection) -> None:
    """After a rebuild: the native ids that executions tell of (SLURM's job, without the task; a local worker's pid)."""
    connection.exec_driver_sql(
        "UPDATE submission SET native_id = (SELECT CASE submission.backend WHEN 'slurm' "
        "THEN substr(e.slurm_job, 1, instr(e.slurm_job || '_', '_') - 1) ELSE CAST(e.pid AS TEXT) END "
        "FROM attempt a JOIN execution e ON e.attempt_id = a.id WHERE a.token = submission.token "
        "ORDER BY e.id LIMIT 1) WHERE native_id IS NULL"
    )


def missed(connection: Connection, token: str, at: datetime) -> None:
    """A good query did not find that intent (`missed_at`: the first time, or anew by a clock that was set back)."""
    connection.exec_driver_sql(
        "UPDATE submission SET misses = misses + 1, missed_at = min(coalesce(missed_at, ?), ?) WHERE token = ?",
        (stamp(at), stamp(at), token),
    )


def slot_of(connection: Connection, token: str) -> str | None:
    """The local slot that a submission was given."""
    slot = connection.exec_driver_sql("SELECT slot FROM submission WHERE token = ?", (token,)).scalar_one_or_none()
    return None if slot is None else str(slot)


def possibly_alive(connection: Connection) -> list[StoredAttempt]:
    """Attempts of which an execution may still run unseen, of jobs that a late success could still close."""
    sql = _SELECT + (
        "WHERE a.state = 'ended' AND a.doomed = 0 AND (a.cause IN ('lost', 'node_failure', 'killed', 'timeout', "
        "'launch_failure', 'preempted') OR a.cause NOT IN ('success', 'cancelled') AND EXISTS "
        "(SELECT 1 FROM execution WHERE attempt_id = a.id AND ending IS NULL)) AND a.generation = j.generation "
        "AND j.state IN ('queued', 'submitted', 'running', 'failed') ORDER BY a.id"
    )
    return [_stored(row) for row in connection.exec_driver_sql(sql)]


def failed_nodes(connection: Connection) -> dict[int, frozenset[str]]:
    """Queued job → the nodes on which its launches of this generation failed: it is to be tried elsewhere."""
    found: dict[int, set[str]] = {}
    for job, node in connection.exec_driver_sql(
        "SELECT a.job_id, a.node FROM job j JOIN attempt a ON a.job_id = j.id AND a.generation = j.generation "
        "WHERE j.state = 'queued' AND j.attempts > 0 AND a.cause IN ('launch_failure', 'gpu_fault') "
        "AND a.node IS NOT NULL"
    ):
        found.setdefault(job, set()).add(node)
    return {job: frozenset(nodes) for job, nodes in found.items()}


def crowded_out(connection: Connection) -> set[int]:
    """Queued jobs whose GPU memory did not suffice in this generation while others used it: they go alone next."""
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT a.job_id FROM job j JOIN attempt a ON a.job_id = j.id AND a.generation = j.generation "
        "WHERE j.state = 'queued' AND j.attempts > 0 AND a.cause = 'gpu_out_of_memory'"
    )
    return {int(row[0]) for row in rows}


def is_live(connection: Connection, attempt: int) -> bool:
    """Whether the attempt has not ended."""
    found = connection.exec_driver_sql("SELECT 1 FROM attempt WHERE id = ? AND state != 'ended'", (attempt,))
    return found.one_or_none() is not None


def everything(connection: Connection) -> list[StoredAttempt]:
    """All attempts, oldest first."""
    return [_stored(row) for row in connection.exec_driver_sql(_SELECT + "ORDER BY a.id")]
