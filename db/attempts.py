"""Attempts: who is alive, what the machines say, and the history that budgets count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection

from db.text import parse_time, stamp
from jobs.resources import InQueue
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
    launch: int | None = None
    """The terms that it has; None: of a store of an earlier version, so those of its job."""
    job_launch: int = 0
    """Those that its job is to be run under by now."""
    priority: int = 0
    recall: bool = False
    """It is to be stopped where it runs, and to go on under its job's terms."""
    nice: int = 0
    altered: InQueue | None = None
    """What was changed of it in the queue."""
    pieces: int = 0
    """Tasks of the array that run it one after the other; 0: one task runs it."""
    bundle: int = 0
    """Attempts in the list of one task of its submission; 0: each has a task of its own."""

    @property
    def task(self) -> int | None:
        """The index that the machines' array has for it; None: no array, or one whose tasks run it in turn."""
        each = max(self.bundle, 1)
        return self.position // each if self.size > each else None


_SELECT = """SELECT a.id, a.job_id AS job, j.kind, a.number, a.generation, j.generation AS job_generation, a.token,
    a.position, s.size, s.pieces, s.bundle, s.backend, s.native_id, s.slot, a.state, a.doomed, a.phase, a.reason,
    coalesce(e.node, a.node) AS node, a.absent, a.cause, a.evidence, a.decision, a.checkpoint_step, a.created_at,
    a.ended_at, a.launch_id AS launch, j.launch_id AS job_launch, -j.rank AS priority, a.recall, a.nice, a.altered,
    e.pid, e.process_start, e.boot_id
    FROM attempt a JOIN submission s ON s.token = a.token JOIN job j ON j.id = a.job_id
    LEFT JOIN execution e ON e.id = (SELECT max(id) FROM execution WHERE attempt_id = a.id) """


def _stored(row: Any) -> StoredAttempt:
    values = dict(row._mapping)
    values.update(
        state=AttemptState(row.state),
        doomed=bool(row.doomed),
        recall=bool(row.recall),
        altered=msgspec.json.decode(row.altered, type=InQueue) if row.altered else None,
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


def live_on(connection: Connection, backend: str) -> list[StoredAttempt]:
    """Those of `live` that were sent there."""
    sql = _SELECT + "WHERE (a.state != 'ended' OR a.doomed = 1) AND s.backend = ? ORDER BY a.id"
    return [_stored(row) for row in connection.exec_driver_sql(sql, (backend,))]


def doomed(connection: Connection) -> list[StoredAttempt]:
    """Those of `live` that are to be gone."""
    return [_stored(row) for row in connection.exec_driver_sql(_SELECT + "WHERE a.doomed = 1 ORDER BY a.id")]


def keys(connection: Connection) -> frozenset[tuple[int, int]]:
    """(job, number) of all attempts."""
    rows = connection.exec_driver_sql("SELECT job_id, number FROM attempt")
    return frozenset((int(row[0]), int(row[1])) for row in rows)


def any_live(connection: Connection) -> bool:
    """Whether `live` has any."""
    found = connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM attempt WHERE state != 'ended' OR doomed = 1)")
    return bool(found.scalar_one())


def of_job(connection: Connection, job: int) -> list[StoredAttempt]:
    """The attempts of a job, oldest first."""
    sql = _SELECT + "WHERE a.job_id = ? ORDER BY a.number"
    return [_stored(row) for row in connection.exec_driver_sql(sql, (job,))]


def newest(connection: Connection, limit: int) -> list[StoredAttempt]:
    """The newest attempts, newest first."""
    return [_stored(row) for row in connection.exec_driver_sql(_SELECT + "ORDER BY a.id DESC LIMIT ?", (limit,))]


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


def doom(connection: Connection, attempts: Iterable[int]) -> None:
    """Nobody wants these any more: end them wherever they are."""
    rows = [(attempt,) for attempt in attempts]
    if rows:
        connection.exec_driver_sql("UPDATE attempt SET doomed = 1 WHERE id = ?", rows)


def possibly_alive(connection: Connection) -> list[StoredAttempt]:
    """Attempts of which an execution may still run unseen, of jobs that a late success could still close."""
    sql = _SELECT + (
        "WHERE a.state = 'ended' AND a.doomed = 0 AND (a.cause IN ('lost', 'node_failure', 'killed', 'timeout', "
        "'launch_failure', 'preempted') OR a.cause NOT IN ('success', 'cancelled') AND EXISTS "
        "(SELECT 1 FROM execution WHERE attempt_id = a.id AND ending IS NULL)) AND a.generation = j.generation "
        "AND j.state IN ('waiting', 'queued', 'submitted', 'running', 'failed') ORDER BY a.id"
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


def begun_again(connection: Connection, there: Iterable[tuple[str, int, bool]]) -> list[int]:
    """Of those that the machines have, by (token, position, whether held): attempts that are over and nobody wants.

    Of jobs that are closed or begun anew: elsewhere a late success still counts, which what is held
    never comes to, since nobody releases it.
    """
    listed = msgspec.json.encode(list(there)).decode()
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT a.id FROM json_each(?) t JOIN attempt a ON a.token = json_extract(t.value, '$[0]') "
        "JOIN submission s ON s.token = a.token AND (s.pieces > 0 "
        "OR a.position / max(s.bundle, 1) = json_extract(t.value, '$[1]')) "
        "JOIN job j ON j.id = a.job_id WHERE a.state = 'ended' "
        "AND a.doomed = 0 AND (j.state IN ('succeeded', 'cancelled') OR a.generation < j.generation "
        "OR json_extract(t.value, '$[2]'))",
        (listed,),
    )
    return [int(row[0]) for row in rows]


def of_ids(connection: Connection, ids: Iterable[int]) -> list[StoredAttempt]:
    """Those attempts, oldest first."""
    listed = msgspec.json.encode(list(ids)).decode()
    sql = _SELECT + "WHERE a.id IN (SELECT value FROM json_each(?)) ORDER BY a.id"
    return [_stored(row) for row in connection.exec_driver_sql(sql, (listed,))]


def newest_ended(
    connection: Connection, since: datetime, most: int
) -> list[tuple[StoredAttempt, dict[str, int | None]]]:
    """Those of the newest attempts that ended since then and are gone, each with its executions whose outcome is known.

    What came while nobody looked has another name, no outcome yet, or a history beyond the epoch that stands here (-1
    where none is known). The accepted one's is whole: None.
    """
    sql = _SELECT + (
        "WHERE a.id > (SELECT coalesce(max(id), 0) FROM attempt) - ? AND a.state = 'ended' AND a.doomed = 0 "
        "AND a.ended_at >= ? ORDER BY a.id"
    )
    found = [_stored(row) for row in connection.exec_driver_sql(sql, (most, stamp(since)))]
    names: dict[int, dict[str, int | None]] = {}
    for attempt, name, epoch in connection.exec_driver_sql(
        "SELECT e.attempt_id, e.name, CASE WHEN r.execution_id IS NULL THEN coalesce(e.epoch, -1) END FROM execution e "
        "LEFT JOIN result r ON r.execution_id = e.id WHERE e.ending IS NOT NULL AND e.attempt_id > "
        "(SELECT coalesce(max(id), 0) FROM attempt) - ?",
        (most,),
    ):
        names.setdefault(attempt, {})[name] = epoch
    return [(attempt, names.get(attempt.id, {})) for attempt in found]


def everything(connection: Connection) -> list[StoredAttempt]:
    """All attempts, oldest first."""
    return [_stored(row) for row in connection.exec_driver_sql(_SELECT + "ORDER BY a.id")]
