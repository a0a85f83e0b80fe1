"""A table's grid in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from orchestrator import text
from orchestrator.tables.grid import Grid
from orchestrator.tables.headings import line
from orchestrator.views.tables import GAP, Cell, columns

LEAST_TEXT = 8
"""A text column is not cut below this: a line that is too long then is broken by the terminal, between columns."""


def terminal(grid: Grid, width: int) -> Text:
    """Caption, aligned columns, notes; columns that do not fit follow below, with the text columns again.

    Long texts and headings are cut, a number never is.
    """
    lines = [Text(grid.caption, style="bold")]
    for chosen in blocks(grid, width):
        rows: list[list[Cell]] = [
            [Text(text.plain(row[i]), style="bold") if (place, i) in grid.bold else row[i] for i in chosen]
            for place, row in enumerate(grid.rows)
        ]
        numbers = [place for place, i in enumerate(chosen) if i >= grid.text_columns]
        needed = sum(_least(grid, i) + GAP for i in chosen) - GAP
        heads = [line(level, chosen) for level in grid.above] + [[_heading(grid, i) for i in chosen]]
        deeper: list[list[Cell]] = [[Text(text.plain(head), style="dim") for head in level] for level in heads[1:]]
        lines += columns(heads[0], deeper + rows, width=max(width, needed), right=numbers)
    lines += [Text(note, style="dim") for note in grid.notes]
    return Text("\n").join(lines)


def blocks(grid: Grid, width: int) -> Iterator[Sequence[int]]:
    """Which columns stand side by side: the text columns, and as many of the others as fit."""
    widths = [_width(grid, i) for i in range(len(grid.headings))]
    texts = list(range(min(grid.text_columns, len(widths))))
    # Where the texts leave no room for a number with its heading, they are cut for it.
    room = max(
        width - sum(widths[i] + GAP for i in texts),
        min(max(widths[len(texts) :], default=0), width - sum(_least(grid, i) + GAP for i in texts)),
    )
    block: list[int] = []
    used = 0
    for i in range(len(texts), len(widths)):
        if block and used + widths[i] > room:
            yield [*texts, *block]
            block, used = [], 0
        block.append(i)
        used += widths[i] + GAP
    yield [*texts, *block]


def _width(grid: Grid, column: int) -> int:
    return max(map(cell_len, [*_above(grid, column), _heading(grid, column), *(row[column] for row in grid.rows)]))


def _heading(grid: Grid, column: int) -> str:
    return (grid.leaves if grid.above else grid.headings)[column]


def _above(grid: Grid, column: int) -> list[str]:
    """The headings over this column, as they stand where it is the first of a block."""
    return [part for level in grid.above for part in line(level, [column])]


def _least(grid: Grid, column: int) -> int:
    """How narrow a column may become."""
    if column < grid.text_columns:
        return min(_width(grid, column), LEAST_TEXT)
    return max([cell_len(row[column]) for row in grid.rows], default=1)
