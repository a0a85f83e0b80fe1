"""Nested headings: the same text side by side is one heading over several columns. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BETWEEN = " · "
"""Between the levels of a heading where a format has one line for it."""


@dataclass(frozen=True)
class Span:
    """One heading over `width` columns, the first of which is `start`."""

    text: str
    start: int
    width: int


def spans(paths: Sequence[Sequence[str]], level: int, start: int = 0) -> list[Span]:
    """The headings of that level, from the left; `start`: the column of the first path.

    Columns have one heading in common where all outer ones are the same too.
    """
    found: list[Span] = []
    before: Sequence[str] | None = None
    for place, path in enumerate(paths):
        head = path[: level + 1]
        if head == before:
            last = found[-1]
            found[-1] = Span(last.text, last.start, last.width + 1)
        else:
            found.append(Span(head[-1], start + place, 1))
        before = head
    return found


def levels(paths: Sequence[Sequence[str]], start: int) -> tuple[tuple[Span, ...], ...]:
    """All levels above the last one, the outermost first."""
    depth = max((len(path) for path in paths), default=1)
    return tuple(tuple(spans(paths, level, start)) for level in range(depth - 1))


def flat(path: Sequence[str]) -> str:
    """A heading with those above it, in one line."""
    return BETWEEN.join(part for part in path if part)


def line(level: Sequence[Span], columns: Sequence[int]) -> list[str]:
    """What stands above each of these columns on that level: a text at its first column here, else nothing."""
    found, before = [], None
    for column in columns:
        span = next((one for one in level if one.start <= column < one.start + one.width), None)
        found.append("" if span is None or span == before else span.text)
        before = span
    return found
