"""The tables of a study file, checked against what it sweeps, and kept with the study where they have changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from db.layouts import METRIC, Layout, Layouts
from db.store import Store
from db.studytables import layouts
from jobs.errors import BadInput
from jobs.files import now
from jobs.kind import kind_named
from jobs.metrics import PLACE
from orchestrator.studyfile.points import Point
from orchestrator.studyfile.reading import Experiment
from orchestrator.tables import arguments, filters
from orchestrator.tables.keys import ALIASES, ATTRIBUTES, DERIVED, nearest
from orchestrator.tables.values import Name, known_as, unquoted

Swept = Sequence[tuple[Experiment, Sequence[Point]]]
"""Each experiment with its points."""


def check(path: Path, tables: Iterable[Layout], swept: Swept) -> None:
    """Refuse a key that no job has, and a baseline that is no single row. Raises BadInput."""
    for layout in tables:
        own = [(one, points) for one, points in swept if layout.experiment in ("", one.name)]
        place = f"{own[0][0].place}, [experiment.table]" if layout.experiment else f"{path}, [table]"
        have = _known(own)
        for key, names in (
            ("rows", layout.rows),
            ("columns", layout.columns),
            ("values", layout.values),
            ("order", layout.order),
            ("baseline", layout.baseline),
        ):
            for name in names:
                if name != METRIC and name.removeprefix("config.").removeprefix("parameters.") not in have:
                    raise BadInput(f"{place}: {key} names '{name}', which no job has: {nearest(name, told(own))}")
        _check_values(place, layout, own)
        _check_labels(place, layout, own)
        for words in layout.filters:
            try:
                one = filters.parse(words, have | {name for experiment, _ in own for name in experiment.metrics})
                one.check(())
                _check_filter(one, own)
            except BadInput as error:
                raise BadInput(f"{place}, filter: {error}") from None
        if layout.baseline:
            _check_baseline(place, layout, own)


def told(own: Swept) -> set[str]:
    """The names that a person means: what varies or stands in a command line, and which experiment it is."""
    found = {METRIC, "experiment", "program", "seed", "dataset"}
    for experiment, points in own:
        found |= {name for point in points for name in point.values} | arguments.given(experiment.command or ()).keys()
    return found


def _known(own: Swept) -> set[str]:
    found = {*ATTRIBUTES, *ALIASES, *DERIVED} | told(own)
    for experiment, _ in own:
        words = len(arguments.positional(experiment.command or ()))
        found |= {f"argument {number}" for number in range(1, words + 1)}
        if experiment.command is None:
            found |= {field.name for field in msgspec.structs.fields(kind_named(experiment.kind).config)}
    return found


def _check_values(place: str, layout: Layout, own: Swept) -> None:
    """A value that is named and that no point has is a slip, where all values are known."""
    for name, given in {**layout.order, **layout.values}.items():
        if isinstance(given, str):
            continue
        values = [_value(name, *one) for one in _jobs(own)]
        if any(value is None for value in values):
            continue
        have = {known_as(value): value for value in values}
        for one in given:
            if known_as(unquoted(one)) not in have and not _among(one, have.values()):
                where = "order" if name in layout.order and one in layout.order[name] else "values"
                shown = sorted({str(value) for value in have.values()})
                raise BadInput(f"{place}, {where}: {name} is never {one}: {nearest(one, shown)}")


def _check_filter(one: filters.Filter, own: Swept) -> None:
    """One that keeps nothing is a slip, where every job's value is known: a parameter or an experiment. BadInput."""
    points = list(_jobs(own))
    values = [_value(one.key, *point) for point in points]
    if not points or any(value is None and not _lacks(one.key, *at) for value, at in zip(values, points, strict=True)):
        return
    have = {known_as(value): value for value in values if value is not None}
    if have and not any(one.holds(value) for value in values):
        shown = sorted({str(value) for value in have.values()})
        raise BadInput(f"{one.key}{one.sign}{one.wanted} keeps no job: {nearest(one.wanted, shown)}")


def _check_labels(place: str, layout: Layout, own: Swept) -> None:
    """Two that are called alike would be two rows or columns that look alike."""
    for name, labels in layout.values.items():
        have = {known_as(value): str(value) for one in _jobs(own) if (value := _value(name, *one)) is not None}
        labelled = {known_as(unquoted(written)): label for written, label in labels.items()}
        values = {known_as(unquoted(written)): written for written in labels} | have
        called = {
            said: labelled.get(known, labelled.get(known_as(said), layout.labels.get(said, said)))
            for known, said in values.items()
        }
        _check_apart(f"{place}, values", f"{name} ", called)
    units = {name: str(about.get("unit", "")) for one, _ in own for name, about in one.metrics.items()} | layout.units
    declared = {name: str(about.get("label") or name) for one, _ in own for name, about in one.metrics.items()}
    said = declared | layout.labels
    hidden = {name for one, _ in own for name in one.metrics if layout.metrics and name not in layout.metrics}
    reported = layout.metrics or [name for one, _ in own for name in one.metrics if name not in PLACE]
    named = dict.fromkeys((*layout.labels, *layout.rows, *layout.columns, *reported))
    shown = [name for name in named if name not in hidden or name in (*layout.rows, *layout.columns)]
    _check_apart(f"{place}, labels", "", {name: said.get(name, name) for name in shown}, {**units, METRIC: METRIC})


def _check_apart(place: str, whose: str, called: Mapping[str, str], units: Mapping[str, str] | None = None) -> None:
    first: dict[tuple[str, str], str] = {}
    for name, label in called.items():
        other = first.setdefault((label, (units or {}).get(name, "")), name)
        if other != name:
            raise BadInput(
                f"{place}: {whose}'{other}' and '{name}' are both called '{label}', and nobody could tell them apart: "
                "give each a label of its own"
            )


def _among(text: str, have: Iterable[Any]) -> bool:
    return any(text == str(value) for value in have)


def _check_baseline(place: str, layout: Layout, own: Swept) -> None:
    jobs = list(_jobs(own))
    rows = layout.rows or _varying(jobs, layout.columns)
    for name in layout.baseline:
        if name not in rows:
            raise BadInput(
                f"{place}: baseline names '{name}', which is no key of the rows: they are {', '.join(rows) or 'none'}"
            )
    keys = [name for name in rows if name != METRIC]
    found: dict[tuple[Any, ...], list[Any]] = {}
    for one in jobs:
        values = [_value(name, *one) for name in keys]
        found.setdefault(tuple(map(known_as, values)), values)
    wanted = {name: known_as(unquoted(value)) for name, value in layout.baseline.items()}
    if any(_value(name, *one) is None for one in jobs for name in keys if not _lacks(name, *one)):
        return  # a row that only a job can tell
    matched = [row for row in found.values() if all(known_as(row[keys.index(n)]) == v for n, v in wanted.items())]
    said = ", ".join(f"{name} = {value}" for name, value in layout.baseline.items())
    if not matched:
        name = next(iter(layout.baseline))
        have = sorted({str(row[keys.index(name)]) for row in found.values()})
        raise BadInput(f"{place}: baseline ({said}) matches no row: {name} is one of {', '.join(have[:8])}")
    if len(matched) > 1:
        others = [name for place_, name in enumerate(keys) if len({known_as(row[place_]) for row in matched}) > 1]
        raise BadInput(
            f"{place}: baseline ({said}) matches {len(matched)} rows, and one row is what others are compared with: "
            f"say {' and '.join(others)} too"
        )


def _varying(jobs: Sequence[tuple[Experiment, Point]], columns: Sequence[str]) -> list[str]:
    """What the rows are where nobody says so."""
    names = dict.fromkeys(name for _, point in jobs for name in point.values)
    names = {"experiment": None, **names} if len({id(one) for one, _ in jobs}) > 1 else names
    several = [name for name in names if len({known_as(_value(name, *one)) for one in jobs}) > 1]
    return [name for name in several if name not in columns]


def _jobs(own: Swept) -> list[tuple[Experiment, Point]]:
    return [(experiment, point) for experiment, points in own for point in points]


def _lacks(name: str, experiment: Experiment, point: Point) -> bool:
    """Whether it is known that a job has nothing of that name: another experiment's parameter."""
    return experiment.command is not None and name not in (*ATTRIBUTES, *ALIASES, *DERIVED)


def _value(name: str, experiment: Experiment, point: Point) -> Any:
    """What is known of a job before there is one; None for all else."""
    name = name.removeprefix("config.").removeprefix("parameters.")
    if name == "experiment":
        return experiment.name
    if name in point.values:
        item = point.values[name]
        return Name(item.value) if item.quoted else item.value
    return arguments.given((*(experiment.command or ()), *point.args)).get(name)


def keep(store: Store, study: str, tables: Sequence[Layout], *, dry_run: bool = False) -> str:
    """Keep these tables with the study, where it has other ones. What a person is told; empty: nothing."""
    with store.read() as connection:
        before = layouts(connection, study)
    if before == tuple(tables):
        return ""
    if not dry_run:
        with store.write() as writer:
            writer.decide([Layouts(study=study, tables=tuple(tables), at=now())])
    return said(before, tables, dry_run=dry_run)


def said(before: Sequence[Layout], after: Sequence[Layout], *, dry_run: bool) -> str:
    """What changed of the tables, in words. Pure."""
    would = "would change" if dry_run else "changed"
    if not before:
        many = f"{len(after)} tables" if len(after) > 1 else "the table"
        return f"{'would lay out' if dry_run else 'laid out'} {many} that 'orch table' shows"
    if not after:
        return (
            f"{'would take' if dry_run else 'took'} the layout of 'orch table' away: [table] is no longer in the file"
        )
    changed = _differences(before, after)
    return f"{would} the layout of 'orch table': {', '.join(changed) if changed else 'other tables than before'}"


def _differences(before: Sequence[Layout], after: Sequence[Layout]) -> list[str]:
    """The keys that differ, where the same number of tables stands."""
    if [one.experiment for one in before] != [one.experiment for one in after]:
        return []
    pairs: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
        (msgspec.to_builtins(one), msgspec.to_builtins(two)) for one, two in zip(before, after, strict=True)
    ]
    names = {"filters": "filter"}
    found = [key for one, two in pairs for key in {**one, **two} if one.get(key) != two.get(key)]
    return [names.get(key, key) for key in dict.fromkeys(found)]
