"""Comparisons as tables of text, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from orchestrator.comparison.anystudy import Compared, Side
from orchestrator.comparison.claims import Claims, Split
from orchestrator.comparison.contrast import LEVEL, Contrast, Family
from orchestrator.comparison.effects import Effect
from orchestrator.comparison.power import MOST
from orchestrator.comparison.robust import Estimate
from orchestrator.tables.grid import Grid
from orchestrator.tables.groupstats import signed
from orchestrator.tables.japanese import japanese, spoken
from orchestrator.tables.render import flat
from orchestrator.tables.statistics import Interval
from orchestrator.tables.stats import p_text
from orchestrator.tables.words import Language

HEADINGS = (
    "n",
    "difference (95 %)",
    "p",
    "p (Holm)",
    "smallest shown",
    "n needed",
    "Hedges g (95 %)",
    "P(better) (95 %)",
)
TESTED = ("p", "p (Holm)", "smallest shown", "n needed")
"""Columns that stand together on a page: no p without what its n could have shown."""
SHOWN_NOTE = (
    "smallest shown: the smallest true difference that this n finds in 80 of 100 studies; n needed: what the seen "
    "difference would need for that; both by the noncentral t, at the level of Holm's first step ({level:.3g})"
)
BETTER_NOTE = "P(better): the probability that a run of the first beats one of the second; a tie counts half"


def family_grid(family: Family) -> Grid:
    """One table of comparisons; no p stands without what its n could have shown."""
    tasks = any(one.task for one in family.contrasts)
    equal = next((one.equivalence.margin for one in family.contrasts if one.equivalence is not None), None)
    apart = any(one.effect is not None or one.better is not None for one in family.contrasts)
    headings = list(HEADINGS if apart else HEADINGS[:-2])
    if equal is not None:
        headings.append(f"within ±{equal:g}")
    rows = []
    for one in family.contrasts:
        cells = _cells(one, family.digits)
        row = cells if apart else cells[:-2]
        if equal is not None:
            row = [*row, "-" if one.equivalence is None else _p("p", one.equivalence.p)]
        rows.append([*([one.task] if tasks else []), f"{one.first} − {one.second}", *row])
    names = ["comparison", *headings]
    sizes = [name for name in names[2:] if name not in TESTED]
    tested = sum(1 for one in family.contrasts if one.p is not None)
    notes = [*family.notes]
    if tested:
        notes.append(SHOWN_NOTE.format(level=LEVEL / max(1, len(family.contrasts))))
    if apart:
        notes.append(BETTER_NOTE)
    if any(one.p is None for one in family.contrasts):
        notes.append("no test where a side has fewer than two values, or where nothing varies")
    return Grid(
        caption=f"{family.title}: {family.metric}",
        headings=[*(["task"] if tasks else []), "comparison", *headings],
        rows=rows,
        text_columns=2 if tasks else 1,
        pieces=[[names.index(name) + tasks for name in ("n", *some)] for some in (sizes, TESTED)],
        notes=notes,
        records=[{"table": family.title, "metric": family.metric, **flat(plain(one))} for one in family.contrasts],
    )


def _cells(one: Contrast, digits: int) -> list[str]:
    counted = f"{one.pairs} pairs" if one.pairs else f"{one.n_first} and {one.n_second}"
    if one.unit != "seeds":
        counted = f"{counted} {one.unit}"
    smallest = "-" if one.smallest is None else signed(one.smallest, digits)
    if smallest.strip("0.") == "" and one.smallest:
        smallest = f"{one.smallest:.2g}"
    needed = "-" if one.needed is None else f"{one.needed}"
    if one.p is not None and one.needed is None:
        needed = f"> {MOST}"
    return [
        counted,
        _with(signed(one.difference, digits, plus=True), one.interval, digits, plus=True),
        "-"
        if one.p is None or one.df is None or one.statistic is None
        else f"t({one.df:.3g}) = {signed(one.statistic, 2)}, {_p('p', one.p)}",
        p_text(one.holm),
        smallest,
        needed,
        effect_text(one.effect),
        estimate_text(one.better, 2),
    ]


def effect_text(effect: Effect | None) -> str:
    """'+0.45 (−0.12 to +1.02)'."""
    return "-" if effect is None else _with(signed(effect.g, 2, plus=True), effect.interval, 2, plus=True)


def estimate_text(estimate: Estimate | None, digits: int) -> str:
    """'0.71 (0.55 to 0.86)'."""
    return "-" if estimate is None else _with(signed(estimate.value, digits), estimate.interval, digits)


def _with(shown: str, interval: Interval | None, digits: int, *, plus: bool = False) -> str:
    if interval is None:
        return shown
    return f"{shown} ({signed(interval.low, digits, plus=plus)} to {signed(interval.high, digits, plus=plus)})"


def _p(name: str, value: float) -> str:
    told = p_text(value)
    return f"{name} {told}" if told.startswith("<") else f"{name} = {told}"


def sides_grid(compared: Compared) -> Grid:
    """The groups themselves: n, and the interquartile mean over all their runs."""
    digits = compared.family.digits
    tasks = len({task for side in compared.sides for task in side.runs})
    notes = ["interquartile mean: of the middle half of all runs, with the percentiles of a bootstrap within tasks"]
    if any(len(values) < 10 for side in compared.sides for values in side.runs.values()):
        notes.append("bootstrap intervals of fewer than 10 runs are too narrow (docs/statistics.md)")
    return Grid(
        caption=f"Interquartile means: {compared.family.metric}",
        headings=["group", "n", *(["tasks"] if tasks > 1 else []), "interquartile mean (95 %)"],
        rows=[
            [
                side.name,
                str(sum(map(len, side.runs.values()))),
                *([str(len(side.runs))] if tasks > 1 else []),
                estimate_text(side.middle, digits),
            ]
            for side in compared.sides
        ],
        text_columns=1,
        notes=notes,
        records=[{"table": "interquartile means", "group": side.name, **_middle(side)} for side in compared.sides],
    )


def tasks_grid(compared: Compared) -> Grid:
    """P(better) over all tasks."""
    return Grid(
        caption=f"Over all tasks: {compared.family.metric}",
        headings=["comparison", "P(better) (95 %)"],
        rows=[[f"{first} − {second}", estimate_text(one, 2)] for first, second, one in compared.over_tasks],
        text_columns=1,
        notes=[f"{BETTER_NOTE}; the mean over tasks, with a bootstrap within each"],
        records=[
            {"table": "over all tasks", "first": first, "second": second, **flat(asdict(one))}
            for first, second, one in compared.over_tasks
        ],
    )


def splits_grid(splits: Sequence[Split]) -> Grid:
    """Where the variance comes from, in standard deviations and shares."""
    rows = []
    for one in splits:
        parts = one.parts
        told = [parts.search, parts.training, parts.rest]
        rows.append(
            [
                one.name,
                f"{parts.searches} × {parts.repeats} × {parts.levels}",
                *(
                    "-" if v is None else f"{v**0.5:.3f} ({100 * v / parts.total:.0f} %)" if parts.total else "0"
                    for v in told
                ),
            ]
        )
    notes = ["standard deviation, and its share of the variance of one training of one search; below zero is 0"]
    if any(one.parts.rest is None for one in splits):
        notes.append("with one read-out epoch alone, training seed and rest are one")
    return Grid(
        caption="Where the variance of the test accuracy comes from",
        headings=["method", "searches × repeats × read-outs", "search seed", "training seed (repeat)", "rest"],
        rows=rows,
        text_columns=1,
        notes=notes,
        records=[{"table": "variance", "method": one.name, **asdict(one.parts)} for one in splits],
    )


def compared_grids(compared: Compared) -> list[Grid]:
    """All tables of one metric."""
    return [
        family_grid(compared.family),
        sides_grid(compared),
        *([tasks_grid(compared)] if compared.over_tasks else []),
    ]


def claims_grids(claims: Claims, lang: Language = "en") -> list[Grid]:
    """All tables of one data set and preset of the house's study; what their rows are called is orch's own, too."""
    found = [*map(family_grid, claims.families), *([splits_grid(claims.splits)] if claims.splits else [])]
    if lang == "en":
        return found
    return [spoken(replace(grid, rows=[[japanese(row[0]), *row[1:]] for row in grid.rows]), lang) for grid in found]


def plain(one: Contrast) -> dict[str, Any]:
    """A comparison as plain data, without the single values."""
    return {name: value for name, value in asdict(one).items() if name != "values"}


def _middle(side: Side) -> dict[str, object]:
    interval = side.middle.interval if side.middle else None
    return {
        "n": sum(map(len, side.runs.values())),
        "iqm": side.middle.value if side.middle else None,
        "iqm_low": interval.low if interval else None,
        "iqm_high": interval.high if interval else None,
    }


def compared_data(compared: Compared) -> dict[str, Any]:
    """One metric as plain data."""
    return {
        **_family(compared.family),
        "higher_is_better": compared.up,
        "groups": [
            {
                "group": side.name,
                "runs": {k: list(v) for k, v in side.runs.items()},
                "iqm": None if side.middle is None else asdict(side.middle),
            }
            for side in compared.sides
        ],
        "over_tasks": [
            {"first": first, "second": second, "better": asdict(one)} for first, second, one in compared.over_tasks
        ],
    }


def claims_data(claims: Claims) -> dict[str, Any]:
    """One data set and preset of the house's study as plain data."""
    return {
        "dataset": claims.table.dataset,
        "preset": claims.table.preset,
        "families": [_family(one) for one in claims.families],
        "variance": [{"method": one.name, **asdict(one.parts)} for one in claims.splits],
    }


def _family(family: Family) -> dict[str, Any]:
    return {
        "title": family.title,
        "metric": family.metric,
        "level": LEVEL,
        "comparisons": [plain(one) for one in family.contrasts],
        "notes": list(family.notes),
    }
