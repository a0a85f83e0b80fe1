"""The page: gathers the sections, draws the figures inline, renders the template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from db.rows import ResultRow
from jobs.errors import BadInput
from jobs.files import publish
from orchestrator import figures
from orchestrator.figures import FIGURES, FigureData
from orchestrator.figures.data import reported
from orchestrator.figures.speech import font
from orchestrator.report import checklist, questions, sections, watched
from orchestrator.report.data import ReportData
from orchestrator.report.laid import laid_out, not_laid_out
from orchestrator.report.policy import Classes, content_security_policy
from orchestrator.tables import default, generic, groupstats, stats, table2
from orchestrator.tables.grid import Grid
from orchestrator.tables.japanese import japanese, spoken
from orchestrator.tables.render import DATASETS, to_grid
from orchestrator.tables.words import Language
from orchestrator.text import plain

if TYPE_CHECKING:
    from jinja2 import Template

SHOWN = (*(f"fig{number}" for number in range(1, 9)), "curves", "pareto")
"""Drawn once for each data set and preset; the Gantt chart once for the study."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure as inline SVG, or the sentence why there is none."""

    id: str
    name: str
    what: str
    svg: str = ""
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Everything of one data set and preset."""

    title: str
    grids: tuple[Grid, ...]
    drawings: tuple[Drawing, ...]
    table1: tuple[sections.Setting, ...]
    other: tuple[tuple[str, list[sections.Setting]], ...]


def build(data: ReportData, lang: Language = "en") -> str:
    """The whole page as HTML. Nothing in it loads anything; everything from the store is escaped."""
    if lang == "ja":
        font()  # a page without figures is none
    settings = sorted(
        {(row.dataset, row.preset) for row in data.rows}, key=lambda pair: (pair != ("cifar10", "report"), pair)
    )
    looks = Classes()
    parts = [_part(data, dataset, preset, index, lang, looks) for index, (dataset, preset) in enumerate(settings)]
    everything = FigureData(rows=data.rows if len(settings) == 1 else (), spans=data.spans)
    laid = [
        grid
        for one in laid_out(data.layouts, data.rows, data.rows)
        for grid in (spoken(one.grid(), lang, own=True), *groupstats.grids(one.grouped, lang))
    ]
    comparisons, incomparable = questions.on_a_page(data.rows, data.layouts, data.compares, lang)
    gantt = _drawing("gantt", everything, "gantt", looks, lang)
    script = _own("page.js")
    sheet = f"\n{_own('page.css').strip()}\n{looks.sheet()}\n"
    return _template().render(
        policy=content_security_policy(script, sheet),
        script=script,
        sheet=sheet,
        data=data,
        counts=sections.counts(data.rows),
        laid=laid,
        comparisons=[part for grid in comparisons for part in grid.parts()],
        incomparable=incomparable,
        parts=parts,
        gantt=gantt,
        versions=sections.versions(data),
        failures=sections.failures(data),
        jobs=sections.job_table(data),
        checklist=checklist_of(data, lang),
        minutes=sections.minutes,
        lang=lang,
        t=japanese if lang == "ja" else str,
    )


def write(data: ReportData, folder: Path, lang: Language = "en") -> Path:
    """Write `index.html` into a folder, which is made. Returns the file. Raises BadInput where it cannot be written."""
    page = build(data, lang)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        publish(folder / "index.html", page.encode())
    except OSError as error:
        raise BadInput(f"cannot write the report to '{folder}': {error.strerror}; choose another --out") from None
    return folder / "index.html"


def inline(svg: bytes, prefix: str, label: str, looks: Classes) -> str:
    """An SVG file as an element of a page: no XML prolog, no metadata, ids of its own, a name for screen readers.

    Its styles go to `looks`.
    """
    from markupsafe import escape

    found = svg.decode()
    found = found[found.index("<svg") :]
    found = re.sub(r"<metadata>.*?</metadata>", "", found, flags=re.DOTALL)
    found = re.sub(r"<!--.*?-->", "", found, flags=re.DOTALL)
    found = re.sub(r'\bid="', f'id="{prefix}-', found)
    found = re.sub(r'href="#', f'href="#{prefix}-', found)
    found = re.sub(r"url\(#", f"url(#{prefix}-", found)
    return looks.take(found).replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)


def _part(data: ReportData, dataset: str, preset: str, index: int, lang: Language, looks: Classes) -> Part:
    rows = [row for row in data.rows if (row.dataset, row.preset) == (dataset, preset)]
    jobs = {row.job for row in rows}
    grids: list[Grid] = []
    others = not_laid_out(data.layouts, rows)
    tables = table2.build_all(others)
    house = default.wants_table2(others, tables)
    for table in tables if house else ():
        grids += [to_grid(table, lang), *(part for grid in stats.compute(table).grids(lang) for part in grid.parts())]
    for part in default.parts(default.beside_table2(others) if house else others):
        grouped = part.table()
        shown = spoken(generic.to_grid(grouped, emphasize=not grouped.house), lang)
        grids += [shown, *groupstats.grids(grouped, lang)]
    curves = [curve for curve in data.curves if curve.job in jobs]
    grids += [spoken(grid, lang) for grid in watched.grids(others, curves)]
    figure_data = FigureData(
        rows=rows,
        curves=curves,
        metric=reported(curves),
        alphas=[alpha for alpha in data.alphas if alpha.job in jobs],
    )
    name = DATASETS.get(dataset, dataset) or "no data set"
    return Part(
        title=f"{name}, preset {preset}",
        grids=tuple(grids),
        drawings=tuple(
            _drawing(one, figure_data, f"p{index}-{one}", looks, lang) for one in SHOWN if _wanted(one, rows)
        ),
        table1=tuple(sections.table1(rows)),
        other=tuple(sections.other_settings(rows)),
    )


def checklist_of(data: ReportData, lang: Language) -> Grid | None:
    """The NAS checklist, of a study that searches or trains architectures."""
    if not any(row.kind in checklist.SEARCHING | checklist.FINAL for row in data.rows):
        return None
    return checklist.spoken_grid(data, lang)


def _wanted(name: str, rows: Sequence[ResultRow]) -> bool:
    """Whether a study of these rows can have such a figure at all: a study of commands has no Table 2."""
    return (
        name == "curves"
        or any(row.kind == "search" or table2.cell_key(row) is not None for row in rows)
        or (name == "pareto" and any("params" in row.metrics for row in rows))
    )


def _drawing(name: str, data: FigureData, prefix: str, looks: Classes, lang: Language) -> Drawing:
    what = japanese(FIGURES[name][0]) if lang == "ja" else FIGURES[name][0]
    try:
        svg = inline(figures.image(name, data, "svg", lang), prefix, what, looks)
        return Drawing(id=prefix, name=name, what=what, svg=svg)
    except BadInput as error:
        return Drawing(id=prefix, name=name, what=what, missing=str(error))


def _own(name: str) -> str:
    """A file of the page that lies beside this module."""
    return resources.files("orchestrator.report").joinpath(name).read_text("utf-8")


@cache
def _template() -> Template:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("orchestrator.report", ""), PackageLoader("orchestrator.tables", "")]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=lambda value: plain(value) if type(value) is str else value,
    )
    return environment.get_template("page.html.j2")
