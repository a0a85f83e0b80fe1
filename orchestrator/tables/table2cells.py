"""Table 2 as a layout: what the report's rows, columns and cells are, for the engine that draws every table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from db.layouts import METRIC, Layout
from orchestrator.tables.cells import ACCURACY, Cell
from orchestrator.tables.digits import decimals, written
from orchestrator.tables.grid import SUPERSCRIPTS
from orchestrator.tables.keys import number
from orchestrator.tables.layout import Field, Item, Line, Place
from orchestrator.tables.table2 import BASELINE, METRICS, Row, Table2
from orchestrator.tables.words import Language, label, number_text, variant_text, word

RANDOM_ACCURACY = "random_accuracy"
MEAN = "mean"
DIGITS: Mapping[str, int] = {"test_accuracy": 2, "params_m": 2, "shortcuts": 1}
"""Decimals as in the report's Table 2."""
LAYOUT = Layout(
    rows=("architecture", "epoch"),
    columns=(METRIC,),
    metrics=(*METRICS, RANDOM_ACCURACY),
    digits=dict(DIGITS),
    best=False,
)


@dataclass(frozen=True, kw_only=True)
class Table2Body:
    """The rows of Table 2, with the method's name on its first row only. `footnotes` are filled as rows name them."""

    table: Table2
    lang: Language
    headings: Sequence[str]
    lines: Sequence[Line]
    items: Mapping[Item, str]
    footnotes: Sequence[str]
    groups: Mapping[Place, tuple[str, ...]] = field(default_factory=lambda: {(): ()})

    def cell(self, line: Line, group: Place, item: Item) -> Field:
        row = self.table.rows[line.place[0]]
        if item[0] == RANDOM_ACCURACY:
            return Field(random_text(row, self.lang))
        return Field(cell_text(row.cell, item[0], self.lang))


def body(table: Table2, lang: Language) -> Table2Body:
    """What Table 2 is drawn from."""
    footnotes: list[str] = []
    lines: list[Line] = []
    before = ""
    for place, row in enumerate(table.rows):
        name = label(row, lang)
        marks = _marks(row, lang, footnotes)
        second = "" if row.epoch is None else word("epoch", lang, epoch=row.epoch)
        if told := variant_text(row):
            second += f" ({told})"
        shown = "" if name == before else name
        before = name
        if second:
            second += marks
        else:
            shown = (shown or name) + marks
        lines.append(Line(place=(place, 0), names=(shown, second.strip())))
    return Table2Body(
        table=table,
        lang=lang,
        headings=[word("architecture", lang), ""],
        lines=lines,
        items={(name, MEAN): word(name, lang) for name in LAYOUT.metrics},
        footnotes=footnotes,
    )


def cell_text(cell: Cell, metric: str, lang: Language) -> str:
    """'93.70 ± 0.22', without ± where n < 2, with its own n where that is not the cell's; '8/10' or 'pending' where the
    cell is not complete."""
    if not cell.complete:
        return word("pending", lang) if cell.progress == "pending" else cell.progress
    values = cell.values(metric)
    if not values:
        return "-"
    own = f" (n = {len(values)})" if len(values) < cell.n else ""
    summary = cell.summary(metric)
    if cell.per_training and len(set(values)) == 1 and metric != ACCURACY:
        # One architecture: its parameters and shortcuts are constants, not means.
        return "0" if values[0] == 0 else written(values[0], None, DIGITS[metric])
    data = decimals(found for row in cell.rows if (found := number(row, metric)) is not None)
    return number_text(summary, DIGITS[metric], data) + own


def random_text(row: Row, lang: Language) -> str:
    if not row.is_searched:
        return "-"
    return "-" if row.random is None else cell_text(row.random, ACCURACY, lang)


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
