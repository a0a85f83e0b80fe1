"""How a terminal shows things: a console that honours pipes and NO_COLOR, and columns without boxes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from typing import IO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from orchestrator import text

PIPE_COLUMNS, PIPE_LINES = 120, 60
"""The size that is assumed where there is no terminal and COLUMNS is not set."""
GAP = 2
LEAST_TEXT = 4
_NUMBER = re.compile(r"^[-−+]?\d[\d.,]*(e-?\d+)?$")
LEAST_STRETCH = 16
"""A column that is cut off keeps this much before other columns are dropped for it."""

Cell = str | Text


class DataConsole(Console):
    """A console that shows what it is given and never obeys it: the styles around it are its own."""

    @property
    def file(self) -> IO[str]:
        return text.styled(super().file)

    @file.setter
    def file(self, new: IO[str]) -> None:
        self._file = new

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(text.lines(segment.text), segment.style)


def console(*, stderr: bool = False) -> Console:
    """Standard output (or error) of this width; no colours in a pipe, under NO_COLOR or on a dumb terminal."""
    columns, _ = size()
    return DataConsole(width=columns, stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


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
    that are left out, in this order, where the line is too narrow; `least`: the first columns' smallest widths. Where
    that does not do, other texts and headings are cut, then the last columns are left out: never a part of a number.
    """
    cells = [[_visible(cell) for cell in row] for row in rows]
    head = [Text(heading, style="dim") for heading in headings]
    widths = [max([one.cell_len, *(row[i].cell_len for row in cells)]) for i, one in enumerate(head)]
    widths = [max(found, *least[i : i + 1], 0) for i, found in enumerate(widths)]
    shown = [i for i in range(len(headings)) if widths[i]]
    for dropped in drop:
        if _needed(shown, widths, stretch, indent) <= width:
            break
        shown = [i for i in shown if i != dropped]
    if indent + sum(widths[i] + GAP for i in shown) - GAP > width:  # an empty column is the first that can be spared
        shown = [i for i in shown if any(row[i].cell_len for row in cells)] or shown
    if stretch in shown:
        assert stretch is not None
        others = indent + sum(widths[i] + GAP for i in shown if i != stretch)
        widths[stretch] = max(1, min(widths[stretch], width - others))
    numbers = [_least([row[i].plain for row in cells], i in right) for i in range(len(headings))]
    if _needed(shown, widths, stretch, indent) > width:
        shown = [i for i in shown if any(row[i].cell_len for row in cells)] or shown
    widths, shown = _squeezed(widths, numbers, shown, width - indent)
    lines = []
    for row in ([head] if any(headings) else []) + cells:
        line = Text(" " * indent)
        for i in shown:
            shown_cell = row[i].copy()
            shown_cell.truncate(widths[i], overflow="ellipsis")
            space = " " * (widths[i] - shown_cell.cell_len)
            line.append(space if i in right else "").append_text(shown_cell).append("" if i in right else space)
            line.append(" " * GAP)
        line.rstrip()
        line.truncate(width, overflow="ellipsis")  # one column alone may still be too wide
        lines.append(line)
    return lines


def _visible(cell: Cell) -> Text:
    """A cell in one line. Texts of our own are made of styled parts, which keep their styles where nothing is odd."""
    if isinstance(cell, str):
        return Text(text.plain(cell))
    return cell if text.plain(cell.plain) == cell.plain else Text(text.plain(cell.plain), style=cell.style)


def _least(cells: Sequence[str], right: bool) -> int:
    """How narrow a column may become: a number is never cut, a text is."""
    whole = [cell_len(cell) for cell in cells if right or _NUMBER.match(cell)]
    return max(whole, default=LEAST_TEXT)


def _squeezed(
    widths: Sequence[int], least: Sequence[int], shown: Sequence[int], width: int
) -> tuple[list[int], list[int]]:
    """Widths that fit, and the columns that stay: the widest text is cut first, the last column goes if need be."""
    found, kept = list(widths), list(shown)
    while kept and (over := sum(found[i] for i in kept) + GAP * (len(kept) - 1) - width) > 0:
        loose = [i for i in kept if found[i] > least[i]]
        if loose:
            widest = max(loose, key=lambda i: found[i])
            second = max([found[i] for i in loose if i != widest], default=0)
            found[widest] = max(least[widest], min(found[widest] - 1, max(found[widest] - over, second)))
        elif len(kept) > 1:
            kept.pop()
        else:
            break
    return found, kept


def _needed(shown: Sequence[int], widths: Sequence[int], stretch: int | None, indent: int) -> int:
    wanted = [min(widths[i], LEAST_STRETCH) if i == stretch else widths[i] for i in shown]
    return indent + sum(wanted) + GAP * (len(wanted) - 1)
