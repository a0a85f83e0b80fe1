"""Jobs: making sure that they exist, finding them, and what may be dispatched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from db.entries import Launching, NewJob, Submit, Template
from db.store import Writer
from db.text import parse_time, stamp
from jobs.errors import BadInput
from jobs.words import JobState


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A job that should exist: `template` is an index into the templates given along."""

    template: int
    seed: int
    key: str
    needs: tuple[int, ...] = ()
    tolerant: bool = False


@dataclass(frozen=True, kw_only=True)
class Ensured:
    """What `ensure` found: ids in the order they were wanted, and which of them are new."""

    ids: tuple[int, ...]
    created: tuple[int, ...]

    @property
    def existing(self) -> tuple[int, ...]:
        new = set(self.created)
        return tuple(job for job in self.ids if job not in new)


def ensure(
    writer: Writer, study: str, templates: Sequence[Template], wanted: Sequence[Wanted], at: datetime
) -> Ensured:
    """Create those jobs whose key the study does not have yet. A repeat creates nothing."""
    connection = writer.connection
    known: dict[str, int] = {}
    keys = [item.key for item in wanted]
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        rows = connection.exec_driver_sql(
            "SELECT key, id FROM job WHERE study_id = (SELECT id FROM study WHERE name = ?) "
            f"AND key IN ({','.join('?' * len(part))})",
            (study, *part),
        )
        known.update((key, job) for key, job in rows)
    following = next_id(connection)
    ids, new = [], []
    for item in wanted:
        job = known.get(item.key)
        if job is None:
            job = known[item.key] = following
            following += 1
            new.append(NewJob(job, item.template, item.seed, item.key, item.needs, item.tolerant))
        ids.append(job)
    if new:
        used = sorted({job.template for job in new})
        place = {old: position for position, old in enumerate(used)}
        moved = tuple(msgspec.structs.replace(job, template=place[job.template]) for job in new)
        writer.decide([Submit(study=study, templates=tuple(templates[i] for i in used), jobs=moved, at=at)])
    return Ensured(ids=tuple(ids), created=tuple(job.id for job in new))


def next_id(connection: Connection) -> int:
    """The id that the next new job gets."""
    return int(connection.exec_driver_sql("SELECT coalesce(max(id), 0) + 1 FROM job").scalar_one())


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
    needs: tuple[int, ...] = field(default=())


_SELECT = (
    "SELECT j.id, s.name AS study, j.kind, c.kind_version, c.preset, c.dataset, j.seed, j.key, j.state, j.generation, "
    "j.attempts, j.resume, j.imported, j.tolerant, j.cause, j.error, j.not_before, j.memory_mb, j.created_at, "
    "j.updated_at, c.text AS config, l.text AS launching, "
    "(SELECT group_concat(needs_id) FROM job_dependency WHERE job_id = j.id) AS needs "
    "FROM job j JOIN study s ON s.id = j.study_id JOIN config c ON c.id = j.config_id "
    "JOIN launch l ON l.id = j.launch_id "
)


def _stored(row: Any) -> StoredJob:
    values = dict(row._mapping)
    values.update(
        state=JobState(row.state),
        resume=bool(row.resume),
        imported=bool(row.imported),
        tolerant=bool(row.tolerant),
        not_before=parse_time(row.not_before) if row.not_before else None,
        created_at=parse_time(row.created_at),
        updated_at=parse_time(row.updated_at),
        config=msgspec.json.decode(row.config),
        launching=msgspec.json.decode(row.launching, type=Launching),
        needs=tuple(sorted(int(item) for item in row.needs.split(","))) if row.needs else (),
    )
    return StoredJob(**values)


def get(connection: Connection, job: int) -> StoredJob:
    """The job of that id. Raises BadInput."""
    known = 0 < job < 2**63  # SQLite's integers
    row = connection.exec_driver_sql(_SELECT + "WHERE j.id = ?", (job,)).one_or_none() if known else None
    if row is None:
        raise BadInput(f"there is no job {job}: 'orch status' lists the jobs")
    return _stored(row)


def get_many(connection: Connection, jobs: Sequence[int]) -> list[StoredJob]:
    """Those jobs, by id, missing ones left out."""
    found = []
    for start in range(0, len(jobs), 500):
        part = jobs[start : start + 500]
        sql = _SELECT + f"WHERE j.id IN ({','.join('?' * len(part))}) ORDER BY j.id"
        found += [_stored(row) for row in connection.exec_driver_sql(sql, tuple(part))]
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
    return [_stored(row) for row in connection.exec_driver_sql(sql, tuple(values))]


def dispatchable(connection: Connection, backend: str, at: datetime, limit: int) -> list[StoredJob]:
    """Queued jobs of a backend whose time has come, first come first served.

    One that was put off at a time that is still to come waits no longer: the clock has been set back since.
    """
    sql = _SELECT + (
        "WHERE j.state = 'queued' AND l.backend = ? AND (j.not_before IS NULL OR j.not_before <= ? "
        "OR j.updated_at > ?) ORDER BY j.id LIMIT ?"
    )
    return [_stored(row) for row in connection.exec_driver_sql(sql, (backend, stamp(at), stamp(at), limit))]


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


def blocked(connection: Connection, study: str | None = None) -> dict[int, list[int]]:
    """Waiting job → the failed or cancelled jobs it stands behind, through other waiting jobs as well."""
    rows = connection.exec_driver_sql(
        """WITH RECURSIVE behind(job_id, root) AS (
            SELECT d.job_id, d.needs_id FROM job_dependency d
            JOIN job n ON n.id = d.needs_id JOIN job j ON j.id = d.job_id
            WHERE j.state = 'waiting' AND (n.state = 'cancelled' OR (n.state = 'failed' AND j.tolerant = 0))
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
