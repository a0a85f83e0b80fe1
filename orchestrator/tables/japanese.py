"""The fixed words of tables, figures and the page in Japanese; names that a person gave stay as they are. Pure.

The phrases stand in phrases.toml. A text is a whole phrase, or phrases with `; `, `, ` or line ends between them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources

from orchestrator.tables.grid import Grid
from orchestrator.tables.words import Language

_FIELD = re.compile(r"\{(\w+)\}")
_BETWEEN = ("\n", "; ", ", ")
_SHORT = frozenset(
    ("_name", "preset", "study", "node", "n", "all", "some", "job", "seed", "epoch", "low", "high", "value", "span")
)
"""Fields without a comma in them."""
_COUNTS = frozenset(("one", "two"))
"""Fields that are whole numbers, where so short a phrase would match a person's words."""
_MARKS = re.compile(r"([⁰¹²³⁴⁵⁶⁷⁸⁹]+ )?(.*?)(†?)", re.DOTALL)
"""A footnote's number before a text, and the mark behind a cell."""


@cache
def _phrases() -> tuple[Mapping[str, str], Sequence[tuple[re.Pattern[str], str]]]:
    """Those without a field by their English; the others as patterns, those with the most fixed letters first."""
    found = tomllib.loads(resources.files("orchestrator.tables").joinpath("phrases.toml").read_text("utf-8"))
    plain = {english: japanese for english, japanese in found.items() if not _FIELD.search(english)}
    patterns = []
    for english in sorted(found.keys() - plain.keys(), key=lambda one: -len(_FIELD.sub("", one))):
        parts = _FIELD.split(english)
        long = r"[^\n]+?" if "; " in english or "told" in english or "shown" in english else r"(?:(?!; )[^\n])+?"
        fixed = [re.escape(part) if place % 2 == 0 else _field(part, long) for place, part in enumerate(parts)]
        patterns.append((re.compile("".join(fixed)), str(found[english])))
    return plain, patterns


def _field(name: str, long: str) -> str:
    pattern = "[0-9]+" if name in _COUNTS else "[^,;]+?" if name in _SHORT else long
    return f"(?P<{name}>{pattern})"


def japanese(text: str) -> str:
    """A text of orch's in Japanese, as far as its phrases are known."""
    marks = _MARKS.fullmatch(text)
    assert marks is not None
    return (marks[1] or "") + _said(marks[2]) + marks[3]


def _said(text: str, between: Sequence[str] = _BETWEEN) -> str:
    plain, patterns = _phrases()
    if text in plain:
        return plain[text]
    for pattern, japanese in patterns:
        if (match := pattern.fullmatch(text)) is not None:
            filled = match.groupdict()
            filled |= {name: _said(value) for name, value in filled.items() if name.startswith("_")}
            return japanese.format_map(filled)
    for place, sign in enumerate(between):
        if sign in text:
            return sign.join(_said(part, between[place:]) for part in text.split(sign))
    return text


def spoken(grid: Grid, lang: Language, *, own: bool = False) -> Grid:
    """A table in that language: its caption, headings, notes, and what stands for a number that is not there yet.

    `own`: caption and headings are a person's.
    """
    if lang == "en":
        return grid
    if own:
        return replace(grid, notes=[japanese(note) for note in grid.notes])
    return replace(
        grid,
        caption=japanese(grid.caption),
        headings=[japanese(heading) for heading in grid.headings],
        notes=[japanese(note) for note in grid.notes],
        rows=[
            [cell if column < grid.text_columns else japanese(cell) for column, cell in enumerate(row)]
            for row in grid.rows
        ],
    )
