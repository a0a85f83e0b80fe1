"""The page: gathers the sections, draws the figures inline, renders the template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from db.rows import ResultRow
from jobs.errors import BadInput
from jobs.files import write_bytes
from orchestrator import figures
from orchestrator.figures import FIGURES, FigureData
from orchestrator.report import sections
from orchestrator.report.data import ReportData
from orchestrator.tables import stats, table2
from orchestrator.tables.grid import Grid
from orchestrator.tables.render import DATASETS, to_grid
from orchestrator.tables.words import Language

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
    settings = sorted(
        {(row.dataset, row.preset) for row in data.rows}, key=lambda pair: (pair != ("cifar10", "report"), pair)
    )
    parts = [_part(data, dataset, preset, index, lang) for index, (dataset, preset) in enumerate(settings)]
    everything = FigureData(rows=data.rows if len(settings) == 1 else (), spans=data.spans)
    return _template().render(
        data=data,
        counts=sections.counts(data.rows),
        parts=parts,
        gantt=_drawing("gantt", everything, "gantt"),
        versions=sections.versions(data),
        failures=sections.failures(data),
        jobs=sections.job_lines(data),
        minutes=sections.minutes,
    )


def write(data: ReportData, folder: Path, lang: Language = "en") -> Path:
    """Write `index.html` into a folder, which is made. Returns the file. Raises BadInput where it cannot be written."""
    page = build(data, lang)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / "index.html", page.encode(), durable=False)
    except OSError as error:
        raise BadInput(f"cannot write the report to '{folder}': {error.strerror}; choose another --out") from None
    return folder / "index.html"


def inline(svg: bytes, prefix: str, label: str) -> str:
    """An SVG file as an element of a page: no XML prolog, no metadata, ids of its own, a name for screen readers."""
    from markupsafe import escape

    found = svg.decode()
    found = found[found.index("<svg") :]
    found = re.sub(r"<metadata>.*?</metadata>", "", found, flags=re.DOTALL)
    found = re.sub(r"<!--.*?-->", "", found, flags=re.DOTALL)
    found = re.sub(r'\bid="', f'id="{prefix}-', found)
    found = re.sub(r'href="#', f'href="#{prefix}-', found)
    found = re.sub(r"url\(#", f"url(#{prefix}-", found)
    return found.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)


def _part(data: ReportData, dataset: str, preset: str, index: int, lang: Language) -> Part:
    rows = [row for row in data.rows if (row.dataset, row.preset) == (dataset, preset)]
    jobs = {row.job for row in rows}
    grids: list[Grid] = []
    for table in table2.build_all(rows):
        grids += [to_grid(table, lang), *stats.compute(table).grids(lang)]
    figure_data = FigureData(
        rows=rows,
        curves=[curve for curve in data.curves if curve.job in jobs],
        alphas=[alpha for alpha in data.alphas if alpha.job in jobs],
    )
    name = DATASETS.get(dataset, dataset) or "no data set"
    return Part(
        title=f"{name}, preset {preset}",
        grids=tuple(grids),
        drawings=tuple(_drawing(one, figure_data, f"p{index}-{one}") for one in SHOWN if _wanted(one, rows)),
        table1=tuple(sections.table1(rows)),
        other=tuple(sections.other_settings(rows)),
    )


def _wanted(name: str, rows: Sequence[ResultRow]) -> bool:
    """Whether a study of these rows can have such a figure at all: a study of commands has no Table 2."""
    return (
        name == "curves"
        or any(row.kind == "search" or table2.cell_key(row) is not None for row in rows)
        or (name == "pareto" and any("params" in row.metrics for row in rows))
    )


def _drawing(name: str, data: FigureData, prefix: str) -> Drawing:
    what = FIGURES[name][0]
    try:
        return Drawing(id=prefix, name=name, what=what, svg=inline(figures.image(name, data, "svg"), prefix, what))
    except BadInput as error:
        return Drawing(id=prefix, name=name, what=what, missing=str(error))


@cache
def _template() -> Template:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("orchestrator.report", ""), PackageLoader("orchestrator.tables", "")]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("page.html.j2")
