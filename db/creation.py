"""The creation of jobs: making sure that those exist which somebody wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from db.entries import NewJob, Submit
from db.launching import Template
from db.writer import Writer


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A job that should exist: `template` is an index into the templates given along."""

    template: int
    seed: int
    key: str
    needs: tuple[int, ...] = ()
    tolerant: bool = False
    same: tuple[int, ...] = ()
    """Jobs of an earlier kind version that are the same job, the one that answers for it first."""


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
        if job is None and item.same:
            job = item.same[0]
        elif job is None:
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
    """The id that the next new job gets; never one of a job that was lost with the journal, or with a store."""
    return int(
        connection.exec_driver_sql(
            "SELECT max(coalesce((SELECT max(id) FROM job), 0), "
            "coalesce((SELECT max(CAST(value AS INTEGER)) FROM setting "
            "WHERE name IN ('journal_lost', 'jobs_seen')), 0)) + 1"
        ).scalar_one()
    )
