"""A table's grid in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from orchestrator.tables.grid import Grid
from orchestrator.views.tables import GAP, columns


def terminal(grid: Grid, width: int) -> Text:
    """Caption, aligned columns, notes; columns that do not fit follow below, with the text columns again."""
    lines = [Text(grid.caption, style="bold")]
    for chosen in blocks(grid, width):
        rows = [[row[i] for i in chosen] for row in grid.rows]
        numbers = [place for place, i in enumerate(chosen) if i >= grid.text_columns]
        lines += columns([grid.headings[i] for i in chosen], rows, width=width, right=numbers)
    lines += [Text(note, style="dim") for note in grid.notes]
    return Text("\n").join(lines)


def blocks(grid: Grid, width: int) -> Iterator[Sequence[int]]:
    """Which columns stand side by side: the text columns, and as many of the others as fit."""
    widths = [max(map(cell_len, [heading, *(row[i] for row in grid.rows)])) for i, heading in enumerate(grid.headings)]
    text = list(range(min(grid.text_columns, len(widths))))
    room = width - sum(widths[i] + GAP for i in text)
    block: list[int] = []
    used = 0
    for i in range(len(text), len(widths)):
        if block and used + widths[i] > room:
            yield [*text, *block]
            block, used = [], 0
        block.append(i)
        used += widths[i] + GAP
    yield [*text, *block]
