"""`[table]` of a study file or of an experiment: how results are laid out. Names are checked at the submit."""

from __future__ import annotations

import re
from typing import Any, get_args

from db.layouts import METRIC, Layout, Statistic
from jobs.errors import BadInput
from orchestrator.studyfile.tables import Table, shown
from orchestrator.studyfile.values import Number, of_typed

MOST_LEVELS = 6
MOST_DIGITS = 12
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._+/\-]{0,99}")


def layouts(table: Table, place: str, experiment: str = "") -> tuple[Layout, ...]:
    """Its `[table]`, or each of its `[[table]]`; `place`: how they are called in sentences. Raises BadInput."""
    if not table.has("table"):
        return ()
    given = table.get("table")
    if not isinstance(given, list):
        return (_layout(Table(f"{table.place}, [{place}]", given), experiment),)
    if not given:
        table.fail("table", f"is empty: write [{place}] and what it shows, or leave it out")
    return tuple(
        _layout(Table(f"{table.place}, [[{place}]] number {number}", one), experiment)
        for number, one in enumerate(given, 1)
    )


def _layout(table: Table, experiment: str) -> Layout:
    rows, columns = _names(table, "rows"), _names(table, "columns")
    twice = [name for name in (*rows, *columns) if (*rows, *columns).count(name) > 1]
    if twice:
        table.fail(
            "columns" if twice[0] in columns else "rows", f"has '{twice[0]}', which is in the table twice: once is all"
        )
    if METRIC not in rows and METRIC not in columns:
        columns = (*columns, METRIC)
    found = Layout(
        experiment=experiment,
        rows=rows,
        columns=columns,
        metrics=_names(table, "metrics"),
        show=_show(table),
        filters=tuple(table.words("filter") or ()),
        labels=_texts(table, "labels"),
        values=_values(table),
        order=_order(table),
        units=_texts(table, "units"),
        digits=_digits(table),
        best=table.flag("best") is not False,
        baseline=_baseline(table),
        caption=table.text("caption") or "",
        label=_label(table),
    )
    table.finish()
    if len(rows) > MOST_LEVELS or len(columns) > MOST_LEVELS:
        table.fail("rows" if len(rows) > MOST_LEVELS else "columns", f"has more than {MOST_LEVELS} levels: name fewer")
    return found


def _names(table: Table, key: str) -> tuple[str, ...]:
    """One name, or a list of them."""
    if isinstance(table.get(key), str) and not isinstance(table.get(key), Number):
        return (table.text(key) or "",)
    found = tuple(table.words(key) or ())
    if table.has(key) and not found:
        table.fail(key, "is empty: name something, or leave it out")
    for name in found:
        if not name.strip():
            table.fail(key, "has an empty name: name something, or leave it out")
        if found.count(name) > 1:
            table.fail(key, f"names '{name}' twice: name each once")
    return found


def _show(table: Table) -> tuple[Any, ...]:
    found = _names(table, "show") or ("mean",)
    for one in found:
        if one not in get_args(Statistic):
            table.fail("show", f"cannot show {shown(one)}: use some of {', '.join(get_args(Statistic))}")
    return found


def _texts(table: Table, key: str) -> dict[str, str]:
    """Name → text."""
    inner = table.inner(key, f"{table.place}, {key}")
    return {} if inner is None else {name: inner.text(name) or "" for name, _ in inner.items()}


def _values(table: Table) -> dict[str, dict[str, str]]:
    """Key → value → text."""
    inner = table.inner("values", f"{table.place}, values")
    if inner is None:
        return {}
    return {name: _texts(inner, name) for name, _ in inner.items()}


def _order(table: Table) -> dict[str, Any]:
    inner = table.inner("order", f"{table.place}, order")
    found: dict[str, Any] = {}
    for name, value in inner.items() if inner is not None else ():
        assert inner is not None
        if isinstance(value, list):
            found[name] = tuple(_value(inner, name, one) for one in value)
        elif value in ("value", "reverse") and not isinstance(value, Number):
            found[name] = value
        else:
            inner.fail(name, f'must be a list of values, "value" or "reverse" (got {shown(value)})')
    return found


def _digits(table: Table) -> dict[str, int]:
    """Metric → decimals; a number alone is of all metrics, which is kept under the name ''."""
    given = table.get("digits")
    if given is None:
        return {}
    if not isinstance(given, dict):
        return {"": table.whole("digits", 0, MOST_DIGITS) or 0}
    inner = Table(f"{table.place}, digits", given)
    return {name: inner.whole(name, 0, MOST_DIGITS) or 0 for name, _ in inner.items()}


def _baseline(table: Table) -> dict[str, str]:
    inner = table.inner("baseline", f"{table.place}, baseline")
    found = {name: _value(inner, name, value) for name, value in inner.items()} if inner is not None else {}
    if inner is not None and not found:
        table.fail("baseline", 'is empty: name its row, like baseline = {opt = "sgd"}')
    return found


def _value(table: Table, name: str, value: Any) -> str:
    """A value as text; a text that looks like a number in quotes."""
    try:
        item = of_typed(value)
    except BadInput as error:
        table.fail(name, f"has a bad value: {error}")
    return f'"{item.value}"' if item.quoted else item.value


def _label(table: Table) -> str:
    found = table.text("label") or ""
    if found and not _LABEL.fullmatch(found):
        table.fail(
            "label",
            f'must be a name for \\label, like "tab:main": letters, digits, : . _ + / and - (got {shown(found)})',
        )
    return found
