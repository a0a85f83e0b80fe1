"""Any study as a table: rows grouped by any attribute, setting or metric, with several metrics side by side."""

from __future__ import annotations

import statistics as standard
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import floor, isfinite, log10
from typing import Any, Literal, get_args

from db.rows import Curve, ResultRow
from jobs.errors import BadInput
from jobs.words import JobState
from orchestrator.statistics import Summary, mean, summarize
from orchestrator.tables.cells import differing
from orchestrator.tables.grid import Grid
from orchestrator.tables.keys import DERIVED, check, number, select, text, value
from orchestrator.tables.render import number_text

Epoch = Literal["result", "last", "best"]
"""Where a number is taken from: the job's result, or the last or the best epoch of its curve."""
Show = Literal["mean", "min", "median", "max"]
SEPARATE = ("dataset", "preset")
"""Never mixed: grouped by even where nobody asked, if they differ."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One metric of one group; all None where no job has it."""

    n: int
    mean: float | None
    std: float | None
    min: float | None
    median: float | None
    max: float | None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Jobs that agree in every key. n counts those with a result; repeats of one architecture count once."""

    keys: tuple[Any, ...]
    n: int
    expected: int
    spreads: tuple[Spread, ...]


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """The groups in order of their keys."""

    by: tuple[str, ...]
    metrics: tuple[str, ...]
    groups: tuple[Group, ...]
    studies: tuple[str, ...]
    notes: tuple[str, ...]

    def contract(self) -> dict[str, Any]:
        """Plain data: {"by", "metrics", "rows": [{"by": {...}, "n", "expected", "metrics": {name: {...}}}]}."""
        return {
            "by": list(self.by),
            "metrics": list(self.metrics),
            "rows": [
                {
                    "by": dict(zip(self.by, (_plain(key) for key in group.keys), strict=True)),
                    "n": group.n,
                    "expected": group.expected,
                    "metrics": {name: asdict(spread) for name, spread in zip(self.metrics, group.spreads, strict=True)},
                }
                for group in self.groups
            ],
            "notes": list(self.notes),
        }


def group(
    rows: Sequence[ResultRow],
    by: Sequence[str],
    metrics: Sequence[str] = ("test_accuracy",),
    filters: Sequence[str] = (),
    *,
    epoch: Epoch = "result",
    curves: Iterable[Curve] = (),
) -> Grouped:
    """Group the jobs (cancelled ones left out) by keys. Raises BadInput for a key, metric or filter nobody has.

    `epoch` 'last' and 'best' take per-epoch metrics from `curves`; best is by the metric itself, so a best test
    accuracy is optimistic, and a note says so.
    """
    if epoch not in get_args(Epoch):
        raise BadInput(f"unknown epoch '{epoch}': use one of {', '.join(get_args(Epoch))}")
    kept = [row for row in select(rows, filters) if row.state != JobState.CANCELLED]
    by_job = {curve.job: curve for curve in curves} if epoch != "result" else {}
    if kept:
        check(by, kept, "key")
        if epoch == "result":
            check(metrics, kept, "metric")
        else:
            _check_curves(metrics, by_job)
    keys = (*(name for name in SEPARATE if name not in by and len({getattr(row, name) for row in kept}) > 1), *by)
    members: dict[tuple[str, ...], list[ResultRow]] = {}
    shown: dict[tuple[str, ...], tuple[Any, ...]] = {}
    for row in kept:
        values = tuple(value(row, key) for key in keys)
        name = tuple(text(one) for one in values)
        shown.setdefault(name, values)
        members.setdefault(name, []).append(row)
    higher = {metric: _higher_is_better(metric, kept) for metric in metrics}
    groups = []
    for name in sorted(members, key=lambda name: [_order(one) for one in shown[name]]):
        units = _units(members[name])
        columns = []
        for metric in metrics:
            columns.append([_of_unit(unit, metric, epoch, by_job, higher[metric]) for unit in units])
        n = sum(1 for unit in range(len(units)) if any(column[unit] is not None for column in columns))
        groups.append(
            Group(keys=shown[name], n=n, expected=len(units), spreads=tuple(_spread(column) for column in columns))
        )
    return Grouped(
        by=keys,
        metrics=tuple(metrics),
        groups=tuple(groups),
        studies=tuple(sorted({row.study for row in kept})),
        notes=tuple(_notes(members.values(), keys, by, metrics, epoch)),
    )


def to_grid(grouped: Grouped, *, show: Sequence[Show] = ("mean",), wide: bool = False) -> Grid:
    """Long: one line a group. Wide: the last key's values become columns. 'mean' shows mean ± std."""
    for one in show:
        if one not in get_args(Show):
            raise BadInput(f"cannot show '{one}': use some of {', '.join(get_args(Show))}")
    caption = f"By {', '.join(grouped.by)}" + "".join(f", study {study}" for study in grouped.studies)
    columns = [(index, metric, one) for index, metric in enumerate(grouped.metrics) for one in show]
    titles = [metric if one == "mean" else f"{metric} {one}" for _, metric, one in columns]
    if not wide:
        return Grid(
            caption=caption,
            headings=[*grouped.by, "n", *titles],
            rows=[
                [*(text(key) for key in group.keys), _count(group), *(_cell(group, *column) for column in columns)]
                for group in grouped.groups
            ],
            text_columns=len(grouped.by),
            notes=grouped.notes,
            records=[_record(grouped, group) for group in grouped.groups],
        )
    if len(grouped.by) < 2:
        raise BadInput("a wide table needs two keys or more: the last one's values become its columns")
    across = list(
        dict.fromkeys(text(group.keys[-1]) for group in sorted(grouped.groups, key=lambda g: _order(g.keys[-1])))
    )
    lines: dict[tuple[str, ...], dict[str, Group]] = {}
    for member in grouped.groups:
        lines.setdefault(tuple(text(key) for key in member.keys[:-1]), {})[text(member.keys[-1])] = member
    rows = []
    for name, cells in lines.items():
        shown = []
        for across_value in across:
            found = cells.get(across_value)
            counted = "" if found is None or found.n == found.expected else f" ({_count(found)})"
            shown += ["-" if found is None else _cell(found, *column) + counted for column in columns]
        rows.append([*name, *shown])
    headings = [f"{title}, {grouped.by[-1]} {across_value}" for across_value in across for title in titles]
    return Grid(
        caption=caption,
        headings=[*grouped.by[:-1], *headings],
        rows=rows,
        text_columns=len(grouped.by) - 1,
        notes=grouped.notes,
    )


def _units(rows: Sequence[ResultRow]) -> list[list[ResultRow]]:
    """Jobs that are repeats of one training go together; any other job stands alone."""
    units: dict[tuple[Any, ...], list[ResultRow]] = {}
    for row in rows:
        config = tuple(sorted((key, text(found)) for key, found in row.config.items() if key != "repeat"))
        own = (row.architecture or row.job) if row.imported else None
        units.setdefault((row.study, row.kind, row.seed, config, own), []).append(row)
    return list(units.values())


def _of_unit(
    unit: Iterable[ResultRow], metric: str, epoch: Epoch, curves: Mapping[int, Curve], higher: bool
) -> float | None:
    found = []
    for row in unit:
        one = number(row, metric) if epoch == "result" else _of_curve(curves.get(row.job), metric, epoch, higher)
        if one is not None and isfinite(one):
            found.append(one)
    return mean(found) if found else None


def _of_curve(curve: Curve | None, metric: str, epoch: Epoch, higher: bool) -> float | None:
    points = [one for _, values in curve.points if (one := values.get(metric)) is not None] if curve else []
    if not points:
        return None
    return points[-1] if epoch == "last" else max(points) if higher else min(points)


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


def _higher_is_better(metric: str, rows: Iterable[ResultRow]) -> bool:
    from jobs.kind import kinds

    for name in sorted({row.kind for row in rows} & kinds().keys()):
        for declared in kinds()[name].metrics:
            if declared.name == metric:
                return declared.higher_is_better
    return "loss" not in metric


def _check_curves(metrics: Sequence[str], curves: Mapping[int, Curve]) -> None:
    have = {name for curve in curves.values() for _, values in curve.points for name in values}
    for metric in metrics:
        if have and metric not in have:
            raise BadInput(f"no curve has the metric '{metric}': known per epoch: {', '.join(sorted(have))}")


def _notes(
    members: Iterable[Sequence[ResultRow]], keys: Sequence[str], by: Sequence[str], metrics: Sequence[str], epoch: Epoch
) -> list[str]:
    notes = []
    if added := [key for key in keys if key not in by]:
        notes.append(f"grouped by {' and '.join(added)} as well: they are never mixed")
    bare = {key.removeprefix("config.") for key in keys} | set(DERIVED)
    varying = sorted({name for rows in members for name in differing(rows, bare)})
    if varying:
        notes.append(f"within groups these settings differ: {', '.join(varying)}")
    if epoch == "best" and any("test" in metric for metric in metrics):
        notes.append("best epoch chosen on the test data itself, so optimistic: the last epoch is the honest number")
    return notes


def _count(group: Group) -> str:
    return str(group.n) if group.n == group.expected else f"{group.n}/{group.expected}"


def _cell(group: Group, index: int, metric: str, show: Show) -> str:
    spread = group.spreads[index]
    if spread.n == 0 or spread.mean is None:
        return "pending" if group.n == 0 else "-"
    digits = _digits(metric, spread)
    if show == "mean":
        return number_text(Summary(n=spread.n, mean=spread.mean, std=spread.std), digits)
    found = getattr(spread, show)
    return f"{found:.{digits}f}"


def _digits(metric: str, spread: Spread) -> int:
    """Decimals: two for accuracies, else four significant digits of the largest value."""
    if metric.endswith("accuracy"):
        return 2
    largest = max(abs(spread.min or 0.0), abs(spread.max or 0.0))
    return max(0, 3 - floor(log10(largest))) if largest > 0 else 1


def _record(grouped: Grouped, group: Group) -> dict[str, object]:
    found: dict[str, object] = dict(zip(grouped.by, (text(key) for key in group.keys), strict=True))
    found |= {"n": group.n, "expected": group.expected}
    for metric, spread in zip(grouped.metrics, group.spreads, strict=True):
        found |= {f"{metric}_{name}": one for name, one in asdict(spread).items()}
    return found


def _order(found: Any) -> tuple[int, float, str]:
    if isinstance(found, int | float):
        return 0, float(found), ""
    return (2 if found is None else 1), 0.0, text(found)


def _plain(found: Any) -> Any:
    return found if found is None or isinstance(found, int | float | bool) else text(found)
