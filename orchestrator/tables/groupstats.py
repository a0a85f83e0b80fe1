"""`--stats` of grouped jobs: every group beside the best one, as a table of text, as numbers and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.tables.comparing import Beside, compare
from orchestrator.tables.digits import places, written
from orchestrator.tables.grid import Grid
from orchestrator.tables.grouped import Group, Grouped
from orchestrator.tables.japanese import spoken
from orchestrator.tables.keys import text
from orchestrator.tables.statistics import Comparison
from orchestrator.tables.stats import p_text, test_text
from orchestrator.tables.words import Language, word

PIECES = ((0, 1, 2), (3, 4, 5, 6), (7, 8))
"""Columns behind the keys that stand together on a page: what was measured, the paired test, the others."""
DEEPEST = 6
"""Decimals of a difference, at most."""


def grids(grouped: Grouped, lang: Language = "en") -> list[Grid]:
    """A table for each metric."""
    return [spoken(_grid(grouped, metric, lang), lang) for metric in range(len(grouped.metrics))]


def _grid(grouped: Grouped, metric: int, lang: Language) -> Grid:
    beside = compare(grouped, metric)
    names = ("interval", "difference", "pairs", "paired", "holm", "welch", "hedges")
    rows = [
        [*map(text, group.keys), *_cells(grouped, group, metric, one)]
        for group, one in zip(grouped.groups, beside, strict=True)
    ]
    called = grouped.headings[metric] if grouped.headings else grouped.metrics[metric]
    return Grid(
        caption=f"{word('statistics', lang)}: {called}",
        headings=[*grouped.by, "n", called, *(word(name, lang) for name in names)],
        rows=rows,
        text_columns=len(grouped.by),
        pieces=[[len(grouped.by) + column for column in piece] for piece in PIECES],
        notes=_notes(grouped, metric, beside),
    )


def _cells(grouped: Grouped, group: Group, metric: int, one: Beside) -> list[str]:
    spread = group.spreads[metric]
    if spread.mean is None:
        return [str(spread.n), *["-"] * 8]
    declared = grouped.digits[metric]
    shown = places(spread.mean, spread.std, spread.n, group.decimals[metric]) if declared is None else declared
    deep = min(DEEPEST, max(0, shown))
    interval, paired = one.interval, one.paired
    return [
        str(spread.n),
        written(spread.mean, spread.std, shown, spread.n, group.decimals[metric]),
        "-" if interval is None else f"{signed(interval.low, deep)} to {signed(interval.high, deep)}",
        "-" if paired is None else _difference(paired, deep),
        "-" if one.reference is None else str(one.pairs),
        test_text(paired),
        p_text(one.holm),
        test_text(one.welch),
        "-" if one.hedges_g is None else signed(one.hedges_g, 2, plus=True),
    ]


def _difference(paired: Comparison, digits: int) -> str:
    shown = signed(paired.difference, digits, plus=True)
    if paired.interval is None:
        return shown
    low, high = (signed(end, digits, plus=True) for end in (paired.interval.low, paired.interval.high))
    return f"{shown} ({low} to {high})"


def signed(value: float, digits: int, *, plus: bool = False) -> str:
    shown = written(value, None, digits)
    return f"+{shown}" if plus and value > 0 and not shown.startswith("-") else shown.replace("-", "−", 1)


def _notes(grouped: Grouped, metric: int, beside: Sequence[Beside]) -> list[str]:
    references = sorted({one.reference for one in beside if one.reference is not None})
    if not references:
        return []
    known = bool(grouped.better) and grouped.better[metric] is not None
    told = "; ".join(", ".join(map(text, grouped.groups[one].keys)) for one in references)
    what = "the best" if known else "the first, since nobody said which way is better"
    return [
        f"differences are from {told} ({what}), paired by seed where seeds are shared; p (Holm): the paired p, "
        "adjusted over the rows"
    ]


def records(grouped: Grouped) -> list[dict[str, object]]:
    """For each group the statistics of every metric as numbers, for CSV."""
    found: list[dict[str, object]] = [{} for _ in grouped.groups]
    for metric, name in enumerate(grouped.metrics):
        for record, one in zip(found, compare(grouped, metric), strict=True):
            reference = None if one.reference is None else grouped.groups[one.reference]
            paired, welch = one.paired, one.welch
            record |= {
                f"{name}_low": one.interval.low if one.interval else None,
                f"{name}_high": one.interval.high if one.interval else None,
                f"{name}_reference": None if reference is None else ", ".join(map(text, reference.keys)),
                f"{name}_difference": paired.difference if paired else None,
                f"{name}_difference_low": paired.interval.low if paired and paired.interval else None,
                f"{name}_difference_high": paired.interval.high if paired and paired.interval else None,
                f"{name}_pairs": None if reference is None else one.pairs,
                f"{name}_paired_t": paired.statistic if paired else None,
                f"{name}_paired_p": paired.p if paired else None,
                f"{name}_paired_p_holm": one.holm,
                f"{name}_welch_t": welch.statistic if welch else None,
                f"{name}_welch_df": welch.df if welch else None,
                f"{name}_welch_p": welch.p if welch else None,
                f"{name}_hedges_g": one.hedges_g,
            }
    return found


def contract(grouped: Grouped) -> list[dict[str, Any]]:
    """For each group, in the table's order: {metric: {"interval", "reference", "paired", "welch", …}}."""
    found: list[dict[str, Any]] = [{} for _ in grouped.groups]
    for metric, name in enumerate(grouped.metrics):
        for row, one in zip(found, compare(grouped, metric), strict=True):
            row[name] = asdict(one)
    return found
