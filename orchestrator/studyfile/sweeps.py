"""The sweep of an experiment, read from its tables: params, grid, zip, random, sub and exclude."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.commands import Parameter, distinct
from jobs.errors import BadInput
from jobs.templates import NAME
from orchestrator.studyfile.drawing import Distribution, Draws
from orchestrator.studyfile.points import MOST_POINTS, Sub, Sweep, Values
from orchestrator.studyfile.tables import Table, shown
from orchestrator.studyfile.values import Number, as_float, axis, of_typed

_WAYS = {
    "uniform": "[low, high]",
    "loguniform": "[low, high]",
    "integers": "[first, last]",
    "choice": "[value, …]",
}


def sweep(table: Table, name: str = "experiment") -> Sweep:
    """The sweep of this table, which is called `name` in headings. Raises BadInput."""
    return Sweep(
        fixed=_values(table, "params", name),
        grid=_grid(table, name),
        zipped=_zip(table, name),
        draws=_random(table, name),
        subs=tuple(
            _sub(Table(f"{table.place}, [[{name}.sub]] number {number}", inner), f"{name}.sub")
            for number, inner in enumerate(table.several("sub"), 1)
        ),
        exclude=_exclude(table) if name == "experiment" else (),
    )


def _sub(table: Table, name: str) -> Sub:
    when = table.inner("when", f"{table.place}, when")
    if when is None:
        raise BadInput(f'{table.place} has no `when`: say where it holds, like when = {{opt = "sgd"}}')
    found = Sub(when=_rule(when), sweep=sweep(table, name), args=table.words("args") or ())
    if not found.when:
        raise BadInput(f'{when.place} is empty: say where it holds, like when = {{opt = "sgd"}}')
    table.finish()
    return found


def _values(table: Table, key: str, name: str) -> dict[str, Parameter]:
    inner = table.inner(key, f"{table.place}, [{name}.{key}]")
    return {} if inner is None else _rule(inner)


def _rule(table: Table) -> dict[str, Parameter]:
    """Names with one value each."""
    return {name: _one(table, _name(table, name), value) for name, value in table.items()}


def _name(table: Table, name: str) -> str:
    if not NAME.fullmatch(name):
        raise BadInput(
            f"{table.place}: a parameter's name is a word of letters, digits, '_', '.' and '-' (got '{name}')"
        )
    return name


def _one(table: Table, key: str, value: Any) -> Parameter:
    try:
        return of_typed(value)
    except BadInput as error:
        table.fail(key, f"cannot be {shown(value)}: {error}")


def _axis(table: Table, key: str, value: Any) -> list[Parameter]:
    """A list of values, or text like '1..10' and 'log:1e-4:1e-1:4'."""
    _name(table, key)
    if isinstance(value, str) and not isinstance(value, Number):
        try:
            found = axis(value)
        except BadInput as error:
            table.fail(key, f"cannot be read: {error}")
        if len(found) < 2:
            table.fail(key, f'must be a list, or text like "1..10" and "log:1e-4:1e-1:4" (got {shown(value)})')
        return found
    if not isinstance(value, list):
        table.fail(key, f"must be a list of values (got {shown(value)}): one value goes into params")
    if not value:
        table.fail(key, "is empty: give it a value, or leave it out")
    found = [_one(table, key, item) for item in value]
    distinct(f"{table.place}: {key}", found)
    return found


def _grid(table: Table, name: str) -> dict[str, list[Parameter]]:
    inner = table.inner("grid", f"{table.place}, [{name}.grid]")
    return {} if inner is None else {key: _axis(inner, key, value) for key, value in inner.items()}


def _zip(table: Table, name: str) -> list[dict[str, Parameter]]:
    inner = table.inner("zip", f"{table.place}, [{name}.zip]")
    if inner is None:
        return []
    columns: dict[str, list[Parameter]] = {}
    for key, value in inner.items():
        _name(inner, key)
        if not isinstance(value, list) or not value:
            inner.fail(key, f"must be a list of values (got {shown(value)})")
        columns[key] = [_one(inner, key, item) for item in value]
    return rows(columns, inner.place)


def rows(columns: dict[str, list[Parameter]], place: str) -> list[dict[str, Parameter]]:
    """Columns of equal length as the rows that go together, each once. Raises BadInput."""
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        said = ", ".join(f"{name} has {len(values)}" for name, values in columns.items())
        raise BadInput(f"{place}: its lists go together, so they must be equally long ({said})")
    found = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    seen = set()
    for row in found:
        key = tuple((item.value, item.quoted) for item in row.values())
        if key in seen:
            said = ", ".join(f"{name} = {item.written}" for name, item in row.items())
            raise BadInput(f"{place}: the row {said} is there twice: give it once")
        seen.add(key)
    return found


def _random(table: Table, name: str) -> Draws | None:
    inner = table.inner("random", f"{table.place}, [{name}.random]")
    if inner is None:
        return None
    n, seed = inner.whole("n", 1, MOST_POINTS), inner.whole("seed", 0, 2**63 - 1)
    if n is None or seed is None:
        raise BadInput(f"{inner.place} needs {'n' if n is None else 'seed'}: how many points, and from which seed")
    of = {}
    for key, value in inner.items():
        if key not in ("n", "seed"):
            of[_name(inner, key)] = _distribution(inner, key, value)
    if not of:
        raise BadInput(f"{inner.place} draws nothing: add a parameter, like lr = {{loguniform = [1e-4, 1e-1]}}")
    return Draws(n=n, seed=seed, of=of)


def _distribution(table: Table, key: str, value: Any) -> Distribution:
    inner = Table(f"{table.place}: {key}", value, "a table like {uniform = [0, 1]}")
    given = [way for way in _WAYS if inner.has(way)]
    inner.finish()
    if len(given) != 1:
        table.fail(key, f"must name one of {', '.join(_WAYS)}, like {{uniform = [0, 1]}}")
    (how,) = given
    ends = inner.get(how)
    if not isinstance(ends, list) or not ends or (how != "choice" and len(ends) != 2):
        table.fail(key, f"must be {how} = {_WAYS[how]} (got {shown(ends)})")
    if how == "choice":
        choices = [_one(table, key, item) for item in ends]
        distinct(f"{table.place}: {key}", choices)
        return Distribution(how="choice", choices=choices)
    low, high = (_number(table, key, end, whole=how == "integers") for end in ends)
    if not low < high and not (how == "integers" and low == high):
        table.fail(key, f"must have its first end below its second (got {shown(ends)})")
    if how == "loguniform" and low <= 0:
        table.fail(key, f"is logarithmic, so its ends must be above 0 (got {shown(ends)})")
    if how == "integers":
        return Distribution(how="integers", low=low, high=high)
    return Distribution(how="loguniform" if how == "loguniform" else "uniform", low=low, high=high)


def _number(table: Table, key: str, value: Any, *, whole: bool) -> float:
    if isinstance(value, bool) or not isinstance(value, int | Number) or (whole and not isinstance(value, int)):
        table.fail(key, f"must have {'whole ' if whole else ''}numbers at its ends (got {shown(value)})")
    if isinstance(value, int) and abs(value) > 2**53:
        table.fail(key, f"has an end that is too large ({value})")
    try:
        return as_float(str(value))
    except BadInput as error:
        table.fail(key, f"has an end that cannot be used: {error}")


def _exclude(table: Table) -> Sequence[Values]:
    found = []
    for number, inner in enumerate(table.several("exclude"), 1):
        rule = _rule(Table(f"{table.place}, exclude number {number}", inner, 'a table like {lr = 0.1, opt = "adam"}'))
        if not rule:
            table.fail("exclude", "has an empty rule: it would leave nothing")
        found.append(rule)
    return found
