"""`orch import`: checked rows as results of a study, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from db import imports, jobs
from db.entries import Import, ImportedResult, Template
from db.store import Store
from jobs.errors import BadInput
from jobs.files import now
from jobs.kind import kinds
from jobs.records import Architecture
from orchestrator.resultrows import Row


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Job ids of the new rows, and of those that were there already."""

    created: tuple[int, ...]
    existing: tuple[int, ...]


def take_in(store: Store, study: str, rows: Sequence[Row], source: str) -> Imported:
    """Write those rows that the study does not have yet, in one transaction.

    Raises BadInput where a row is there already with other numbers: results never change.
    """
    keys = [row.key for row in rows]
    at = now()
    with store.write() as writer:
        known = imports.known(writer.connection, study, keys)
        _refuse_changes(rows, known, source)
        following = jobs.next_id(writer.connection)
        templates: dict[bytes, tuple[int, Template]] = {}
        new: list[ImportedResult] = []
        for row, key in zip(rows, keys, strict=True):
            if key in known:
                continue
            template = _template(row)
            place, _ = templates.setdefault(msgspec.json.encode(template), (len(templates), template))
            new.append(
                ImportedResult(
                    following + len(new),
                    place,
                    row.seed,
                    key,
                    dict(row.metrics),
                    None if row.edges is None else Architecture(edges=row.edges),
                )
            )
        if new:
            chosen = tuple(template for _, template in templates.values())
            writer.decide([Import(study=study, source=source, templates=chosen, results=tuple(new), at=at)])
    return Imported(
        created=tuple(item.id for item in new), existing=tuple(known[key].job for key in keys if key in known)
    )


def _template(row: Row) -> Template:
    declared = kinds().get(row.kind)
    return Template(
        kind=row.kind,
        kind_version=declared.version if declared else 1,
        preset=row.preset,
        config=dict(row.config),
        dataset=row.dataset,
    )


def _refuse_changes(rows: Sequence[Row], known: Mapping[str, imports.Known], source: str) -> None:
    for row in rows:
        there = known.get(row.key)
        if there is None:
            continue
        for name in sorted({*row.metrics, *there.metrics}):
            if row.metrics.get(name) != there.metrics.get(name):
                raise BadInput(
                    f"{source} was not imported, line {row.line}: job {there.job} is there already with "
                    f"{name} {_shown(there.metrics.get(name))}, not {_shown(row.metrics.get(name))}, and results never "
                    "change: import it into another --study"
                )


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.10g}"
