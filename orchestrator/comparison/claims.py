"""What the report claims, tested: A against B, each searched row against VGG19 and its random nets, slopes, long spans.

Searches are the draws; what is compared was registered nowhere, so every family is adjusted by Holm. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

from orchestrator.comparison import power
from orchestrator.comparison.components import Components, Place, components
from orchestrator.comparison.contrast import LEVEL, Contrast, Family, Sample, adjusted, contrast
from orchestrator.tables.cells import ACCURACY, Cell
from orchestrator.tables.clouds import clouds, distinct
from orchestrator.tables.keys import number
from orchestrator.tables.pairing import pair
from orchestrator.tables.regression import Line, regress
from orchestrator.tables.statistics import Interval, half_width, mean
from orchestrator.tables.table2 import BASELINE, Row, Table2
from orchestrator.tables.words import row_name

SLOPES = {"params_m": "points per M parameters", "shortcuts": "points per shortcut"}
BY_SEED = (
    "paired by seed: the same seed has the same split, order of images and random numbers on both sides (jobs/seeds.py)"
)
SHARE_NOTE = (
    "share of shortcuts with span ≥ 4, in points of percent; a uniform draw has 78 of 105 (74 %), so only the "
    "difference from the matched random nets says anything"
)


@dataclass(frozen=True, kw_only=True)
class Split:
    """Where the variance of one method's accuracy comes from."""

    name: str
    parts: Components


@dataclass(frozen=True, kw_only=True)
class Claims:
    """The families of one data set and preset, those that have something to compare."""

    table: Table2
    families: tuple[Family, ...]
    splits: tuple[Split, ...]


def claims(table: Table2, *, margin: float | None = None, paired: bool = True) -> Claims:
    """Every claim of the report that this table's rows can speak to."""
    found = [
        _methods(table, margin, paired),
        _against_baseline(table, margin, paired),
        _against_random(table, ACCURACY, "Searched architectures against their matched random ones", margin),
        *(_slopes(table, metric) for metric in SLOPES),
        _against_random(table, "long_share", "Share of long shortcuts, beside the matched random ones", None),
    ]
    return Claims(
        table=table,
        families=tuple(one for one in found if one is not None),
        splits=tuple(_splits(table.rows)),
    )


def _methods(table: Table2, margin: float | None, paired: bool) -> Family | None:
    searched = [row for row in table.rows if row.is_searched]
    wanted = [
        (one, two)
        for one, two in combinations(searched, 2)
        if one.architecture != two.architecture and one.epoch == two.epoch and _variant(one) == _variant(two)
    ]
    return _family("Methods against each other, at the same search epoch", wanted, margin, paired)


def _against_baseline(table: Table2, margin: float | None, paired: bool) -> Family | None:
    baselines = [row for row in table.rows if row.architecture == BASELINE]
    wanted = [(row, base) for row in table.rows if row.is_searched for base in baselines]
    return _family("Searched architectures against VGG19", _once(wanted), margin, paired)


def _once(wanted: Sequence[tuple[Row, Row]]) -> list[tuple[Row, Row]]:
    """A cell that stands in several rows, since its random nets differ, is compared once."""
    found: dict[tuple[int, int], tuple[Row, Row]] = {}
    for one, two in wanted:
        found.setdefault((id(one.cell), id(two.cell)), (one, two))
    return list(found.values())


def _family(title: str, wanted: Sequence[tuple[Row, Row]], margin: float | None, paired: bool) -> Family | None:
    made = [
        contrast(
            _sample(row_name(one), one.cell),
            _sample(row_name(two), two.cell),
            paired=paired,
            margin=margin,
            tests=len(wanted),
        )
        for one, two in _once(wanted)
    ]
    found = adjusted([one for one in made if one is not None])
    if not found:
        return None
    notes = [BY_SEED] if any(one.pairs for one in found) else []
    return Family(title=title, metric="test accuracy (%)", contrasts=found, notes=tuple(notes))


def _sample(name: str, cell: Cell) -> Sample:
    told = [(value, unit.seed) for unit in cell.units if (value := unit.value(ACCURACY)) is not None]
    return Sample(name=name, values=tuple(value for value, _ in told), keys=tuple(seed for _, seed in told))


def _against_random(table: Table2, metric: str, title: str, margin: float | None) -> Family | None:
    paired = [
        (row, found)
        for row in table.rows
        if row.is_searched and row.random is not None
        for found in (pair(row.cell, row.random, metric),)
        if found.n
    ]
    scale = 100.0 if metric == "long_share" else 1.0
    made = []
    for row, found in paired:
        keys = tuple(range(found.n))
        name = row_name(row)
        one = Sample(name=name, values=tuple(scale * value for value in found.searched), keys=keys)
        two = Sample(name=f"{name}, random", values=tuple(scale * value for value in found.random), keys=keys)
        made.append(contrast(one, two, margin=margin, tests=len(paired)))
    told = adjusted([one for one in made if one is not None])
    if not told:
        return None
    if metric == ACCURACY:
        note = "pairs: a searched architecture and the random one that was drawn for it"
        return Family(title=title, metric="test accuracy (%)", contrasts=told, notes=(note,))
    return Family(title=title, metric="span ≥ 4 (%)", contrasts=told, notes=(SHARE_NOTE, *_levels(told)), digits=1)


def _levels(told: Sequence[Contrast]) -> list[str]:
    shown = [f"{one.first}: {mean(one.values[0]):.0f} % (random {mean(one.values[1]):.0f} %)" for one in told]
    return ["means: " + "; ".join(shown)]


def _slopes(table: Table2, metric: str) -> Family | None:
    """The slopes of Figure 1 or 2 of two methods, one less the other; clustered by search."""
    found = [cloud for cloud in clouds(table.rows, metric) if not cloud.random and cloud.method != BASELINE]
    lines: dict[str, tuple[str, Line]] = {}
    for series in dict.fromkeys(cloud.series for cloud in found):
        own = [cloud for cloud in found if cloud.series == series]
        line = regress(*distinct(own))
        if line is not None and line.slope_error is not None:
            lines[series] = own[0].method, line
    wanted = [(a, b) for a, b in combinations(lines, 2) if lines[a][0] != lines[b][0]]
    told = adjusted([slope_contrast(a, lines[a][1], b, lines[b][1], len(wanted)) for a, b in wanted])
    if not told:
        return None
    which = "Figure 1" if metric == "params_m" else "Figure 2"
    shown = "; ".join(f"{name}: {line.slope:.3g}" for name, (_, line) in lines.items())
    notes = (f"slopes: {shown}", "clustered by search; the difference is its own effect size")
    return Family(title=f"Slopes of {which}", metric=SLOPES[metric], contrasts=told, notes=notes, digits=3)


def slope_contrast(first: str, one: Line, second: str, two: Line, tests: int = 1) -> Contrast:
    """The difference of two slopes whose searches are not the same; degrees of freedom by Satterthwaite."""
    from scipy import stats

    difference = one.slope - two.slope
    known = one.slope_error is not None and two.slope_error is not None and one.df and two.df
    made = Contrast(
        first=first,
        second=second,
        n_first=one.clusters,
        n_second=two.clusters,
        pairs=0,
        difference=difference,
        unit="searches",
    )
    if not known:
        return made
    variances = (one.slope_error or 0.0) ** 2, (two.slope_error or 0.0) ** 2
    error = sqrt(sum(variances))
    if error == 0:
        return made
    df = error**4 / (variances[0] ** 2 / (one.df or 1.0) + variances[1] ** 2 / (two.df or 1.0))
    half = half_width(error, df)
    smallest = power.smallest(error, df, LEVEL / max(1, tests))
    return Contrast(
        first=first,
        second=second,
        n_first=one.clusters,
        n_second=two.clusters,
        pairs=0,
        difference=difference,
        interval=None if half is None else Interval(low=difference - half, high=difference + half),
        test="t of slopes",
        statistic=difference / error,
        df=df,
        p=2.0 * float(stats.t.sf(abs(difference) / error, df)),
        smallest=smallest,
        needed=power.needed_clusters(difference, smallest, max(one.clusters, two.clusters)) if smallest else None,
        unit="searches",
    )


def _variant(row: Row) -> dict[str, str]:
    return {key: value for key, value in row.variant.items() if not key.startswith("random ")}


def _splits(rows: Sequence[Row]) -> list[Split]:
    """Of each method whose architectures were trained more than once: levels are its read-out epochs."""
    series: dict[str, list[Row]] = {}
    for row in rows:
        if row.is_searched:
            told = ", ".join([row.architecture, *(f"{key} {value}" for key, value in _variant(row).items())])
            series.setdefault(told, []).append(row)
    found = []
    for name, own in series.items():
        values: dict[Place, float] = {
            (row.epoch, unit.search or unit.seed, job.config.get("repeat", 0)): value
            for row in own
            for unit in row.cell.units
            for job in unit.rows
            if (value := number(job, ACCURACY)) is not None
        }
        parts = components(values)
        if parts is not None:
            found.append(Split(name=name, parts=parts))
    return found
