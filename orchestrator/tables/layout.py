"""One engine for every table: what a layout asks for, drawn from cells that somebody else knows. Pure.

A layout (db/layouts.py) names keys of rows and columns; a body knows the rows, the groups of columns and every cell.
Table 2 is such a layout with a body of its own (table2cells.py), any other study's is that of its groups (pivot.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from db.layouts import METRIC, Layout
from orchestrator.tables.grid import Grid
from orchestrator.tables.headings import flat, levels

HOLE = "-"
"""What nobody submitted."""

T = TypeVar("T")

Place = tuple[int, ...]
"""Positions of values in the order of their keys."""
Item = tuple[str, str]
"""A metric, and what is shown of it."""


@dataclass(frozen=True)
class Field:
    """One cell as it is shown."""

    text: str
    bold: bool = False


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of a body: its values by position and as they are called."""

    place: Place
    names: tuple[str, ...]
    counted: str | None = None
    """Its n, where the table has a column for it."""


class Body(Protocol):
    """What a table is drawn from."""

    @property
    def headings(self) -> Sequence[str]:
        """What the keys of the rows are called."""

    @property
    def lines(self) -> Sequence[Line]:
        """The rows, in any order."""

    @property
    def groups(self) -> Mapping[Place, tuple[str, ...]]:
        """The groups of columns and what they are called; () alone where the metrics are the columns."""

    @property
    def items(self) -> Mapping[Item, str]:
        """What is shown of which metric, in order, and what it is called."""

    def cell(self, line: Line, group: Place, item: Item) -> Field | None:
        """None for a hole."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What stands around a table."""

    caption: str
    notes: Sequence[str] = ()
    records: Sequence[Mapping[str, object]] = ()


def draw(layout: Layout, body: Body, about: About) -> Grid:
    """The table of a layout."""
    items = list(body.items)
    across = [(item, place) for place, item in enumerate(items)] if METRIC in layout.columns else [(None, 0)]
    down = [(None, 0)] if METRIC in layout.columns else [(item, place) for place, item in enumerate(items)]
    columns = sorted(
        ((_at(layout.columns, group, number), group, item) for group in body.groups for item, number in across),
        key=lambda column: column[0],
    )
    rows = sorted(
        ((_at(layout.rows, line.place, number), line, item) for line in body.lines for item, number in down),
        key=lambda row: row[0],
    )
    paths = [
        _at(layout.columns, body.groups[group], "" if item is None else body.items[item]) for _, group, item in columns
    ]
    counted = any(line.counted is not None for line in body.lines)
    heads = list(_at(layout.rows, tuple(body.headings), "" if METRIC in layout.columns else METRIC))
    first = len(heads) + counted
    shown: list[list[str]] = []
    bold: set[tuple[int, int]] = set()
    for number, (_, line, item) in enumerate(rows):
        called = "" if item is None else body.items[item]
        cells = [body.cell(line, group, other or item or ("", "")) for _, group, other in columns]
        bold |= {(number, first + place) for place, cell in enumerate(cells) if cell is not None and cell.bold}
        texts = [HOLE if cell is None else cell.text for cell in cells]
        shown.append([*_at(layout.rows, line.names, called), *([line.counted or HOLE] if counted else ()), *texts])
    return Grid(
        caption=about.caption,
        label=layout.label,
        headings=[*heads, *(["n"] if counted else ()), *map(flat, paths)],
        leaves=[*heads, *(["n"] if counted else ()), *(path[-1] for path in paths)],
        above=levels(paths, first),
        rows=shown,
        text_columns=len(heads),
        notes=about.notes,
        records=about.records,
        bold=frozenset(bold),
    )


def _at(keys: Sequence[str], values: Sequence[T], metric: T) -> tuple[T, ...]:
    """One value for each key: those given in order, and that of the metric where it stands among the keys."""
    rest = iter(values)
    return tuple(metric if key == METRIC else next(rest) for key in keys)
