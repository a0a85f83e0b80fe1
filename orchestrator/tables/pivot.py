"""The jobs of a study in the layout that its study file asks for: which of them, their groups, and every cell. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import msgspec

from db.bunches import Bunch, Many, bunched, likes, where
from db.layouts import METRIC, Layout, Statistic
from db.rows import ResultRow
from jobs.words import JobState
from orchestrator.tables import arguments, default, differences, generic
from orchestrator.tables.comparing import emphasis
from orchestrator.tables.declared import declarations
from orchestrator.tables.grid import Grid
from orchestrator.tables.grouped import Group, Grouped
from orchestrator.tables.keys import DERIVED, known, likely, nearest, number, text
from orchestrator.tables.layout import About, Field, Item, Line, Place, draw
from orchestrator.tables.values import NOTHING, TEXT, Name, Sorted, known_as, sort_of, unquoted
from orchestrator.tables.varying import by_importance

DIFFERENCE = "difference"
NOTHING_SHOWN = "-"


@dataclass(frozen=True, kw_only=True)
class Laid:
    """One table of a study file with the jobs that it is of."""

    layout: Layout
    """With the rows, columns and metrics that it leaves open filled in."""
    rows: Sequence[ResultRow]
    grouped: Grouped

    @cached_property
    def baselines(self) -> list[int]:
        """The groups of the baseline's row."""
        return differences.baselines(self.grouped, self.layout)

    def grid(self) -> Grid:
        """The table as it is shown."""
        body = Pivot(self)
        return draw(self.layout, body, About(caption=self.grouped.title, notes=body.notes(), records=self.records()))

    def records(self) -> list[dict[str, object]]:
        """A row for each group: keys and unrounded numbers, the differences from the baseline among them."""
        found = [dict(record) for record in generic.to_grid(self.grouped).records]
        if self.layout.baseline:
            more = differences.records(self.grouped, self.baselines)
            return [{**record, **extra} for record, extra in zip(found, more, strict=True)]
        return found

    def contract(self) -> dict[str, Any]:
        """Plain data: that of grouped jobs, with the layout, what is best, and the differences from the baseline."""
        found = self.grouped.contract()
        bold, alike = emphasis(self.grouped) if self.layout.best else (set(), set())
        for place, row in enumerate(found["rows"]):
            for index, name in enumerate(self.grouped.metrics):
                row["metrics"][name] |= {"best": (place, index) in bold, "like_best": (place, index) in alike}
        if self.layout.baseline:
            for row, one in zip(found["rows"], differences.contract(self.grouped, self.baselines), strict=True):
                row["baseline"] = one
        about = {"caption": self.grouped.title, "label": self.layout.label}
        return {**about, "rows_by": list(self.layout.rows), "columns_by": list(self.layout.columns), **found}


def lay_out(layout: Layout, rows: Sequence[ResultRow], number_of: int = 1) -> Laid:
    """The table of a layout of these jobs. Raises BadInput for its filters."""
    chosen = concerned(layout, rows)
    names = list(layout.metrics) or reported(chosen)
    keys = layout.rows or tuple(_varying(chosen, layout.columns))
    wanted = [key for key in (*keys, *layout.columns) if key != METRIC]
    grouped = generic.group(chosen, wanted, names, layout.filters, strict=False)
    added = tuple(key for key in grouped.by if key not in wanted)
    full = msgspec.structs.replace(layout, rows=(*added, *keys), metrics=tuple(names))
    apart = () if not [key for key in keys if key != METRIC] else tuple(c for c in full.columns if c != METRIC)
    title = layout.caption or _title(layout, chosen, number_of)
    grouped = replace(
        grouped,
        title=title,
        apart=apart,
        headings=tuple(_called(layout, name, chosen) for name in names),
        digits=tuple(
            layout.digits.get(name, layout.digits.get("", found))
            for name, found in zip(names, grouped.digits, strict=True)
        ),
    )
    return Laid(layout=full, rows=chosen, grouped=replace(grouped, notes=(*grouped.notes, *_slips(layout, chosen))))


def concerned(layout: Layout, rows: Sequence[ResultRow]) -> Many:
    """Jobs of its experiment, or of those experiments and programs that report any of its metrics."""
    own = where(
        bunched(rows), lambda row: row.state != JobState.CANCELLED and layout.experiment in ("", row.experiment)
    )
    if not layout.metrics:
        return own
    kept = {_origin(bunch.like) for bunch in own.bunches if any(_has(bunch, name) for name in layout.metrics)}
    return where(own, lambda row: _origin(row) in kept) if kept else own


def reported(rows: Sequence[ResultRow]) -> list[str]:
    """The numbers that a table shows where its layout names none."""
    found = by_importance(name for row in likes(rows) for name in row.metrics)
    found = found or by_importance(
        name for row in likes(rows) for name in row.declared if name not in ("epoch", "epochs")
    )
    return found[: default.MOST_METRICS]


def _origin(row: ResultRow) -> tuple[Any, ...]:
    return row.experiment, row.kind, arguments.program(row.config.get("argv") or ())


def _has(bunch: Bunch, metric: str) -> bool:
    """Whether any of these jobs has reported the metric, or may."""
    bare = metric.removeprefix("metrics.")
    if bare in bunch.like.metrics or bare in bunch.like.declared:
        return True
    return metric in DERIVED and any(number(row, metric) is not None for row in bunch)


def _varying(rows: Sequence[ResultRow], columns: Sequence[str]) -> list[str]:
    found = dict.fromkeys(key for part in default.parts(rows) for key in part.by)
    several = len({row.experiment for row in likes(rows)}) > 1 and "experiment" not in columns
    names = [key for key in ({"experiment": None, **found} if several else found) if key not in columns]
    return names if len(names) < 2 else [key for key in names if key not in ("program", "kind")] or names[:1]


def _title(layout: Layout, rows: Sequence[ResultRow], number_of: int) -> str:
    named = layout.experiment or (f"Table {number_of}" if number_of > 1 else "Results")
    return named + "".join(f", study {study}" for study in sorted({row.study for row in likes(rows)}))


def _called(layout: Layout, metric: str, rows: Sequence[ResultRow]) -> str:
    one = declarations(rows).get(metric)
    name = layout.labels.get(metric) or (one.label if one else "") or metric
    unit = layout.units.get(metric) or (one.unit if one else "")
    return f"{name} ({unit})" if unit else name


def _slips(layout: Layout, rows: Sequence[ResultRow]) -> list[str]:
    """What the layout names and nobody has, once there are results; before, what is like a declared metric."""
    if not any(row.metrics for row in likes(rows)):
        declared = {name for row in likes(rows) for name in row.declared}
        slips = {name: likely(name, declared) for name in layout.metrics if name not in declared}
        return [f"no job has reported '{name}': did you mean '{near}'?" for name, near in slips.items() if near]
    have = known(rows) | {name for row in likes(rows) for name in row.declared}
    metrics = {name for row in likes(rows) for name in row.metrics}
    notes = []
    for name in layout.metrics:
        if name not in have and name.removeprefix("metrics.") not in metrics:
            notes.append(f"no job has reported '{name}': {nearest(name, metrics)}")
    for name in (*layout.rows, *layout.columns):
        if name != METRIC and name not in have and name.removeprefix("config.") not in have:
            notes.append(f"no job has '{name}', which [table] names: {nearest(name, have)}")
    return notes


class Pivot:
    """The cells of grouped jobs."""

    def __init__(self, laid: Laid) -> None:
        self.layout, self.grouped, self._laid = laid.layout, laid.grouped, laid
        self._down = [key for key in self.layout.rows if key != METRIC]
        self._across = [key for key in self.layout.columns if key != METRIC]
        self._ranks = {key: self._rank(place, key) for place, key in enumerate(self.grouped.by)}
        self._groups: dict[tuple[Place, Place], int] = {}
        for index, group in enumerate(self.grouped.groups):
            self._groups[self._place(self._down, group), self._place(self._across, group)] = index
        self._bold, self._alike = emphasis(self.grouped) if self.layout.best else (set(), set())
        self._beside = differences.beside(self.grouped, laid.baselines) if self.layout.baseline else []

    @property
    def headings(self) -> Sequence[str]:
        return [self.layout.labels.get(key, key) for key in self._down]

    @cached_property
    def lines(self) -> Sequence[Line]:
        found: dict[Place, Line] = {}
        for group in self.grouped.groups:
            place = self._place(self._down, group)
            if place not in found:
                names = tuple(self._value(key, self._of(group, key), plain=True) for key in self._down)
                alone = not self._across and METRIC in self.layout.columns
                found[place] = Line(place=place, names=names, counted=generic.count_text(group) if alone else None)
        return list(found.values())

    @cached_property
    def groups(self) -> Mapping[Place, tuple[str, ...]]:
        found: dict[Place, tuple[str, ...]] = {}
        for group in self.grouped.groups:
            names = tuple(self._value(key, self._of(group, key), plain=False) for key in self._across)
            found.setdefault(self._place(self._across, group), names)
        return found or {(): ()} if not self._across else found

    @cached_property
    def items(self) -> Mapping[Item, str]:
        found: dict[Item, str] = {}
        for name, called in zip(self.grouped.metrics, self.grouped.headings, strict=True):
            for one in self.layout.show:
                found[name, one] = called if one == "mean" else f"{called} {one}"
            if self.layout.baseline:
                found[name, DIFFERENCE] = f"Δ {called}"
        return found

    def cell(self, line: Line, group: Place, item: Item) -> Field | None:
        index = self._groups.get((line.place, group))
        if index is None:
            return None
        metric = self.grouped.metrics.index(item[0])
        found = self.grouped.groups[index]
        if item[1] == DIFFERENCE:
            return Field(differences.shown(self.grouped, index, metric, self._beside[metric][index]))
        is_mean = item[1] == "mean"
        words = generic.cell_text(
            self.grouped, found, metric, cast(Statistic, item[1]), mark=is_mean and (index, metric) in self._alike
        )
        return Field(words + self._counted(found, metric, line), bold=is_mean and (index, metric) in self._bold)

    def notes(self) -> list[str]:
        """What a reader must know, in order."""
        found = list(self.grouped.notes)
        if self._across and self.grouped.groups:
            whole = all(group.n == group.expected == self._common for group in self.grouped.groups)
            found.append(f"n = {self._common}" + ("" if whole else " where nothing else is said"))
        found += [] if self.grouped.groups else ["no results yet"]
        found += [generic.BEST] if self._bold else []
        found += [generic.MARKED] if self._alike else []
        return found + (
            differences.notes(self.grouped, self.layout, self._laid.baselines) if self.layout.baseline else []
        )

    @cached_property
    def _common(self) -> int:
        """The n that most groups have."""
        return Counter(group.n for group in self.grouped.groups).most_common(1)[0][0]

    def _counted(self, group: Group, metric: int, line: Line) -> str:
        """The n of a cell that is another one than that of most; nothing where a column or the cell itself says it."""
        spread = group.spreads[metric]
        if line.counted is not None or spread.mean is None or spread.n != group.n:
            return ""
        if group.n != group.expected:
            return f" (n = {group.n}/{group.expected})"
        return "" if group.n == self._common else f" (n = {group.n})"

    def _of(self, group: Group, key: str) -> Any:
        return group.keys[self.grouped.by.index(key)]

    def _place(self, keys: Sequence[str], group: Group) -> Place:
        return tuple(self._ranks[key][known_as(self._of(group, key))] for key in keys)

    def _rank(self, place: int, key: str) -> dict[Sorted, int]:
        """Value → its position: as the layout orders them, the others behind by value; nothing is last."""
        have = sorted({known_as(group.keys[place]) for group in self.grouped.groups})
        order = self.layout.order.get(key, "value")
        if order == "reverse":
            have.sort(key=lambda one: one[0] == NOTHING)
            have = [*reversed([one for one in have if one[0] != NOTHING]), *(one for one in have if one[0] == NOTHING)]
        elif not isinstance(order, str):
            first = [known for one in order for known in _meant(one, have)]
            have = [*dict.fromkeys(first), *(one for one in have if one not in first)]
        return {known: position for position, known in enumerate(have)}

    def _value(self, key: str, found: Any, *, plain: bool) -> str:
        """A value as it is called; in a heading of columns a number with the name of its key."""
        if sort_of(found) == NOTHING:
            return NOTHING_SHOWN if plain else f"no {self.layout.labels.get(key, key)}"
        known = known_as(found)
        for written, label in self.layout.values.get(key, {}).items():
            if known in _meant(written, [known]):
                return label
        shown = text(found)
        if shown in self.layout.labels and shown not in (*self.grouped.by, *self.grouped.metrics):
            return self.layout.labels[shown]
        named = plain or sort_of(found) == TEXT
        return shown if named else f"{self.layout.labels.get(key, key)} = {shown}"


def _meant(written: str, have: Sequence[Sorted]) -> list[Sorted]:
    """Which of these values a text of a layout is: the value itself, else a name that is spelt so."""
    bare = unquoted(written)
    return [one for one in (known_as(bare), known_as(Name(bare))) if one in have][:1]
