"""Reading a study for tables, figures and the report page: rows from the database, α and versions from run folders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db import archived, results
from db.details import errors
from db.rows import ResultRow
from db.store import Store
from db.studytables import layouts
from db.text import parse_time
from jobs.errors import BadInput
from jobs.files import now, read_json
from jobs.records import Outcome
from jobs.shortcuts.discretise import AlphaLine, read_alpha
from orchestrator import room
from orchestrator.figures.data import AlphaMap, Axes, FigureData, alpha_maps, reported
from orchestrator.report.data import ReportData
from orchestrator.stopping import told
from orchestrator.tables.afterthoughts import notes
from orchestrator.tables.filters import select

if TYPE_CHECKING:
    from sqlalchemy import Connection

SEARCH = "search"
CURVES = frozenset({"fig3", "curves"})
ALPHAS = frozenset({"fig7", "fig8", "alpha"})


def study_rows(store: Store, study: str) -> list[ResultRow]:
    """Every job of a study that counts: neither cancelled nor dropped."""
    return [row for row in all_rows(store, study) if row.dropped is None]


def all_rows(store: Store, study: str) -> list[ResultRow]:
    """Every job of a study that was not cancelled, those that were dropped by hand as well: for footnotes."""
    with store.read() as connection:
        return results.rows(connection, study, dropped=True)


def figure_data(
    store: Store,
    study: str,
    figure: str,
    *,
    filters: Sequence[str] = (),
    jobs: Sequence[int] = (),
    epochs: Sequence[int] = (),
    metric: str | None = None,
    axes: Axes | None = None,
) -> FigureData:
    """What one figure is drawn from: curves, spans and α are only read where it shows them. Raises BadInput."""
    rows = select(study_rows(store, study), filters)
    if jobs:
        missing = sorted(set(jobs) - {row.job for row in rows})
        if missing:
            raise BadInput(f"study '{study}' has no job {missing[0]} to draw: 'orch status' lists its jobs")
        rows = [row for row in rows if row.job in jobs]
    chosen = {row.job for row in rows}
    with store.read() as connection:
        curves = results.curves(connection, study) if figure in CURVES else []
        spans = results.spans(connection, study) if figure == "gantt" else []
        alphas = _alphas(connection, store, rows, epochs) if figure in ALPHAS else []
    own = [curve for curve in curves if curve.job in chosen]
    return FigureData(
        rows=rows,
        curves=own,
        spans=[span for span in spans if span.job in chosen],
        alphas=alphas,
        metric=metric or reported(own),
        axes=axes or Axes(),
    )


@dataclass(frozen=True, kw_only=True)
class Live:
    """What a page says of a study that still moves, and that another moment would say otherwise."""

    first: Sequence[str] = ()
    """Notes that come before the study's own."""
    quota: str | None = None
    """`[store] quota`."""
    mirror: str = ""
    """The line of the store's mirror."""


def report_data(store: Store, study: str, live: Live | None = None) -> ReportData:
    """Everything of a study. Of one that has ended, or without `live`, it is the same whenever it is read."""
    with store.read() as connection:
        ended = archived.all_ended(connection, study)
        first: tuple[str, ...] = ()
        room_line = ""
        if live is None or ended:
            last = archived.last_change(connection, study)
            made_at = parse_time(last) if last else now()
        else:
            made_at = now()
            space = room.look(store.root, live.quota)
            warning = space.warning()
            first = (*([warning] if warning else []), *live.first)
            room_line = " · ".join(filter(None, (space.line(made_at), live.mirror)))
        everything = results.rows(connection, study, dropped=True)
        rows = [row for row in everything if row.dropped is None]
        return ReportData(
            study=study,
            made_at=made_at,
            ended=live is None or ended,
            rows=rows,
            afterthoughts=(*first, *notes(everything)),
            room=room_line,
            curves=results.curves(connection, study),
            spans=results.spans(connection, study),
            alphas=_alphas(connection, store, rows, ()),
            errors=errors(connection, study),
            layouts=layouts(connection, study),
            rules=told.lines(connection, study),
            compares=told.compares(connection, study),
            versions=_versions(connection, store, rows),
        )


def _alphas(connection: Connection, store: Store, rows: Iterable[ResultRow], epochs: Sequence[int]) -> list[AlphaMap]:
    found: list[AlphaMap] = []
    for row in rows:
        if row.kind == SEARCH and not row.imported:
            found += alpha_maps(row, alpha_lines(connection, store, row.job), epochs)
    return found


def alpha_lines(connection: Connection, store: Store, job: int) -> list[AlphaLine]:
    """The history of α of a search's counted execution; none before its first epoch."""
    place = results.execution_path(connection, job)
    return read_alpha(store.layout.attempt(job, place[0]) / place[1]) if place else []


def _versions(connection: Connection, store: Store, rows: Iterable[ResultRow]) -> dict[str, str]:
    """Library → the versions that accepted executions ran with."""
    found: dict[str, set[str]] = {}
    for row in (row for row in rows if not row.imported):  # an import has no execution
        place = results.accepted_execution(connection, row.job)
        outcome = (
            read_json(store.layout.attempt(row.job, place[0]) / place[1] / "outcome.json", Outcome) if place else None
        )
        for name, version in (outcome.versions if outcome else {}).items():
            found.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(found.items())}
