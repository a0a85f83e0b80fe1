"""From a sweep to its points: grid × zip × random, sub-sweeps where a value holds, without what is excluded. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from jobs.commands import Parameter
from jobs.errors import BadInput
from orchestrator.studyfile.drawing import Draws, draw

MOST_POINTS = 1_000_000
MOST_JOBS = 1_000_000

Values = Mapping[str, Parameter]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What varies. `zipped` are rows of values that go together; all names differ."""

    fixed: Values = field(default_factory=dict)
    grid: Mapping[str, Sequence[Parameter]] = field(default_factory=dict)
    zipped: Sequence[Values] = ()
    draws: Draws | None = None
    subs: Sequence[Sub] = ()
    exclude: Sequence[Values] = ()

    def names(self) -> list[str]:
        """The names that this sweep gives to every point, in order; a name that is given twice stands twice."""
        rows = self.zipped[0] if self.zipped else {}
        return [*self.fixed, *self.grid, *rows, *(self.draws.of if self.draws else {})]


@dataclass(frozen=True, kw_only=True)
class Sub:
    """A sweep of the points in which these values hold, and arguments that only they get."""

    when: Values
    sweep: Sweep
    args: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Point:
    """One set of values, and the arguments that come after the command's own."""

    values: Values
    args: tuple[str, ...] = ()


def expand(sweep: Sweep) -> list[Point]:
    """All points, each once, in the order of the file. Raises BadInput.

    A `when` or an `exclude` that meets no point is a slip, and is refused.
    """
    count(sweep)
    met: set[int] = set()
    points = list(_points(sweep, {}, met))
    for sub in _subs(sweep):
        if id(sub) not in met:
            raise BadInput(f"when {_said(sub.when)} never holds: {_why(sub.when, points)}")
    left = []
    used: set[int] = set()
    for point in points:
        rules = [number for number, rule in enumerate(sweep.exclude) if holds(rule, point.values)]
        used.update(rules)
        if not rules:
            left.append(point)
    for number, rule in enumerate(sweep.exclude):
        if number not in used:
            raise BadInput(f"exclude {_said(rule)} meets no point: {_why(rule, points)}")
    if not left:
        raise BadInput("exclude leaves no point: drop one of its rules")
    return left


def holds(rule: Values, point: Values) -> bool:
    """Whether the point has these values."""
    return all(name in point and _same(item, point[name]) for name, item in rule.items())


def _same(one: Parameter, other: Parameter) -> bool:
    return (one.value, one.quoted) == (other.value, other.quoted)


def _points(sweep: Sweep, above: Values, met: set[int]) -> Iterator[Point]:
    """Points below one of a sweep around this one."""
    twice = [name for name in sweep.names() if name in above]
    names = sweep.names()
    twice += [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        raise BadInput(f"'{twice[0]}' is given twice: by params, grid, zip, random or a sub-sweep; keep one of them")
    axes = [[{name: value} for value in values] for name, values in sweep.grid.items()]
    if sweep.zipped:
        axes.append([dict(row) for row in sweep.zipped])
    if sweep.draws is not None:
        axes.append(draw(sweep.draws))
    for parts in itertools.product(*axes):
        values: dict[str, Parameter] = {**above, **sweep.fixed}
        for part in parts:
            values.update(part)
        yield from _below(sweep.subs, Point(values=values), met)


def _below(subs: Sequence[Sub], point: Point, met: set[int]) -> Iterator[Point]:
    """The point, multiplied by every sub-sweep that holds for it, the first one first."""
    for number, sub in enumerate(subs):
        if holds(sub.when, point.values):
            met.add(id(sub))
            for inner in _points(sub.sweep, point.values, met):
                args = (*point.args, *sub.args, *inner.args)
                yield from _below(subs[number + 1 :], Point(values=inner.values, args=args), met)
            return
    yield point


def _subs(sweep: Sweep) -> Iterator[Sub]:
    for sub in sweep.subs:
        yield sub
        yield from _subs(sub.sweep)


def check_jobs(points: int, seeds: int) -> None:
    """Refuse before more jobs are made than a store is made for. Raises BadInput."""
    if points * seeds > MOST_JOBS:
        raise BadInput(
            f"{points} points with {seeds} seeds are {points * seeds} jobs: at most {MOST_JOBS} are possible"
        )


def count(sweep: Sweep) -> int:
    """How many points it has before `exclude`, without making them. Raises BadInput where they are too many."""
    number = _size(sweep)
    if number <= MOST_POINTS and sweep.subs:
        number = 0
        asked = {name for sub in _subs(sweep) for name in sub.when}
        for _, weight in _weights(sweep, {}, asked):
            number += weight
            if number > MOST_POINTS:
                break
    if number > MOST_POINTS:
        least = "at least " if sweep.subs else ""
        raise BadInput(f"the sweep has {least}{number} points: at most {MOST_POINTS} are possible")
    return number


def _size(sweep: Sweep) -> int:
    """How many points a sweep has without its sub-sweeps."""
    number = max(1, len(sweep.zipped)) * (sweep.draws.n if sweep.draws else 1)
    for values in sweep.grid.values():
        number *= len(values)
    return number


def _weights(sweep: Sweep, above: Values, asked: set[str]) -> Iterator[tuple[Values, int]]:
    """As `_points`, but only the names that some `when` asks for vary; beside each: how many points it stands for."""
    axes: list[Sequence[Values]] = [
        [{name: value} for value in values] for name, values in sweep.grid.items() if name in asked
    ]
    if sweep.zipped and asked & set(sweep.zipped[0]):
        axes.append([dict(row) for row in sweep.zipped])
    if sweep.draws is not None and asked & set(sweep.draws.of):
        axes.append(draw(sweep.draws))
    others = _size(sweep)
    for axis in axes:
        others //= len(axis)
    for parts in itertools.product(*axes):
        values: dict[str, Parameter] = {**above, **sweep.fixed}
        for part in parts:
            values.update(part)
        for found, weight in _weights_below(sweep.subs, values, asked):
            yield found, others * weight


def _weights_below(subs: Sequence[Sub], values: Values, asked: set[str]) -> Iterator[tuple[Values, int]]:
    for number, sub in enumerate(subs):
        if holds(sub.when, values):
            for inner, weight in _weights(sub.sweep, values, asked):
                for found, more in _weights_below(subs[number + 1 :], inner, asked):
                    yield found, weight * more
            return
    yield values, 1


def _said(rule: Values) -> str:
    return "{" + ", ".join(f"{name} = {item.written}" for name, item in rule.items()) + "}"


def _why(rule: Values, points: Iterable[Point]) -> str:
    """Which name or value of a rule is the slip."""
    seen: dict[str, dict[str, Parameter]] = {}
    for point in points:
        for name, item in point.values.items():
            seen.setdefault(name, {}).setdefault(item.value, item)
    for name, item in rule.items():
        if name not in seen:
            near = get_close_matches(name, seen, n=1)
            return f"there is no parameter '{name}'" + (f", did you mean '{near[0]}'?" if near else "")
        if not any(_same(item, other) for other in seen[name].values()):
            values = ", ".join(other.written for other in list(seen[name].values())[:8])
            kind = " (a number and a text are two values)" if item.value in seen[name] else ""
            return f"{name} is never {item.written}{kind}, but {values}"
    return "its values never come together"
