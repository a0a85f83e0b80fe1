"""Every row beside a baseline: the mean difference, paired by what both share, as text and as numbers. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from db.layouts import METRIC, Layout
from orchestrator.tables.comparing import Beside, compare
from orchestrator.tables.digits import places
from orchestrator.tables.grouped import Grouped
from orchestrator.tables.groupstats import DEEPEST, signed
from orchestrator.tables.keys import text
from orchestrator.tables.stats import p_text
from orchestrator.tables.values import Name, known_as, unquoted


def baselines(grouped: Grouped, layout: Layout) -> list[int]:
    """The groups that have the baseline's values; none where these are several rows, so that nobody is compared."""
    places = {name: grouped.by.index(name) for name in layout.baseline if name in grouped.by}
    if len(places) < len(layout.baseline):
        return []
    found = [
        index
        for index, group in enumerate(grouped.groups)
        if all(is_value(group.keys[place], layout.baseline[name]) for name, place in places.items())
    ]
    return found if _rows(grouped, layout, found) <= 1 else []


def _rows(grouped: Grouped, layout: Layout, members: Sequence[int]) -> int:
    """How many rows these groups are of, at most, in one data set and preset."""
    keys = [grouped.by.index(key) for key in layout.rows if key != METRIC]
    apart = [place for place in keys if grouped.by[place] in ("dataset", "preset")]
    found: dict[tuple[Any, ...], set[tuple[Any, ...]]] = {}
    for one in members:
        values = grouped.groups[one].keys
        family = tuple(known_as(values[place]) for place in apart)
        found.setdefault(family, set()).add(tuple(known_as(values[place]) for place in keys))
    return max(map(len, found.values()), default=0)


def is_value(found: Any, wanted: str) -> bool:
    """Whether a key has the value that a person wrote, in quotes or without."""
    bare = unquoted(wanted)
    return known_as(found) in (known_as(bare), known_as(Name(bare)))


def beside(grouped: Grouped, members: Collection[int]) -> list[list[Beside]]:
    """For each metric every group beside the baseline of its columns."""
    return [compare(grouped, metric, members) for metric in range(len(grouped.metrics))]


def _difference(grouped: Grouped, index: int, metric: int, one: Beside) -> float | None:
    """The paired one, else that of the means."""
    if one.paired is not None:
        return one.paired.difference
    if one.reference is None:
        return None
    here, there = (grouped.groups[place].spreads[metric].mean for place in (index, one.reference))
    return None if here is None or there is None else here - there


def shown(grouped: Grouped, index: int, metric: int, one: Beside) -> str:
    """'+1.20 (0.50 to 1.90), p = 0.012'; the difference alone where nothing is paired."""
    found = _difference(grouped, index, metric, one)
    if found is None:
        return "-"
    group = grouped.groups[index]
    spread, declared = group.spreads[metric], grouped.digits[metric]
    digits = declared
    if digits is None and spread.mean is not None:
        digits = places(spread.mean, spread.std, spread.n, group.decimals[metric])
    deep = min(DEEPEST, max(0, digits or 0))
    words = signed(found, deep, plus=True)
    if one.paired is not None and one.paired.interval is not None:
        low, high = (signed(end, deep, plus=True) for end in (one.paired.interval.low, one.paired.interval.high))
        words += f" ({low} to {high})"
    if one.holm is not None:
        p = p_text(one.holm)
        words += f", p {p}" if p.startswith("<") else f", p = {p}"
    return words


def notes(grouped: Grouped, layout: Layout, members: Sequence[int]) -> list[str]:
    """Which row the differences are from."""
    named = sorted(layout.baseline.items(), key=lambda one: (*layout.rows, one[0]).index(one[0]))
    said = ", ".join(f"{layout.labels.get(name, name)} = {unquoted(value)}" for name, value in named)
    if members:
        return [
            f"Δ: difference from {said}, with its 95 % interval where paired by shared seeds; p: paired t-test, "
            "adjusted by Holm over the rows"
        ]
    if not grouped.groups:
        return []
    rows = [
        group for group in grouped.groups if all(_has(grouped, group.keys, *one) for one in layout.baseline.items())
    ]
    if not rows:
        return [f"no differences: no row is the baseline ({said})"]
    keys = [key for key in layout.rows if key != METRIC and key not in layout.baseline]
    return [f"no differences: several rows are the baseline ({said}); name {' and '.join(keys)} too"]


def _has(grouped: Grouped, keys: Sequence[Any], name: str, wanted: str) -> bool:
    return name in grouped.by and is_value(keys[grouped.by.index(name)], wanted)


def records(grouped: Grouped, members: Collection[int]) -> list[dict[str, object]]:
    """For each group the differences of every metric as numbers, for CSV."""
    found: list[dict[str, object]] = [{} for _ in grouped.groups]
    for metric, others in enumerate(beside(grouped, members)):
        name = grouped.metrics[metric]
        for index, (record, one) in enumerate(zip(found, others, strict=True)):
            paired = one.paired
            record |= {
                f"{name}_baseline": None if one.reference is None else _named(grouped, one.reference),
                f"{name}_baseline_difference": _difference(grouped, index, metric, one),
                f"{name}_baseline_low": paired.interval.low if paired and paired.interval else None,
                f"{name}_baseline_high": paired.interval.high if paired and paired.interval else None,
                f"{name}_baseline_pairs": None if one.reference is None else one.pairs,
                f"{name}_baseline_t": paired.statistic if paired else None,
                f"{name}_baseline_p": paired.p if paired else None,
                f"{name}_baseline_p_holm": one.holm,
            }
    return found


def contract(grouped: Grouped, members: Collection[int]) -> list[dict[str, Any]]:
    """For each group: metric → the row that it is compared with, the difference, and the paired test."""
    found: list[dict[str, Any]] = [{} for _ in grouped.groups]
    for metric, others in enumerate(beside(grouped, members)):
        for index, (row, one) in enumerate(zip(found, others, strict=True)):
            row[grouped.metrics[metric]] = {
                "of": None if one.reference is None else _named(grouped, one.reference),
                "difference": _difference(grouped, index, metric, one),
                "pairs": one.pairs,
                "paired": None if one.paired is None else asdict(one.paired),
                "p_holm": one.holm,
            }
    return found


def _named(grouped: Grouped, index: int) -> str:
    return ", ".join(map(text, grouped.groups[index].keys))
