"""How a terminal shows things: a console that honours pipes and NO_COLOR, and columns without boxes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

PIPE_COLUMNS, PIPE_LINES = 120, 60
"""The size that is assumed where there is no terminal and COLUMNS is not set."""
GAP = 2
LEAST_STRETCH = 16
"""A column that is cut off keeps this much before other columns are dropped for it."""

Cell = str | Text


def console(*, stderr: bool = False) -> Console:
    """Standard output (or error) of this width; no colours in a pipe, under NO_COLOR or on a dumb terminal."""
    columns, _ = size()
    return Console(width=columns, stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def size() -> tuple[int, int]:
    """(columns, lines) of the terminal."""
    found = shutil.get_terminal_size((PIPE_COLUMNS, PIPE_LINES))
    return max(20, found.columns), max(8, found.lines)


def columns(
    headings: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    width: int,
    right: Sequence[int] = (),
    stretch: int | None = None,
    drop: Sequence[int] = (),
    indent: int = 0,
    least: Sequence[int] = (),
) -> list[Text]:
    """Aligned lines, a dim heading first where there is one; no line is longer than `width`.

    `right`: columns aligned to the right; `stretch`: the one that is cut off (…) where it is too long; `drop`: those
    that are left out, in this order, where the line is too narrow; `least`: the first columns' smallest widths.
    """
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    head = [Text(heading, style="dim") for heading in headings]
    widths = [max([text.cell_len, *(row[i].cell_len for row in cells)]) for i, text in enumerate(head)]
    widths = [max(found, *least[i : i + 1], 0) for i, found in enumerate(widths)]
    shown = [i for i in range(len(headings)) if widths[i]]
    for dropped in drop:
        if _needed(shown, widths, stretch, indent) <= width:
            break
        shown = [i for i in shown if i != dropped]
    if stretch in shown:
        assert stretch is not None
        others = indent + sum(widths[i] + GAP for i in shown if i != stretch)
        widths[stretch] = max(1, min(widths[stretch], width - others))
    lines = []
    for row in ([head] if any(headings) else []) + cells:
        line = Text(" " * indent)
        for i in shown:
            text = row[i].copy()
            text.truncate(widths[i], overflow="ellipsis")
            space = " " * (widths[i] - text.cell_len)
            line.append(space if i in right else "").append_text(text).append("" if i in right else space)
            line.append(" " * GAP)
        line.rstrip()
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    return lines


def _needed(shown: Sequence[int], widths: Sequence[int], stretch: int | None, indent: int) -> int:
    wanted = [min(widths[i], LEAST_STRETCH) if i == stretch else widths[i] for i in shown]
    return indent + sum(wanted) + GAP * (len(wanted) - 1)
