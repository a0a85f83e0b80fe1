"""Any study as a table: rows grouped by any attribute, setting or metric, with several metrics side by side."""

from __future__ import annotations

import statistics as standard
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal, get_args

from db.bunches import Bunch, Many, bunched, likes
from db.rows import Curve, ResultRow
from jobs.errors import BadInput
from jobs.words import JobState
from orchestrator.tables.cells import differing, job_list, replicate
from orchestrator.tables.comparing import emphasis
from orchestrator.tables.declared import better_up, called, digits, direction
from orchestrator.tables.digits import decimals, places, written
from orchestrator.tables.filters import select
from orchestrator.tables.grid import Grid
from orchestrator.tables.grouped import Group, Grouped, Spread
from orchestrator.tables.keys import DERIVED, Column, alike, check, is_own, known, resolved, spelt
from orchestrator.tables.lacking import Epoch, Lacking, Source, few, flag_notes
from orchestrator.tables.statistics import summarize
from orchestrator.tables.units import Units, units_of
from orchestrator.tables.values import Sorted, known_as
from orchestrator.tables.varying import is_house

Show = Literal["mean", "min", "median", "max"]
MARK = "†"
BEST = "bold: the best mean of its column"
MARKED = "†: the paired t-test over shared seeds cannot tell it from the best (p ≥ 0.05, adjusted by Holm)"
SEPARATE = ("dataset", "preset")
"""Never mixed: grouped by even where nobody asked, if they differ."""


def group(
    rows: Sequence[ResultRow],
    by: Sequence[str],
    metrics: Sequence[str] = ("test_accuracy",),
    filters: Sequence[str] = (),
    *,
    epoch: Epoch = "result",
    curves: Iterable[Curve] = (),
    strict: bool = True,
) -> Grouped:
    """Group the jobs (cancelled ones left out) by keys. Raises BadInput for a key, metric or filter nobody has.

    `epoch` 'last' and 'best' take per-epoch metrics from `curves`; best is by the metric itself, so a best test
    accuracy is optimistic, and a note says so. Not `strict`: names that nobody has yet are kept, without a value.
    """
    if epoch not in get_args(Epoch):
        raise BadInput(f"unknown epoch '{epoch}': use one of {', '.join(get_args(Epoch))}")
    chosen = bunched(select(rows, filters)).bunches
    kept = Many(bunch for bunch in chosen if bunch.like.state != JobState.CANCELLED)
    by_job = {curve.job: curve for curve in curves} if epoch != "result" else {}
    if kept and strict:
        have = known(kept)
        check(by, have, "key")
        if epoch == "result":
            check(metrics, have, "metric")
        else:
            _check_curves(metrics, by_job)
    keys = (
        *(name for name in SEPARATE if name not in by and len({getattr(row, name) for row in likes(kept)}) > 1),
        *by,
    )
    columns = [Column(resolved(key, kept), kept) for key in keys]
    parts: dict[tuple[Sorted, ...], list[Bunch]] = {}
    for bunch in kept.bunches:
        for name, part in _by_keys(bunch, columns):
            parts.setdefault(name, []).append(part)
    members = {name: Many(own) for name, own in parts.items()}
    members = dict(sorted(members.items(), key=lambda one: one[1].bunches[0].places[0]))
    shown = {name: tuple(column.of(rows[0])[0] for column in columns) for name, rows in members.items()}
    higher = {metric: better_up(metric, kept) for metric in metrics}
    groups = []
    lacking, lacks = Lacking(kept), list[str]()
    for name in sorted(members):
        units = Units(members[name])
        source = Source(epoch, by_job, higher)
        measured = [units.values(metric, source) for metric in metrics]
        whole = any(None not in values for values in measured)
        n = len(units) if whole else sum(1 for each in zip(*measured, strict=True) if set(each) != {None})
        groups.append(
            Group(
                keys=shown[name],
                n=n,
                expected=len(units),
                spreads=tuple(_spread(column) for column in measured),
                values=tuple(measured),
                replicates=units.replicates(),
                open=tuple(any(lacking.may_come(row, metric) for row in likes(members[name])) for metric in metrics),
                decimals=tuple(
                    decimals([one for one in units.numbers(metric, source) if one is not None]) for metric in metrics
                ),
            )
        )
        lacks += lacking.notes(shown[name] if len(members) > 1 else (), members[name], metrics, source)
    return Grouped(
        by=keys,
        metrics=tuple(metrics),
        groups=tuple(groups),
        studies=tuple(sorted({row.study for row in likes(kept)})),
        notes=(*_notes(members.values(), keys, by, metrics, epoch), *few(lacks), *flag_notes(kept)),
        digits=tuple(digits(metric, kept) for metric in metrics),
        headings=tuple(called(metric, kept) for metric in metrics),
        better=tuple(direction(metric, kept) for metric in metrics),
        house=any(is_house(kind) for kind in {row.kind for row in likes(kept)}),
    )


def to_grid(grouped: Grouped, *, show: Sequence[Show] = ("mean",), wide: bool = False, emphasize: bool = False) -> Grid:
    """Long: one line a group. Wide: the last key's values become columns. 'mean' shows mean ± std.

    `emphasize`: the best mean of a column is bold, and what the paired test cannot tell from it has a mark.
    """
    for one in show:
        if one not in get_args(Show):
            raise BadInput(f"cannot show '{one}': use some of {', '.join(get_args(Show))}")
    bold, alike = emphasis(grouped) if emphasize else (set(), set())
    notes = (*grouped.notes, *([BEST] if bold else []), *([MARKED] if alike else []))
    caption = (grouped.title or f"By {', '.join(grouped.by)}") + "".join(
        f", study {study}" for study in grouped.studies
    )
    columns = [(index, one) for index in range(len(grouped.metrics)) for one in show]
    spelled = _spelled(grouped)
    names = grouped.headings or grouped.metrics
    titles = [names[index] if one == "mean" else f"{names[index]} {one}" for index, one in columns]
    if not wide:
        return Grid(
            caption=caption,
            headings=[*grouped.by, "n", *titles],
            rows=[
                [
                    *spelled[place],
                    count_text(group),
                    *(cell_text(grouped, group, *column, mark=(place, column[0]) in alike) for column in columns),
                ]
                for place, group in enumerate(grouped.groups)
            ],
            text_columns=len(grouped.by),
            notes=notes,
            records=[_record(grouped, group, keys) for group, keys in zip(grouped.groups, spelled, strict=True)],
            bold=frozenset(
                (place, len(grouped.by) + 1 + at)
                for place in range(len(grouped.groups))
                for at, (index, one) in enumerate(columns)
                if one == "mean" and (place, index) in bold
            ),
        )
    if len(grouped.by) < 2:
        raise BadInput("a wide table needs two keys or more: the last one's values become its columns")
    lines: dict[tuple[str, ...], dict[str, Group]] = {}
    for member, keys in zip(grouped.groups, spelled, strict=True):
        lines.setdefault(keys[:-1], {})[keys[-1]] = member
    order = {keys[-1]: known_as(group.keys[-1]) for group, keys in zip(grouped.groups, spelled, strict=True)}
    across = sorted(order, key=lambda one: order[one])
    rows = []
    for name, cells in lines.items():
        shown = []
        for across_value in across:
            found = cells.get(across_value)
            counted = "" if found is None or found.n == found.expected else f" ({count_text(found)})"
            shown += ["-" if found is None else cell_text(grouped, found, *column) + counted for column in columns]
        rows.append([*name, *shown])
    headings = [f"{title}, {grouped.by[-1]} {across_value}" for across_value in across for title in titles]
    return Grid(
        caption=caption,
        headings=[*grouped.by[:-1], *headings],
        rows=rows,
        text_columns=len(grouped.by) - 1,
        notes=grouped.notes,
        records=[
            {
                **dict(list(_key_cells(grouped, next(iter(cells.values())), (*name, "")).items())[:-1]),
                **{
                    f"{name} {grouped.by[-1]}={across_value}": number
                    for across_value in across
                    for name, number in _numbers(grouped, cells.get(across_value)).items()
                },
            }
            for cells in lines.values()
        ],
    )


def _by_keys(bunch: Bunch, columns: Sequence[Column]) -> Iterator[tuple[tuple[Sorted, ...], Bunch]]:
    """The jobs of a bunch that agree in every key, with what their values are known as."""
    if not any(is_own(bunch.like, column.key) for column in columns):
        yield tuple(column.of(bunch.like)[1] for column in columns), bunch
        return
    found: dict[tuple[Sorted, ...], list[int]] = {}
    for at, row in enumerate(bunch):
        found.setdefault(tuple(column.of(row)[1] for column in columns), []).append(at)
    for name, kept in found.items():
        yield name, bunch.only(kept)


def _spread(column: Iterable[float | None]) -> Spread:
    values = [one for one in column if one is not None]
    summary = summarize(values)
    return Spread(
        n=summary.n,
        mean=summary.mean,
        std=summary.std,
        min=min(values, default=None),
        median=standard.median(values) if values else None,
        max=max(values, default=None),
    )


def _check_curves(metrics: Sequence[str], curves: Mapping[int, Curve]) -> None:
    have = {name for curve in curves.values() for _, values in curve.points for name in values}
    for metric in metrics:
        if have and metric not in have:
            raise BadInput(f"no curve has the metric '{metric}': known per epoch: {', '.join(sorted(have))}")


def _notes(
    members: Collection[Sequence[ResultRow]],
    keys: Sequence[str],
    by: Sequence[str],
    metrics: Sequence[str],
    epoch: Epoch,
) -> list[str]:
    different = [alike(rows) for rows in members]
    notes = []
    if added := [key for key in keys if key not in by]:
        notes.append(f"grouped by {' and '.join(added)} as well: they are never mixed")
    bare = {key.removeprefix("config.").removeprefix("parameters.") for key in keys} | set(DERIVED)
    varying = sorted({name for rows in different for name in differing(rows, bare)})
    if varying:
        notes.append(f"within groups these settings differ: {', '.join(varying)}")
    named = any(isinstance(replicate(row), str) for rows in different for row in rows)
    doubtful = [[row for row in rows if isinstance(replicate(row), str)] for rows in members] if named else []
    for unit in (unit for rows in doubtful for unit in units_of(rows)):
        if len({row.seed for row in unit}) > 1:
            notes.append(f"{job_list(unit)} are one run, counted once: {replicate(unit[0])} is their parameter's")
    if epoch == "best" and any("test" in metric for metric in metrics):
        notes.append("best epoch chosen on the test data itself, so optimistic: the last epoch is the honest number")
    return notes


def _spelled(grouped: Grouped) -> list[tuple[str, ...]]:
    """The keys of each group, as they are shown."""
    columns = [spelt(group.keys[place] for group in grouped.groups) for place in range(len(grouped.by))]
    return [tuple(column[place] for column in columns) for place in range(len(grouped.groups))]


def count_text(group: Group) -> str:
    return str(group.n) if group.n == group.expected else f"{group.n}/{group.expected}"


def cell_text(grouped: Grouped, group: Group, index: int, show: Show, mark: bool = False) -> str:
    """'0.9329 ± 0.0017', with its own n where that is not the group's."""
    spread = group.spreads[index]
    if spread.n == 0 or spread.mean is None:
        return "pending" if group.n == 0 and group.open[index] else "-"
    own = "" if spread.n == group.n else f" (n = {spread.n})"
    data, declared = group.decimals[index], grouped.digits[index]
    digits = places(spread.mean, spread.std, spread.n, data) if declared is None else declared
    if show == "mean":
        return written(spread.mean, spread.std, digits, spread.n, data) + own + (MARK if mark else "")
    return written(getattr(spread, show), None, digits, data=data) + own


def _record(grouped: Grouped, group: Group, spelled: Sequence[str]) -> dict[str, object]:
    """Keys and unrounded numbers, for CSV; `spelled`: the keys as they are shown."""
    return {**_key_cells(grouped, group, spelled), **_numbers(grouped, group)}


def _key_cells(grouped: Grouped, group: Group, spelled: Sequence[str]) -> dict[str, object]:
    """The keys in CSV, unrounded; `n` and `expected` are counts there."""
    names = [f"config.{key}" if key in ("n", "expected") else key for key in grouped.by]
    cells = [
        key if isinstance(key, float) and key % 1 else shown for key, shown in zip(group.keys, spelled, strict=True)
    ]
    return dict(zip(names, cells, strict=True))


def _numbers(grouped: Grouped, group: Group | None) -> dict[str, object]:
    found: dict[str, object] = {"n": group.n if group else 0, "expected": group.expected if group else 0}
    for index, metric in enumerate(grouped.metrics):
        spread = group.spreads[index] if group else _spread([])
        found |= {f"{metric}_{name}": one for name, one in vars(spread).items()}
    return found
