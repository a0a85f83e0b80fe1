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
        beside = [_beside(grouped, metric, one, reference, found[one]) for one in others]
        adjusted = statistics.holm([one.paired.p if one.paired else None for one in beside])
        for place, one, holm in zip(others, beside, adjusted, strict=True):
            found[place] = replace(one, holm=holm, alike=_alike(one.paired, holm))
    return found


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
        beside = compare(grouped, metric)
        for members in _tables(grouped).values():
            top = best(grouped, metric, members)
            if top is None:
                continue
            same = grouped.groups[top].spreads[metric].mean
            bold |= {(one, metric) for one in members if grouped.groups[one].spreads[metric].mean == same}
            alike |= {(one, metric) for one in members if beside[one].alike and (one, metric) not in bold}
    return bold, alike


def _tables(grouped: Grouped) -> dict[tuple[Any, ...], list[int]]:
    """The groups of each data set and preset, which are never compared with each other."""
    apart = [place for place, key in enumerate(grouped.by) if key in ("dataset", "preset", *grouped.apart)]
    found: dict[tuple[Any, ...], list[int]] = {}
    for index, group in enumerate(grouped.groups):
        found.setdefault(tuple(known_as(group.keys[place]) for place in apart), []).append(index)
    return found


def _beside(grouped: Grouped, metric: int, one: int, reference: int, plain: Beside) -> Beside:
    first, second = grouped.groups[one], grouped.groups[reference]
    here, there = _by_replicate(first, metric), _by_replicate(second, metric)
    shared = [key for key in here if key in there]
    values, others = _values(first, metric), _values(second, metric)
    paired = statistics.paired_t([here[key] for key in shared], [there[key] for key in shared])
    return replace(
        plain,
        reference=reference,
        paired=paired,
        welch=statistics.welch_t(values, others),
        hedges_g=statistics.hedges_g(values, others),
        pairs=len(shared),
    )


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
    found: dict[Any, list[float | None]] = {}
    for key, value in zip(group.replicates, group.values[metric] if group.values else (), strict=False):
        if key is not None:
            found.setdefault(key, []).append(value)
    return {key: same[0] for key, same in found.items() if len(same) == 1 and same[0] is not None}
