"""Jobs: finding them, and what may be dispatched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection

from db.launching import Launching
from db.limits import StudyLimits
from db.text import encode, parse_time, stamp
from jobs.errors import BadInput
from jobs.words import JobState


@dataclass(frozen=True, kw_only=True)
class StoredJob:
    """A job with everything that it is and how it is run."""

    id: int
    study: str
    kind: str
    kind_version: int
    preset: str
    dataset: str
    seed: int
    key: str
    state: JobState
    generation: int
    attempts: int
    resume: bool
    imported: bool
    tolerant: bool
    cause: str | None
    error: str | None
    not_before: datetime | None
    memory_mb: int | None
    created_at: datetime
    updated_at: datetime
    config: dict[str, Any]
    launching: Launching
    launch: int = 0
    """The row of its launching."""
    priority: int = 0
    dropped: str | None = None
    behind: int | None = None
    """The canary that it waits for."""
    needs: tuple[int, ...] = field(default=())


_STATES = {state.value: state for state in JobState}
_SELECT = (
    "SELECT j.id, s.name AS study, j.kind, c.kind_version, c.preset, c.dataset, j.seed, j.key, j.state, j.generation, "
    "j.attempts, j.resume, j.imported, j.tolerant, j.cause, j.error, j.not_before, j.memory_mb, j.created_at, "
    "j.updated_at, j.launch_id AS launch, -j.rank AS priority, j.dropped, j.behind, c.text AS config, "
    "l.text AS launching, "
    "(SELECT group_concat(needs_id) FROM job_dependency WHERE job_id = j.id) AS needs "
    "FROM job j JOIN study s ON s.id = j.study_id JOIN config c ON c.id = j.config_id "
    "JOIN launch l ON l.id = j.launch_id "
)


def _stored(row: Any, names: Sequence[str]) -> StoredJob:
    made = object.__new__(StoredJob)  # the constructor of so many frozen fields takes three times as long
    vars(made).update(
        zip(names, row, strict=True),
        state=_STATES[row.state],
        resume=bool(row.resume),
        imported=bool(row.imported),
        tolerant=bool(row.tolerant),
        not_before=parse_time(row.not_before) if row.not_before else None,
        created_at=parse_time(row.created_at),
        updated_at=parse_time(row.updated_at),
        config=msgspec.json.decode(row.config),
        launching=_launching(row.launching),
        needs=tuple(sorted(int(item) for item in row.needs.split(","))) if row.needs else (),
    )
    return made


def _jobs(connection: Connection, sql: str, values: tuple[Any, ...]) -> list[StoredJob]:
    found = connection.exec_driver_sql(sql, values)
    names = tuple(found.keys())
    return [_stored(row, names) for row in found]


@lru_cache(maxsize=1024)
def _launching(text: str) -> Launching:
    """How jobs are launched: one object for all that are launched so."""
    return msgspec.json.decode(text, type=Launching)


def get(connection: Connection, job: int) -> StoredJob:
    """The job of that id. Raises BadInput."""
    known = 0 < job < 2**63  # SQLite's integers
    found = _jobs(connection, _SELECT + "WHERE j.id = ?", (job,)) if known else []
    if not found:
        raise BadInput(f"there is no job {job}: 'orch status' lists the jobs")
    return found[0]


def get_many(connection: Connection, jobs: Sequence[int]) -> list[StoredJob]:
    """Those jobs, by id, missing ones left out."""
    found = []
    for start in range(0, len(jobs), 500):
        part = jobs[start : start + 500]
        sql = _SELECT + f"WHERE j.id IN ({','.join('?' * len(part))}) ORDER BY j.id"
        found += _jobs(connection, sql, tuple(part))
    return found


def in_states(connection: Connection, jobs: Sequence[int], states: Sequence[JobState]) -> dict[JobState, list[int]]:
    """State → those of these jobs that are in it, ascending; only these states are looked for."""
    found: dict[JobState, list[int]] = {state: [] for state in states}
    sql = (
        "SELECT state, id FROM job WHERE id IN (SELECT value FROM json_each(?)) "
        "AND state IN (SELECT value FROM json_each(?)) ORDER BY id"
    )
    for state, job in connection.exec_driver_sql(sql, (_listed(jobs), encode([state.value for state in states]))):
        found[JobState(state)].append(int(job))
    return found


def select(
    connection: Connection,
    *,
    study: str | None = None,
    kinds: Sequence[str] = (),
    states: Sequence[JobState] = (),
) -> list[StoredJob]:
    """Jobs by study, kind and state, in order of id."""
    where, values = ["1 = 1"], []
    if study is not None:
        where.append("s.name = ?")
        values.append(study)
    for column, words in (("j.kind", kinds), ("j.state", states)):
        if words:
            where.append(f"{column} IN ({','.join('?' * len(words))})")
            values += [str(word) for word in words]
    sql = _SELECT + f"WHERE {' AND '.join(where)} ORDER BY j.id"
    return _jobs(connection, sql, tuple(values))


def ids(connection: Connection, study: str | None, states: Sequence[JobState]) -> list[int]:
    """The ids of the jobs in those states, ascending; `study` None: of all studies."""
    found = connection.exec_driver_sql(
        "SELECT id FROM job WHERE study_id IN (SELECT id FROM study WHERE ? IS NULL OR name = ?) "
        "AND state IN (SELECT value FROM json_each(?)) ORDER BY id",
        (study, study, encode([state.value for state in states])),
    )
    return [int(row[0]) for row in found]


SPARE = 256
"""Of a study that has little room so many more are looked at: its first ones may have no place to go."""


def dispatchable(
    connection: Connection, backend: str, at: datetime, limit: int, limits: Sequence[StudyLimits] = ()
) -> list[StoredJob]:
    """Queued jobs of a backend whose time has come: by priority, then first come first served.

    Of a study with a limit only so many as its room may let go, so that it hides no other study's jobs.

    One that was put off at a time that is still to come waits no longer: the clock has been set back since.
    One whose last attempt is not yet gone from the machines waits: two of them would share what the program writes.
    """
    sql = _SELECT + (
        "WHERE j.state = 'queued' AND j.behind IS NULL AND l.backend = ? "
        "AND (j.not_before IS NULL OR j.not_before <= ? OR j.updated_at > ?) "
        "AND (j.attempts = 0 OR NOT EXISTS (SELECT 1 FROM attempt a WHERE a.job_id = j.id "
        "AND a.doomed = 1)) AND {which} ORDER BY j.rank, j.id LIMIT ?"
    )
    rooms = {one.id: one.room for one in limits if one.room is not None}
    asked: list[tuple[str, str | int, int]] = [
        ("j.study_id NOT IN (SELECT value FROM json_each(?))", encode(list(rooms)), limit)
    ]
    asked += [("j.study_id = ?", study, min(limit, room + SPARE)) for study, room in rooms.items() if room]
    found = [
        job
        for which, study, most in asked
        for job in _jobs(connection, sql.format(which=which), (backend, stamp(at), stamp(at), study, most))
    ]
    return sorted(found, key=lambda job: (-job.priority, job.id))[:limit]


def dependents_of(connection: Connection, job: int) -> list[int]:
    """The jobs that need this one, in whatever state, by id."""
    sql = "SELECT job_id FROM job_dependency WHERE needs_id = ? ORDER BY job_id"
    return [int(row[0]) for row in connection.exec_driver_sql(sql, (job,))]


def next_wakeup(connection: Connection) -> datetime | None:
    """When the first backoff of a queued job ends."""
    value = connection.exec_driver_sql("SELECT min(not_before) FROM job WHERE state = 'queued'").scalar_one()
    return parse_time(value) if value else None


def counts(connection: Connection, study: str | None = None) -> dict[JobState, int]:
    """Jobs per state, kept by triggers: never reads the jobs."""
    where = "" if study is None else "WHERE study_id = (SELECT id FROM study WHERE name = ?)"
    values = () if study is None else (study,)
    rows = connection.exec_driver_sql(f"SELECT state, sum(n) FROM job_count {where} GROUP BY state", values)
    found = {JobState(state): int(n) for state, n in rows}
    return {state: found.get(state, 0) for state in JobState}


def counts_of(connection: Connection, jobs: Sequence[int]) -> dict[JobState, int]:
    """Of these jobs, how many are in each state."""
    sql = "SELECT state, count(*) FROM job WHERE id IN (SELECT value FROM json_each(?)) GROUP BY state"
    found = {JobState(state): int(n) for state, n in connection.exec_driver_sql(sql, (_listed(jobs),))}
    return {state: found.get(state, 0) for state in JobState}


def with_needs(connection: Connection, jobs: Sequence[int]) -> list[int]:
    """These jobs and all that they wait for, through other jobs as well; their canaries too."""
    rows = connection.exec_driver_sql(
        """WITH RECURSIVE needed(id) AS (
            SELECT value FROM json_each(?)
            UNION SELECT d.needs_id FROM needed n JOIN job_dependency d ON d.job_id = n.id
            UNION SELECT j.behind FROM needed n JOIN job j ON j.id = n.id WHERE j.behind IS NOT NULL
        ) SELECT id FROM needed ORDER BY id""",
        (_listed(jobs),),
    )
    return [int(row[0]) for row in rows]


def born_after(connection: Connection, job: int, kind: str) -> list[int]:
    """Later jobs of that kind in that job's study."""
    rows = connection.exec_driver_sql(
        "SELECT id FROM job WHERE id > ? AND study_id = (SELECT study_id FROM job WHERE id = ?) "
        "AND kind = ? ORDER BY id",
        (job, job, kind),
    )
    return [int(row[0]) for row in rows]


def _listed(jobs: Sequence[int]) -> str:
    return msgspec.json.encode(list(jobs)).decode()


def blocked(connection: Connection, study: str | None = None) -> dict[int, list[int]]:
    """Job → the failed or cancelled jobs it stands behind, through other waiting jobs as well.

    A waiting job stands behind one that it needs, a queued one behind a canary that failed.
    """
    rows = connection.exec_driver_sql(
        """WITH RECURSIVE behind(job_id, root) AS (
            SELECT d.job_id, d.needs_id FROM job_dependency d
            JOIN job n ON n.id = d.needs_id JOIN job j ON j.id = d.job_id
            WHERE j.state = 'waiting' AND (n.state = 'cancelled' OR (n.state = 'failed' AND j.tolerant = 0))
            UNION
            SELECT j.id, c.job_id FROM canary c JOIN job n ON n.id = c.job_id JOIN job j ON j.behind = c.job_id
            WHERE c.over_at IS NULL AND n.state = 'failed'
            UNION
            SELECT d.job_id, b.root FROM behind b JOIN job_dependency d ON d.needs_id = b.job_id
            JOIN job j ON j.id = d.job_id WHERE j.state = 'waiting'
        ) SELECT b.job_id, b.root FROM behind b JOIN job j ON j.id = b.job_id JOIN study s ON s.id = j.study_id
        WHERE ? IS NULL OR s.name = ? ORDER BY 1, 2""",
        (study, study),
    )
    found: dict[int, list[int]] = {}
    for job, root in rows:
        found.setdefault(job, []).append(root)
    return found


def study_exists(connection: Connection, study: str) -> bool:
    """Whether any job was ever submitted to that study."""
    row = connection.exec_driver_sql("SELECT 1 FROM study WHERE name = ?", (study,)).one_or_none()
    return row is not None


def studies(connection: Connection) -> list[str]:
    """All studies by name."""
    return [row[0] for row in connection.exec_driver_sql("SELECT name FROM study ORDER BY name")]
