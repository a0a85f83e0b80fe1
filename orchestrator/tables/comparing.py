"""Groups of a table compared with one of them: what is best, what cannot be told from it, and every statistic. Pure.

Units are paired by what they share (the search, or the seed) where both sides have it once; Welch's test stands beside.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.tables import statistics
from orchestrator.tables.grouped import Group, Grouped
from orchestrator.tables.statistics import Comparison, Interval
from orchestrator.tables.values import known_as

LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Beside:
    """One metric of one group beside the reference: `differences` are its values less the reference's."""

    interval: Interval | None
    """95 %, of the mean."""
    reference: int | None
    """Index of the group that it is compared with; None where there is none, or it is this one."""
    paired: Comparison | None = None
    welch: Comparison | None = None
    holm: float | None = None
    """The paired p, adjusted over the groups of the table."""
    hedges_g: float | None = None
    pairs: int = 0
    alike: bool | None = None
    """Whether the paired test cannot tell it from the reference; None where there is no test."""


def compare(grouped: Grouped, metric: int, baselines: Collection[int] | None = None) -> list[Beside]:
    """Every group beside the best one of its data set and preset (the first, where no direction is known).

    `baselines`: groups to be compared with instead; none where a data set has none, or several.
    """
    found: list[Beside] = [
        Beside(interval=statistics.t_interval(_values(group, metric)), reference=None) for group in grouped.groups
    ]
    for members in _tables(grouped).values():
        if baselines is not None:
            own = [one for one in members if one in baselines]
            reference = own[0] if len(own) == 1 and grouped.groups[own[0]].spreads[metric].n else None
        else:
            reference = best(grouped, metric, members)
            if reference is None:
                reference = next((one for one in members if grouped.groups[one].spreads[metric].n), None)
        if reference is None:
            continue
        others = [one for one in members if one != reference and grouped.groups[one].spreads[metric].n]
        tests = _paired(grouped, metric, others, reference)
        for place, (paired, pairs, holm) in zip(others, tests, strict=True):
            values, against = _values(grouped.groups[place], metric), _values(grouped.groups[reference], metric)
            found[place] = replace(
                found[place],
                reference=reference,
                paired=paired,
                pairs=pairs,
                holm=holm,
                alike=_alike(paired, holm),
                welch=statistics.welch_t(values, against),
                hedges_g=statistics.hedges_g(values, against),
            )
    return found


def _paired(
    grouped: Grouped, metric: int, others: Sequence[int], reference: int
) -> list[tuple[Comparison | None, int, float | None]]:
    """Of each of these groups beside the reference: the paired test, its pairs, and its p adjusted over all of them."""
    there = _by_replicate(grouped.groups[reference], metric)
    tests, pairs = [], []
    for one in others:
        here = _by_replicate(grouped.groups[one], metric)
        shared = [key for key in here if key in there]
        tests.append(statistics.paired_t([here[key] for key in shared], [there[key] for key in shared]))
        pairs.append(len(shared))
    return list(zip(tests, pairs, statistics.holm([one.p if one else None for one in tests]), strict=True))


def best(grouped: Grouped, metric: int, members: Sequence[int]) -> int | None:
    """The group with the best mean; None where nobody knows which way is better, or only one has a number."""
    up = grouped.better[metric] if grouped.better else None
    means = [(mean, one) for one in members if (mean := grouped.groups[one].spreads[metric].mean) is not None]
    if up is None or len(means) < 2:
        return None
    top = (max if up else min)(mean for mean, _ in means)
    return next(one for mean, one in means if mean == top)


def emphasis(grouped: Grouped) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """(group, metric) of what is best in its column, and of what the paired test cannot tell from it."""
    bold, alike = set(), set()
    for metric in range(len(grouped.metrics)):
        for members in _tables(grouped).values():
            top = best(grouped, metric, members)
            if top is None:
                continue
            same = grouped.groups[top].spreads[metric].mean
            bold |= {(one, metric) for one in members if grouped.groups[one].spreads[metric].mean == same}
            others = [one for one in members if one != top and grouped.groups[one].spreads[metric].n]
            for one, (paired, _, holm) in zip(others, _paired(grouped, metric, others, top), strict=True):
                if _alike(paired, holm) and (one, metric) not in bold:
                    alike.add((one, metric))
    return bold, alike


def _tables(grouped: Grouped) -> dict[tuple[Any, ...], list[int]]:
    """The groups of each data set and preset, which are never compared with each other."""
    apart = [place for place, key in enumerate(grouped.by) if key in ("dataset", "preset", *grouped.apart)]
    found: dict[tuple[Any, ...], list[int]] = {}
    for index, group in enumerate(grouped.groups):
        found.setdefault(tuple(known_as(group.keys[place]) for place in apart), []).append(index)
    return found


def _alike(paired: Comparison | None, holm: float | None) -> bool | None:
    if paired is None:
        return None
    if holm is None:  # differences that do not vary
        return paired.difference == 0
    return holm >= LEVEL


def _values(group: Group, metric: int) -> list[float]:
    return [one for one in group.values[metric] if one is not None] if group.values else []


def _by_replicate(group: Group, metric: int) -> Mapping[Any, float]:
    """Pair key → value, of keys that one unit alone has."""
    if len(set(group.replicates)) == len(group.replicates):
        pairs = zip(group.replicates, group.values[metric] if group.values else (), strict=False)
        return {key: value for key, value in pairs if key is not None and value is not None}
    found: dict[Any, list[float | None]] = {}
    for key, value in zip(group.replicates, group.values[metric] if group.values else (), strict=False):
        if key is not None:
            found.setdefault(key, []).append(value)
    return {key: same[0] for key, same in found.items() if len(same) == 1 and same[0] is not None}
