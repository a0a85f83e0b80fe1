"""Table 2 as Markdown, LaTeX, HTML, CSV or JSON, with the report's digits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.errors import BadInput
from orchestrator.tables import grid, table2cells
from orchestrator.tables.cells import ACCURACY, Cell
from orchestrator.tables.grid import SUPERSCRIPTS, Grid
from orchestrator.tables.japanese import spoken
from orchestrator.tables.layout import About, draw
from orchestrator.tables.statistics import Summary
from orchestrator.tables.stats import Statistics
from orchestrator.tables.table2 import BASELINE, METRICS, Row, Table2
from orchestrator.tables.words import Language, row_name, word

DATASETS: Mapping[str, str] = {"cifar10": "CIFAR-10", "fashion-mnist": "Fashion-MNIST", "digits": "digits"}
WRITERS: Mapping[str, Callable[[Grid], str]] = {
    "md": grid.markdown,
    "tex": grid.latex,
    "html": grid.html,
    "csv": grid.comma_separated,
}
FORMATS = (*WRITERS, "json")


def format_of(path: Path) -> str:
    """The format that a file's suffix asks for. Raises BadInput."""
    name = path.suffix.removeprefix(".").lower()
    if name not in FORMATS:
        raise BadInput(f"cannot tell a table's format from '{path.name}': end it in .{', .'.join(FORMATS)}")
    return name


def render(
    tables: Table2 | Sequence[Table2],
    format: str,
    *,
    lang: Language = "en",
    stats: Statistics | Sequence[Statistics] | None = None,
) -> str:
    """One table, or one after the other for several data sets and presets; `stats` belong to the tables in order.

    JSON: the object of the contract, a list of such where there are several tables. Raises BadInput (format).
    """
    several = [tables] if isinstance(tables, Table2) else list(tables)
    beside: list[Statistics | None] = [None] * len(several)
    if stats is not None:
        beside = list(stats) if isinstance(stats, Sequence) else [stats]
    if format == "json":
        found = [_contract(table, one) for table, one in zip(several, beside, strict=True)]
        if not found:
            found = [Table2(dataset=None, preset=None, studies=(), rows=()).contract()]
        return dump(found[0] if len(found) == 1 else found)
    grids = []
    for table, one in zip(several, beside, strict=True):
        grids.append(to_grid(table, lang))
        if one is not None:
            grids += one.grids(lang)
    return write(grids or [to_grid(Table2(dataset=None, preset=None, studies=(), rows=()), lang)], format)


def flat(found: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Nested statistics as columns: {"paired": {"p": 0.01}} is paired_p."""
    columns: dict[str, object] = {}
    for name, one in found.items():
        if isinstance(one, Mapping):
            columns |= flat(one, f"{prefix}{name}_")
        else:
            columns[f"{prefix}{name}"] = one
    return columns


def rectangle(records: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """The same columns in every record; what is nested in one (`paired_p`) is empty where another has none of it."""
    names = dict.fromkeys(name for record in records for name in record)
    kept = [name for name in names if not any(other.startswith(f"{name}_") for other in names) or _told(records, name)]
    return [{name: record.get(name) for name in kept} for record in records]


def _told(records: Sequence[Mapping[str, object]], name: str) -> bool:
    return any(record.get(name) is not None for record in records)


def write(grids: Sequence[Grid], format: str) -> str:
    """Grids in a text format, one after the other. Raises BadInput for an unknown format."""
    if format not in WRITERS:
        raise BadInput(f"unknown table format '{format}': use one of {', '.join(FORMATS)}")
    return "\n".join(WRITERS[format](one) for one in grids)


def dump(value: object) -> str:
    """Indented JSON; NaN is refused, since no reader of JSON must take it."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_grid(table: Table2, lang: Language = "en") -> Grid:
    """The report's layout: six columns, the method's name on its first row only."""
    drawn = table2cells.body(table, lang)
    numbered = [f"{_mark(number)} {note}" for number, note in enumerate(drawn.footnotes, 1)]
    found = draw(
        table2cells.LAYOUT,
        drawn,
        About(
            caption=caption(table, lang),
            notes=[*_general_notes(table, lang), *numbered, *table.notes],
            records=[record(table, row) for row in table.rows],
        ),
    )
    return spoken(found, lang)


def caption(table: Table2, lang: Language = "en") -> str:
    """Names data set, preset and study, so that no table passes for one of another setting."""
    if table.dataset is None or table.preset is None:
        return f"{word('title', lang)}: {word('nothing', lang)}"
    named = (DATASETS.get(table.dataset, table.dataset), word("preset", lang, preset=table.preset))
    return f"{word('title', lang)} ({', '.join([*named, *(word('study', lang, study=one) for one in table.studies)])})"


def record(table: Table2, row: Row) -> dict[str, object]:
    """A row for CSV: unrounded, empty where a cell is not complete, with how far it is."""
    found: dict[str, object] = {
        "dataset": table.dataset,
        "preset": table.preset,
        "architecture": row.architecture,
        "epoch": row.epoch,
        "variant": " ".join(f"{key}={value}" for key, value in row.variant.items()),
        "status": _status(row.cell),
        "n": row.cell.n,
        "expected": row.cell.expected,
    }
    for metric in METRICS:
        found |= _columns(metric, row.cell, metric)
    random = row.random
    found["random_status"] = "" if random is None else _status(random)
    found |= {
        "random_n": "" if random is None else random.n,
        "random_expected": "" if random is None else random.expected,
    }
    return found | _columns("random_accuracy", random, ACCURACY)


def _columns(name: str, cell: Cell | None, metric: str) -> dict[str, object]:
    summary = cell.summary(metric) if cell is not None and cell.complete else Summary(n=0, mean=None, std=None)
    own = {f"{name}_n": summary.n} if cell is not None and summary.mean is not None and summary.n != cell.n else {}
    return {f"{name}_mean": summary.mean, f"{name}_std": summary.std, **own}


def _status(cell: Cell) -> str:
    return "complete" if cell.complete else cell.progress


def _contract(table: Table2, stats: Statistics | None) -> dict[str, Any]:
    found = table.contract()
    return found if stats is None else {**found, "statistics": stats.contract()}


def _mark(number: int) -> str:
    return str(number).translate(SUPERSCRIPTS)


def _general_notes(table: Table2, lang: Language) -> list[str]:
    """What ± and n are, and what '8/10' means where it occurs."""
    cells = [(row, cell) for row in table.rows for cell in (row.cell, row.random) if cell is not None]
    notes = []
    complete = {(cell.n, row.architecture) for row, cell in cells if cell.complete and row.architecture != BASELINE}
    if complete:
        counts = {n for n, _ in complete}
        shown = ""
        if len(counts) == 1:
            shown = f"n = {counts.pop()}"
        else:
            shown = "; ".join(
                f"{row_name(row)}: n = {row.cell.n}"
                + (
                    ""
                    if row.random is None or not row.random.complete
                    else f" ({word('random', lang)}: {row.random.n})"
                )
                for row in table.rows
                if row.cell.complete and row.architecture != BASELINE
            )
        notes.append(f"{word('plus_minus', lang)}; {shown}" if shown else word("plus_minus", lang))
    if any(cell.begun and not cell.complete for _, cell in cells):
        notes.append(word("incomplete", lang))
    return notes
