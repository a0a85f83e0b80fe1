"""Groups of any study beside each other: by any keys, against a baseline or each with each. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from db.rows import ResultRow
from jobs.errors import BadInput
from orchestrator.comparison import robust
from orchestrator.comparison.contrast import Contrast, Family, Sample, adjusted, contrast
from orchestrator.comparison.robust import Estimate, Runs
from orchestrator.tables import differences, generic
from orchestrator.tables.digits import places
from orchestrator.tables.grouped import Group, Grouped
from orchestrator.tables.keys import text
from orchestrator.tables.values import known_as

EACH_WITH_EACH = 6
"""More groups than these have too many pairs for Holm to leave anything: a baseline has to be named."""
PAIRED = (
    "paired by seed: the same seed is taken to mean the same data and start on both sides; where it means nothing, "
    "--unpaired"
)


class Incomparable(BadInput):
    """There is nothing to compare."""


class TooMany(BadInput):
    """There are more comparisons than whoever asks has room for."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One group over all its tasks: its runs, and means that no single run moves far."""

    name: str
    runs: Runs
    """Task → values."""
    middle: Estimate | None
    """The interquartile mean of all runs."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One metric: the groups, and how they compare."""

    family: Family
    sides: tuple[Side, ...]
    up: bool | None
    """Whether a higher value is better; None where nobody said so."""
    over_tasks: tuple[tuple[str, str, Estimate], ...] = ()
    """(first, second, probability that a run of the first is better, mean over tasks); empty for one task."""


def compare(
    rows: Sequence[ResultRow],
    by: Sequence[str],
    metric: str,
    *,
    baseline: Mapping[str, str] | None = None,
    tasks: Sequence[str] = (),
    margin: float | None = None,
    paired: bool = True,
    most: int | None = None,
) -> Compared:
    """Compare the groups of these rows. `tasks`: keys whose values are never compared with each other.

    Raises Incomparable: one group alone; TooMany: more than `most`; BadInput: a name that nobody has, a baseline that
    is none, too many groups without one.
    """
    grouped, hidden, by_task = _grouped(rows, by, metric, tasks)
    wanted = _wanted(grouped, by_task, hidden, by, baseline or {})
    if most is not None and len(wanted) > most:
        raise TooMany(f"{len(wanted)} comparisons are too many for a page: 'orch compare' shows them")
    up = grouped.better[0] if grouped.better else None
    made = [
        contrast(
            _sample(grouped, first, hidden, paired),
            _sample(grouped, second, hidden, paired),
            paired=paired,
            up=up is not False,
            margin=margin,
            tests=len(wanted),
            task=task,
        )
        for task, first, second in wanted
    ]
    found = adjusted([one for one in made if one is not None])
    sides = _sides(grouped, by_task, hidden)
    return Compared(
        family=Family(
            title=f"By {', '.join(by)}" + "".join(f", study {study}" for study in grouped.studies),
            metric=grouped.headings[0] if grouped.headings else metric,
            contrasts=found,
            notes=(*grouped.notes, *([PAIRED] if any(one.pairs for one in found) else [])),
            digits=_digits(grouped),
        ),
        sides=sides,
        up=up,
        over_tasks=_over_tasks(found, up) if len(by_task) > 1 else (),
    )


def groups(rows: Sequence[ResultRow], by: Sequence[str], metric: str, tasks: Sequence[str] = ()) -> tuple[Side, ...]:
    """The groups alone, not compared. Raises BadInput for a name that nobody has."""
    grouped, hidden, by_task = _grouped(rows, by, metric, tasks)
    return _sides(grouped, by_task, hidden)


def _grouped(
    rows: Sequence[ResultRow], by: Sequence[str], metric: str, tasks: Sequence[str]
) -> tuple[Grouped, list[int], dict[str, list[int]]]:
    """The groups, the places of keys that are never compared, and the groups of each of their values."""
    for key in tasks:
        if key in by:
            raise BadInput(f"--tasks is '{key}', which is compared as well: name another key in one of them")
    grouped = replace(generic.group(rows, [*tasks, *by], [metric]), apart=tuple(tasks))
    hidden = [place for place, key in enumerate(grouped.by) if key not in by]
    by_task: dict[str, list[int]] = {}
    for index, group in enumerate(grouped.groups):
        by_task.setdefault(", ".join(text(group.keys[place]) for place in hidden), []).append(index)
    return grouped, hidden, by_task


def _wanted(
    grouped: Grouped,
    by_task: Mapping[str, Sequence[int]],
    hidden: Sequence[int],
    by: Sequence[str],
    baseline: Mapping[str, str],
) -> list[tuple[str, int, int]]:
    """(task, group, group that it is compared with). Raises BadInput."""
    there = {task: [one for one in members if grouped.groups[one].n] for task, members in by_task.items()}
    if all(len(members) < 2 for members in by_task.values()):
        raise Incomparable(f"nothing to compare: there is one group by {', '.join(by)} alone; name other keys by --by")
    if not baseline:
        most = max(len(members) for members in there.values())
        if most > EACH_WITH_EACH:
            raise BadInput(
                f"{most} groups are too many to compare each with each: name the one that the others are compared "
                f"with, like --baseline {by[0]}={_example(grouped, by[0])}, or choose some by --filter"
            )
        return [(task, a, b) for task, members in there.items() for a, b in combinations(members, 2)]
    unknown = [name for name in baseline if name not in by]
    if unknown:
        raise BadInput(f"--baseline names '{unknown[0]}', which is no key of --by ({', '.join(by)})")
    members = {one for task in by_task.values() for one in task if _is_baseline(grouped, one, baseline)}
    said = ", ".join(f"{name}={value}" for name, value in baseline.items())
    if not members:
        raise BadInput(f"no group is the baseline {said}: a {by[0]} is, for one, {_example(grouped, by[0])}")
    if any(len(members & set(task)) > 1 for task in by_task.values()):
        raise BadInput(f"several groups are the baseline {said}: name the other keys of --by as well")
    return [
        (task, one, reference)
        for task, own in there.items()
        for reference in sorted(members & set(own))
        for one in own
        if one != reference
    ]


def _is_baseline(grouped: Grouped, index: int, baseline: Mapping[str, str]) -> bool:
    keys = grouped.groups[index].keys
    return all(differences.is_value(keys[grouped.by.index(name)], wanted) for name, wanted in baseline.items())


def _example(grouped: Grouped, key: str) -> str:
    return text(grouped.groups[0].keys[grouped.by.index(key)])


def _name(group: Group, hidden: Sequence[int]) -> str:
    return ", ".join(text(key) for place, key in enumerate(group.keys) if place not in hidden)


def _sample(grouped: Grouped, index: int, hidden: Sequence[int], paired: bool) -> Sample:
    group = grouped.groups[index]
    values = group.values[0] if group.values else ()
    keys = group.replicates if paired else (None,) * len(values)
    told = [(value, key) for value, key in zip(values, keys, strict=True) if value is not None]
    return Sample(
        name=_name(group, hidden), values=tuple(value for value, _ in told), keys=tuple(key for _, key in told)
    )


def _sides(grouped: Grouped, by_task: Mapping[str, Sequence[int]], hidden: Sequence[int]) -> tuple[Side, ...]:
    runs: dict[str, dict[str, list[float]]] = {}
    order: dict[str, Any] = {}
    for task, members in by_task.items():
        for index in members:
            sample = _sample(grouped, index, hidden, False)
            order.setdefault(sample.name, tuple(known_as(key) for key in grouped.groups[index].keys))
            if sample.values:
                runs.setdefault(sample.name, {})[task] = list(sample.values)
    return tuple(
        Side(name=name, runs=runs[name], middle=robust.interquartile_mean(runs[name])) for name in order if name in runs
    )


def _over_tasks(found: Sequence[Contrast], up: bool | None) -> tuple[tuple[str, str, Estimate], ...]:
    """Each two sides over the tasks in which they were compared."""
    sides: dict[tuple[str, str], list[Contrast]] = {}
    for one in found:
        sides.setdefault((one.first, one.second), []).append(one)
    told = []
    for (first, second), same in sides.items():
        estimate = robust.improvement_over(
            {one.task: one.values[0] for one in same},
            {one.task: one.values[1] for one in same},
            paired=all(one.pairs for one in same),
            up=up is not False,
        )
        if estimate is not None and len(same) > 1:
            told.append((first, second, estimate))
    return tuple(told)


def _digits(grouped: Grouped) -> int:
    """Decimals of differences: those declared, else what the spreads tell, and one more."""
    if grouped.digits and grouped.digits[0] is not None:
        return grouped.digits[0]
    told = [
        places(spread.mean, spread.std, spread.n, group.decimals[0])
        for group in grouped.groups
        for spread in group.spreads
        if spread.mean is not None
    ]
    return min(6, max(0, *told, 0)) if told else 2
