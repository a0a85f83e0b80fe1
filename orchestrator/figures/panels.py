"""What a figure of any study shows: panels, in each a mark for every value of x and hue, with its seeds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from db.rows import ResultRow
from jobs.commands import canonical_number
from jobs.errors import BadInput
from jobs.words import JobState
from orchestrator.figures.data import Axes, NothingToDraw
from orchestrator.tables.arguments import program
from orchestrator.tables.cells import differing
from orchestrator.tables.generic import group
from orchestrator.tables.grouped import Group
from orchestrator.tables.keys import ALIASES, ATTRIBUTES, DERIVED, check, known, text
from orchestrator.tables.statistics import Interval, mean, t_interval

MOST_VALUES = 60
"""More values of one key fit into no panel."""
SETUP = frozenset({"argv", "folder", "quoted", "name", "stop_signal", "repeat", "preset"})
"""Settings that say how, not what: never an axis of their own accord."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """The seeds of one x and one hue. `expected` counts those that have no finite value (yet), too."""

    x: Any
    hue: Any
    values: tuple[float, ...]
    at: tuple[float, ...]
    """Where x is a metric: its value for each of `values`."""
    expected: int

    @property
    def mean(self) -> float:
        """Their mean."""
        return mean(self.values)

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the mean (Student's t); None for one seed."""
        return t_interval(self.values)

    @property
    def count(self) -> str:
        """'n = 5', or 'n = 4/5' where one has no value."""
        n = len(self.values)
        return f"n = {n}" if n == self.expected else f"n = {n}/{self.expected}"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The marks of one value of the facet, in order."""

    facet: Any
    marks: tuple[Mark, ...]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """All panels, and what their axes are."""

    axes: Axes
    measured: bool
    """Whether x is a metric, and no key by which jobs are grouped."""
    panels: tuple[Panel, ...]
    notes: tuple[str, ...] = ()

    def xs(self) -> list[Any]:
        """Every x that has a mark, in order."""
        return ordered([mark.x for panel in self.panels for mark in panel.marks])

    def hues(self) -> list[Any]:
        """Every hue that has a mark, in order."""
        return ordered([mark.hue for panel in self.panels for mark in panel.marks])


def picture(rows: Sequence[ResultRow], axes: Axes) -> Picture:
    """The panels of these jobs. Raises BadInput for a name that nobody has, NothingToDraw."""
    kept = [row for row in rows if row.state != JobState.CANCELLED]
    if not kept:
        raise NothingToDraw("nothing to draw: no job is left by the filters ('orch status' lists the jobs)")
    axes = chosen(kept, axes)
    keys = [key for key in (axes.facet, axes.hue, axes.x) if key]
    twice = [key for number, key in enumerate(keys) if key in keys[:number]]
    if twice:
        raise BadInput(f"'{twice[0]}' is asked for twice: --x, --hue and --facet show different things")
    if axes.y in keys:
        raise BadInput(f"--y is '{axes.y}', which is grouped by as well: name a number that the jobs report")
    kept = _reporting(kept, axes.y)
    measured = _is_metric(kept, axes.x)
    by = [key for key in (axes.facet, axes.hue, "" if measured else axes.x) if key]
    metrics = [axes.y, axes.x] if measured else [axes.y]
    found = group(kept, by or ["kind"], metrics)
    panels: dict[str, list[Mark]] = {}
    facets: dict[str, Any] = {}
    for one in found.groups:
        named = dict(zip(found.by, one.keys, strict=True))
        mark = _mark(one, named.get(axes.x), named.get(axes.hue) if axes.hue else None, measured)
        facet = named.get(axes.facet) if axes.facet else None
        facets.setdefault(text(facet), facet)
        if mark.values:
            panels.setdefault(text(facet), []).append(mark)
    if not panels:
        raise NothingToDraw(f"nothing to draw: no job has a finite '{axes.y}' yet ('orch status' says more)")
    shown = tuple(Panel(facet=facets[name], marks=tuple(panels[name])) for name in facets if name in panels)
    made = Picture(axes=axes, measured=measured, panels=shown, notes=found.notes)
    for what, values in (("--x", made.xs()), ("--hue", made.hues()), ("--facet", shown)):
        if len(values) > MOST_VALUES:
            raise BadInput(f"{what} has {len(values)} values, at most {MOST_VALUES} fit: choose some by --filter")
    return made


def _reporting(rows: Sequence[ResultRow], y: str) -> list[ResultRow]:
    """Without whole experiments that know no such number: of a training whose test reports y nothing is missing."""
    groups: dict[tuple[str, tuple[str, ...], str], list[ResultRow]] = {}
    for row in rows:
        groups.setdefault((row.kind, program(row.config.get("argv") or ()), row.experiment), []).append(row)
    theirs = [these for these in groups.values() if any(y in row.metrics or y in row.declared for row in these)]
    names = {id(row) for these in theirs for row in these}
    return [row for row in rows if id(row) in names] or list(rows)


def _mark(one: Group, x: Any, hue: Any, measured: bool) -> Mark:
    pairs = [
        (value, at)
        for value, at in zip(one.values[0], one.values[1] if measured else one.values[0], strict=True)
        if value is not None and at is not None and isfinite(value) and isfinite(at)
    ]
    return Mark(
        x=None if measured else x,
        hue=hue,
        values=tuple(value for value, _ in pairs),
        at=tuple(at for _, at in pairs) if measured else (),
        expected=one.expected,
    )


def chosen(rows: Sequence[ResultRow], axes: Axes) -> Axes:
    """The axes with what was left open: y is the first number that most jobs report, x and hue are what varies."""
    reported: dict[str, int] = {}
    for row in rows:
        for name, value in row.metrics.items():
            if value is not None:
                reported[name] = reported.get(name, 0) + 1
    given = [key for key in (axes.x, axes.hue, axes.facet) if key]
    check(given, known(rows), "key")
    y = axes.y
    if y:
        check([y], known(rows), "metric")
    elif not reported:
        raise NothingToDraw("nothing to draw: no job has reported a number yet ('orch status' says more)")
    else:
        most = max(reported.values())
        y = next(name for name in reported if reported[name] == most and name not in given)
    free = [name for name in varying(_reporting(rows, y)) if name not in given and name != y]
    x = axes.x or (free.pop(0) if free else "kind")
    hue = axes.hue or (free.pop(0) if free and not axes.hue else "")
    return Axes(x=x, y=y, hue=hue, facet=axes.facet)


def varying(rows: Sequence[ResultRow]) -> list[str]:
    """Parameters and settings in which the jobs differ, in a fixed order."""
    found = [name for name in differing(rows, set()) if name.partition(".")[0] not in SETUP]
    flat = [name.removeprefix("parameters.") for name in found if name != "parameters"]
    parameters = list(dict.fromkeys(name for row in rows for name in dict(row.config.get("parameters") or {})))
    several = [name for name in parameters if len({_of(row, name) for row in rows}) > 1]
    kinds = ["kind"] if len({row.kind for row in rows}) > 1 else []
    return list(dict.fromkeys([*kinds, *several, *(name for name in flat if name not in parameters)]))


def _of(row: ResultRow, name: str) -> str:
    found = dict(row.config.get("parameters") or {}).get(name)
    return text(found) if found is None else canonical_number(str(found)) or str(found)


def _is_metric(rows: Sequence[ResultRow], key: str) -> bool:
    """Whether a key names a number that jobs report, and no setting or attribute."""
    if key in DERIVED:
        return True
    if ALIASES.get(key, key) in ATTRIBUTES or any(key in dict(row.config.get("parameters") or {}) for row in rows):
        return False
    return any(key in row.metrics for row in rows)


def as_number(found: Any) -> float | None:
    """A value of x as a number; None for a text."""
    if isinstance(found, bool) or found is None:
        return None
    if isinstance(found, int | float):
        return float(found)
    return float(found) if isinstance(found, str) and canonical_number(found) is not None else None


def ordered(values: Sequence[Any]) -> list[Any]:
    """Each value once: numbers by size, then texts, then nothing."""
    seen: dict[str, Any] = {}
    for value in values:
        seen.setdefault(text(value), value)

    def place(value: Any) -> tuple[int, float, str]:
        number = as_number(value)
        return (0, number, "") if number is not None else (2 if value is None else 1, 0.0, text(value))

    return sorted(seen.values(), key=place)
