"""`orch import`: checked rows as jobs of a study that ended elsewhere, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from db import creation, imports
from db.entries import Import, ImportedResult
from db.launching import Launching, Origin, Template
from db.layouts import Layouts
from db.store import Store
from db.studytables import layouts
from jobs.errors import BadInput
from jobs.files import now
from jobs.kind import kinds
from jobs.records import Architecture
from jobs.reported import Reported
from orchestrator.exchange.resultrows import Row


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Job ids of the new rows, and of those that were there already; `failed`: so many of the new ones."""

    created: tuple[int, ...]
    existing: tuple[int, ...]
    failed: int = 0


def take_in(store: Store, study: str, rows: Sequence[Row], source: str) -> Imported:
    """Write those rows that the study does not have yet, in one transaction.

    Raises BadInput where a row is there already with other numbers: results never change.
    """
    at = now()
    with store.write() as writer:
        names = imports.names(writer.connection, study)
        there = _there(writer.connection, study, rows, names)
        _refuse_changes(rows, there, source)
        new = [row for row in rows if row.line not in there]
        first = creation.next_id(writer.connection)
        ids = {row.line: first + place for place, row in enumerate(new)}
        searches = _searches(new, ids, names)
        templates: dict[bytes, tuple[int, Template]] = {}
        results: list[ImportedResult] = []
        for row in new:
            template = _template(row, searches)
            place, _ = templates.setdefault(msgspec.json.encode(template), (len(templates), template))
            edges = None if row.edges is None else Architecture(edges=row.edges)
            results.append(ImportedResult(ids[row.line], place, row.seed, row.key, dict(row.metrics), edges))
        if new:
            chosen = tuple(template for _, template in templates.values())
            writer.decide([Import(study=study, source=source, templates=chosen, results=tuple(results), at=at)])
        laid = next((row.origin.tables for row in rows if row.origin and row.origin.tables), ())
        if laid and not layouts(writer.connection, study):
            writer.decide([Layouts(study=study, tables=laid, at=at)])
    return Imported(
        created=tuple(ids.values()),
        existing=tuple(there[row.line].job for row in rows if row.line in there),
        failed=sum(row.failed for row in new),
    )


def _there(connection: Connection, study: str, rows: Sequence[Row], names: imports.Names) -> dict[int, imports.Known]:
    """Line → the job that the study has already: by its name, its key, or the key that an earlier orch gave it."""
    by_key = imports.known(connection, study, [key for row in rows for key in {row.key, row.earlier_key}])
    by_name = {name: job for job, name in names.jobs.items()}
    named = {row.line: by_name[row.origin.key] for row in rows if row.origin and row.origin.key in by_name}
    by_job = imports.known_jobs(connection, sorted(set(named.values())))
    found = {}
    for row in rows:
        earlier = by_key.get(row.earlier_key)
        if row.line in named:
            found[row.line] = by_job[named[row.line]]
        elif row.key in by_key:
            found[row.line] = by_key[row.key]
        elif earlier and all(_same(earlier.metrics.get(name), value) for name, value in row.settings.items()):
            found[row.line] = earlier
    return found


def _same(measured: float | None, setting: object) -> bool:
    return isinstance(setting, int | float) and measured == float(setting)


def _searches(new: Sequence[Row], ids: Mapping[int, int], names: imports.Names) -> dict[str, int]:
    """A search's name → its job where it is here; else a number that stands for it, in the order of the file.

    A number that earlier rows have stays: the rows of one search share it, also where the search itself comes later.
    """
    found = {name: job for job, name in names.jobs.items()}
    found |= {row.origin.key: ids[row.line] for row in new if row.origin}
    found |= {name: search for search, name in names.searches.items()}
    following = max([imports.FIRST_SEARCH, *(search + 1 for search in names.searches)])
    for row in new:
        if row.search and row.search not in found:
            found[row.search] = following
            following += 1
    return found


def _template(row: Row, searches: Mapping[str, int]) -> Template:
    declared = kinds().get(row.kind)
    config = dict(row.config)
    origin = None if row.origin is None else msgspec.structs.replace(row.origin, tables=())
    if row.search:
        config["search"] = searches[row.search]
        origin = origin or Origin(search=row.search)
    return Template(
        kind=row.kind,
        kind_version=declared.version if declared else 1,
        preset=row.preset,
        config=config,
        dataset=row.dataset,
        launching=_launching(origin),
    )


def _launching(origin: Origin | None) -> Launching:
    """What is a term of a job where it ran, and is told of it wherever it is shown: its label, what was declared."""
    if origin is None:
        return Launching()
    declared = Reported(metrics=origin.declared).options()
    return Launching(origin=origin, label=origin.label, options=declared)


def _refuse_changes(rows: Sequence[Row], there: Mapping[int, imports.Known], source: str) -> None:
    for row in rows:
        if row.line not in there:
            continue
        known = there[row.line]
        for name in sorted({*row.metrics, *known.metrics} - row.settings.keys()):
            if row.metrics.get(name) != known.metrics.get(name):
                raise BadInput(
                    f"{source} was not imported, line {row.line}: job {known.job} is there already with "
                    f"{name} {_shown(known.metrics.get(name))}, not {_shown(row.metrics.get(name))}, and results never "
                    "change: import it into another --study"
                )


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.10g}"
