"""Table 2 as Markdown, LaTeX, HTML, CSV or JSON, with the report's digits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.errors import BadInput
from orchestrator.statistics import Summary
from orchestrator.tables import grid
from orchestrator.tables.cells import ACCURACY, Cell
from orchestrator.tables.grid import SUPERSCRIPTS, Grid
from orchestrator.tables.table2 import BASELINE, METRICS, RANDOM, Row, Table2
from orchestrator.tables.words import Language, word

if TYPE_CHECKING:
    from orchestrator.tables.stats import Statistics

DIGITS: Mapping[str, int] = {"test_accuracy": 2, "params_m": 2, "shortcuts": 1}
"""Decimals as in the report's Table 2."""
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
    headings = [word("architecture", lang), "", *(word(name, lang) for name in (*METRICS, "random_accuracy"))]
    notes: list[str] = []
    rows: list[list[str]] = []
    before = ""
    for row in table.rows:
        name = label(row, lang)
        marks = _marks(row, lang, notes)
        second = "" if row.epoch is None else word("epoch", lang, epoch=row.epoch)
        if told := variant_text(row):
            second += f" ({told})"
        shown = "" if name == before else name
        before = name
        if second:
            second += marks
        else:
            shown = (shown or name) + marks
        numbers = [cell_text(row.cell, metric, lang) for metric in METRICS]
        rows.append([shown, second.strip(), *numbers, random_text(row, lang)])
    return Grid(
        caption=caption(table, lang),
        headings=headings,
        rows=rows,
        notes=[*_general_notes(table, lang), *(f"{_mark(i)} {note}" for i, note in enumerate(notes, 1)), *table.notes],
        records=[record(table, row) for row in table.rows],
    )


def label(row: Row, lang: Language) -> str:
    """A row's name as the report writes it."""
    if row.architecture in (BASELINE, RANDOM):
        return word(row.architecture, lang)
    return word("searched", lang, name=row.architecture)


def variant_text(row: Row) -> str:
    """'lr 0.1, pretrained': what tells a row from others; a switch is named where it is on, nothing where empty."""
    told = {key: value for key, value in row.variant.items() if value not in ("false", "")}
    shown = [key if value == "true" else f"{key} {value}" for key, value in told.items()]
    return ", ".join(shown)


def row_name(row: Row) -> str:
    """A row's short name: 'A 50', 'vgg19', 'A 50 (pretrained)'."""
    name = row.architecture if row.epoch is None else f"{row.architecture} {row.epoch}"
    told = variant_text(row)
    return f"{name} ({told})" if told else name


def caption(table: Table2, lang: Language = "en") -> str:
    """Names data set, preset and study, so that no table passes for one of another setting."""
    if table.dataset is None or table.preset is None:
        return f"{word('title', lang)}: {word('nothing', lang)}"
    named = (DATASETS.get(table.dataset, table.dataset), word("preset", lang, preset=table.preset))
    return f"{word('title', lang)} ({', '.join([*named, *(word('study', lang, study=one) for one in table.studies)])})"


def cell_text(cell: Cell, metric: str, lang: Language) -> str:
    """'93.70 ± 0.22', without ± where n < 2; '8/10' or 'pending' where the cell is not complete."""
    if not cell.complete:
        return word("pending", lang) if cell.progress == "pending" else cell.progress
    values = cell.values(metric)
    if not values:
        return "-"
    if len(values) < cell.n:
        return f"{len(values)}/{cell.n}"
    summary = cell.summary(metric)
    if cell.per_training and len(set(values)) == 1 and metric != ACCURACY:
        # One architecture: its parameters and shortcuts are constants, not means.
        return "0" if values[0] == 0 else f"{values[0]:.{DIGITS[metric]}f}"
    return number_text(summary, DIGITS[metric])


def number_text(summary: Summary, digits: int) -> str:
    """'93.70 ± 0.22'; '-' for nothing."""
    if summary.mean is None:
        return "-"
    shown = f"{summary.mean:.{digits}f}"
    return shown if summary.std is None else f"{shown} ± {summary.std:.{digits}f}"


def random_text(row: Row, lang: Language) -> str:
    if not row.is_searched:
        return "-"
    return word("pending", lang) if row.random is None else cell_text(row.random, ACCURACY, lang)


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
    found["random_status"] = "" if not row.is_searched else "pending" if random is None else _status(random)
    found |= {
        "random_n": "" if random is None else random.n,
        "random_expected": "" if random is None else random.expected,
    }
    return found | _columns("random_accuracy", random, ACCURACY)


def _columns(name: str, cell: Cell | None, metric: str) -> dict[str, object]:
    summary = cell.summary(metric) if cell is not None and cell.complete else Summary(n=0, mean=None, std=None)
    return {f"{name}_mean": summary.mean, f"{name}_std": summary.std}


def _status(cell: Cell) -> str:
    return "complete" if cell.complete else cell.progress


def _contract(table: Table2, stats: Statistics | None) -> dict[str, Any]:
    found = table.contract()
    return found if stats is None else {**found, "statistics": stats.contract()}


def _marks(row: Row, lang: Language, notes: list[str]) -> str:
    """The row's note numbers as superscripts; a new note is added to `notes`."""
    own = list(row.notes)
    if row.architecture == BASELINE and row.cell.n:
        own.insert(0, word("baseline_note", lang, n=row.cell.n))
    numbers = []
    for note in own:
        if note not in notes:
            notes.append(note)
        numbers.append(notes.index(note) + 1)
    return ",".join(map(str, sorted(numbers))).translate(SUPERSCRIPTS)


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
