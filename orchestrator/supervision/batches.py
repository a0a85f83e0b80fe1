"""Step 5b, look: where a rule (`orch submit --until`) has all the numbers that it asked for, it is looked, and either
it is decided or the next seeds are asked for. The look and the new jobs are one transaction: both, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from db import jobs, registered
from db.changes import Change
from db.creation import Wanted, ensure
from db.entries import Set
from db.jobs import StoredJob
from db.launching import Template
from db.registered import Registered, Seed
from db.stopping import UNDECIDED, Look
from db.writer import Writer
from jobs.errors import BadInput
from jobs.kind import JobKind, kind_named
from orchestrator.supervision.cycle import Cycle
from orchestrator.supervision.tenure import Tenure


def look(tenure: Tenure, cycle: Cycle) -> None:
    """Look by every rule that is due. What takes time is computed before the transaction, which checks it."""
    with tenure.store.read() as connection:
        due = [(one, registered.seeds(connection, one)) for one in registered.due(connection)]
    if not due:
        return
    from orchestrator.stopping.deciding import decide  # numpy and scipy, which most supervisors never need

    made = [(one, seeds, decide(one.rule, values(seeds), tenure.clock.now())) for one, seeds in due]
    cycle.changed = True
    with tenure.write() as writer:
        for one, seeds, found in made:
            if _stands(writer.connection, one, seeds):
                _carry_out(writer, one, found)


def values(seeds: Sequence[Seed]) -> list[list[float]]:
    """Of each side its numbers, in the order of the seeds. Pure."""
    sides = sorted({one.side for one in seeds})
    return [[one.value for one in seeds if one.side == side and one.value is not None] for side in sides]


def _stands(connection: Connection, one: Registered, seeds: Sequence[Seed]) -> bool:
    """Whether nothing has changed since it was read."""
    newest = registered.in_force(connection, one.rule.study)
    return newest == one and registered.seeds(connection, one) == list(seeds)


def _carry_out(writer: Writer, one: Registered, found: Look) -> None:
    if found.seeds:
        try:
            templates, wanted, kept = _following(writer.connection, one, found.seeds)
        except BadInput as error:
            found = replace(found, verdict=UNDECIDED, seeds=0, why=str(error))
        else:
            ensured = ensure(writer, one.rule.study, templates, wanted, found.at)
            _keep_priority(writer, dict(zip(ensured.ids, kept, strict=True)), ensured.created, found.at)
    writer.decide([found])


def _following(
    connection: Connection, one: Registered, seeds: int
) -> tuple[list[Template], list[Wanted], list[StoredJob]]:
    """The jobs of the next seeds, each like the first one of its side but for the seed. Raises BadInput."""
    templates, wanted, kept = [], [], []
    for place, side in enumerate(one.rule.sides):
        first = jobs.get(connection, side.job)
        kind = _kind(first)
        config = msgspec.convert(first.config, kind.config)
        templates.append(
            Template(
                kind=first.kind,
                kind_version=first.kind_version,
                preset=first.preset,
                config=first.config,
                dataset=first.dataset,
                launching=first.launching,
            )
        )
        more = range(one.seeds, seeds)
        for seed, key in zip(more, kind.keys(config, more), strict=True):
            wanted.append(Wanted(template=place, seed=seed, key=key))
            kept.append(first)
    return templates, wanted, kept


def _kind(job: StoredJob) -> JobKind:
    kind = kind_named(job.kind)
    if kind.version != job.kind_version:
        raise BadInput(
            f"kind {job.kind} is of version {kind.version} now, and the seeds so far are of version "
            f"{job.kind_version}: submit the study again to begin anew"
        )
    return kind


def _keep_priority(writer: Writer, like: dict[int, StoredJob], created: Sequence[int], at: datetime) -> None:
    by_priority: dict[int, list[int]] = {}
    for job in created:
        by_priority.setdefault(like[job].priority, []).append(job)
    writer.decide(
        [
            Set(jobs=tuple(these), change=Change(priority=priority), in_place=True, at=at)
            for priority, these in by_priority.items()
            if priority
        ]
    )
