"""The statistics beside Table 2 (study.md): intervals, gain over matched random, and growth over search epochs.

The primary test is the paired t (random architectures are matched one to one), beside it Welch, on what is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from itertools import combinations
from typing import Any

from jobs.errors import BadInput
from orchestrator.tables import statistics
from orchestrator.tables.cells import ACCURACY, Cell, hours, pairs
from orchestrator.tables.digits import places, written
from orchestrator.tables.grid import Grid
from orchestrator.tables.japanese import spoken
from orchestrator.tables.pairing import pair
from orchestrator.tables.statistics import Comparison, Interval, RankTest, Summary
from orchestrator.tables.table2 import Row, Table2
from orchestrator.tables.words import Language, label, number_text, row_name, variant_text, word

GROWS = (ACCURACY, "shortcuts")
PIECES = ((2, 3, 4, 5), (6, 7, 9, 11), (8, 10, 12, 13), (14, 15))
"""Columns that stand together on a page: what was measured, the paired test, the others and the sizes, the hours."""


@dataclass(frozen=True, kw_only=True)
class RowStatistics:
    """The statistics of one row; None where there is nothing to compare or too little of it."""

    row: Row
    accuracy: Summary
    interval: Interval | None
    paired: Comparison | None
    welch: Comparison | None
    holm: float | None
    """The paired p, adjusted over the rows of the table."""
    ranks: RankTest | None
    ranks_refused: str
    """Why there is no rank test; empty where there is one or nothing to compare."""
    hedges_g: float | None
    matched: bool
    """Whether anybody matched its random architectures to its searched ones; without, nothing is paired."""
    pairs: int
    """So many of its architectures have a matched random one, both with a result."""
    itself: int
    """Pairs left out: the random architecture is the searched one itself."""
    random_params_m: Summary
    long_share: Summary
    """Of the shortcuts of an architecture (0..1), over architectures that have any."""
    gpu_hours: float | None
    """Of its trainings; None where no GPU was used, or nobody knows (imported)."""
    random_gpu_hours: float | None
    search_gpu_hours: float | None
    """Of the searches that the row's architectures came from: the rows of one method share it."""
    cpu_hours: float | None
    random_cpu_hours: float | None
    search_cpu_hours: float | None


@dataclass(frozen=True, kw_only=True)
class Growth:
    """The change between two search epochs, paired within a search."""

    architecture: str
    metric: str
    start: int
    end: int
    change: Comparison | None
    holm: float | None


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What `--stats` shows of one table."""

    rows: tuple[RowStatistics, ...]
    growth: tuple[Growth, ...]

    def contract(self) -> dict[str, Any]:
        """Plain data: {"rows": [...] in the table's order, "growth": [...]}."""
        rows = []
        for one in self.rows:
            found = {field.name: _plain(getattr(one, field.name)) for field in fields(one)[2:]}
            rows.append({"architecture": one.row.architecture, "epoch": one.row.epoch, "n": one.row.cell.n, **found})
        return {"rows": rows, "growth": [asdict(one) for one in self.growth]}

    def grids(self, lang: Language = "en") -> list[Grid]:
        """The statistics as tables of text; the second only where something grows."""
        growth = [_growth_grid(self.growth, lang)] if self.growth else []
        return [spoken(grid, lang) for grid in (_rows_grid(self.rows, lang), *growth)]


def compute(table: Table2) -> Statistics:
    """The statistics of a table."""
    plain = [_row(row, table) for row in table.rows]
    adjusted = statistics.holm([one.paired.p if one.paired else None for one in plain])
    rows = tuple(replace(one, holm=holm) for one, holm in zip(plain, adjusted, strict=True))
    return Statistics(rows=rows, growth=tuple(_growth(table.rows)))


def _row(row: Row, table: Table2) -> RowStatistics:
    values = row.cell.values(ACCURACY)
    random = row.random or Cell(())
    beside = random.values(ACCURACY)
    paired = pair(row.cell, random)
    ranks, refused = None, ""
    if values and beside:
        try:
            ranks = statistics.mann_whitney(values, beside)
        except BadInput as error:
            refused = str(error)
    origins = {job.config.get("search") for job in row.cell.rows}
    searches = [job for job in table.searches if job.job in origins]
    return RowStatistics(
        row=row,
        accuracy=statistics.summarize(values),
        interval=statistics.t_interval(values),
        paired=statistics.paired_t(paired.searched, paired.random),
        welch=statistics.welch_t(values, beside),
        holm=None,
        ranks=ranks,
        ranks_refused=refused,
        hedges_g=statistics.hedges_g(values, beside),
        matched=paired.matched,
        pairs=paired.n,
        itself=paired.itself,
        random_params_m=random.summary("params_m"),
        long_share=row.cell.summary("long_share"),
        gpu_hours=row.cell.gpu_hours,
        random_gpu_hours=random.gpu_hours,
        search_gpu_hours=hours(job.gpu_seconds for job in searches),
        cpu_hours=row.cell.cpu_hours,
        random_cpu_hours=random.cpu_hours,
        search_cpu_hours=hours(job.cpu_seconds for job in searches),
    )


def _growth(rows: Iterable[Row]) -> list[Growth]:
    """Every pair of epochs of a method and variant, per metric, adjusted within the metric."""
    lines: dict[tuple[str, tuple[tuple[str, str], ...]], list[Row]] = {}
    for row in rows:
        if row.is_searched and row.epoch is not None:
            variant = tuple((key, value) for key, value in row.variant.items() if not key.startswith("random "))
            same = lines.setdefault((row.architecture, variant), [])
            if row.epoch not in [other.epoch for other in same]:
                same.append(row)
    found = []
    for metric in GROWS:
        changes = []
        for (name, variant), line in lines.items():
            shown = " ".join([name, *(f"{key}={value}" for key, value in variant)])
            for first, second in combinations(line, 2):
                later, earlier = pairs(second.cell, first.cell, metric)
                changes.append((shown, first.epoch, second.epoch, statistics.paired_t(later, earlier)))
        adjusted = statistics.holm([change.p if change else None for *_, change in changes])
        for (shown, start, end, change), holm in zip(changes, adjusted, strict=True):
            if start is not None and end is not None:
                found.append(Growth(architecture=shown, metric=metric, start=start, end=end, change=change, holm=holm))
    return found


def _rows_grid(rows: Iterable[RowStatistics], lang: Language) -> Grid:
    # fmt: off
    names = ("interval", "gain", "pairs", "paired", "welch", "holm", "ranks", "hedges", "random_params", "long_share",
             "gpu_hours", "cpu_hours")
    # fmt: on
    shown = []
    refusals: list[str] = []
    rows = list(rows)
    for one in rows:
        row = one.row
        if one.ranks_refused and one.ranks_refused not in refusals:
            refusals.append(one.ranks_refused)
        epoch = "" if row.epoch is None else word("epoch", lang, epoch=row.epoch)
        variant = variant_text(row)
        share = one.long_share
        shown.append(
            [
                label(row, lang),
                " ".join(part for part in (epoch, f"({variant})" if variant else "") if part),
                str(row.cell.n),
                number_text(one.accuracy, 2),
                interval_text(one.interval, 2),
                _gain_text(one.paired),
                f"{one.pairs}/{row.cell.n}" if one.matched else "-",
                test_text(one.paired),
                test_text(one.welch),
                p_text(one.holm),
                p_text(one.ranks.p) if one.ranks else "n < 4" if one.ranks_refused else "-",
                "-" if one.hedges_g is None else signed(one.hedges_g, 2),
                number_text(one.random_params_m, 2),
                "-" if share.mean is None else f"{100 * share.mean:.0f}",
                hours_text(one.gpu_hours, one.random_gpu_hours, one.search_gpu_hours),
                hours_text(one.cpu_hours, one.random_cpu_hours, one.search_cpu_hours),
            ]
        )
    return Grid(
        caption=word("statistics", lang),
        headings=[word("architecture", lang), "", "n", word(ACCURACY, lang), *(word(name, lang) for name in names)],
        rows=shown,
        notes=[*refusals, *_pair_notes(rows)],
        pieces=PIECES,
    )


def _pair_notes(rows: Iterable[RowStatistics]) -> list[str]:
    """Where a gain over matched random architectures would say more than is known."""
    notes = []
    if loose := [row_name(one.row) for one in rows if one.welch and not one.matched]:
        notes.append(
            f"{'; '.join(loose)}: nobody matched the random architectures to the searched ones, so there is no gain "
            "over matched random and no paired test; Welch's t, Mann-Whitney and Hedges g compare them as they are"
        )
    if few := [f"{row_name(one.row)} ({one.pairs} of {one.row.cell.n})" for one in rows if _is_short(one)]:
        notes.append(f"the gain is that of the pairs alone, not of all architectures: {'; '.join(few)}")
    if same := [f"{row_name(one.row)} ({one.itself})" for one in rows if one.itself]:
        notes.append(f"no pair, since the random architecture is the searched one itself: {'; '.join(same)}")
    return notes


def _is_short(one: RowStatistics) -> bool:
    return one.matched and one.pairs + one.itself < one.row.cell.n


def _growth_grid(growth: Iterable[Growth], lang: Language) -> Grid:
    shown = []
    for one in growth:
        digits = 2 if one.metric == ACCURACY else 1
        change = one.change
        shown.append(
            [
                word("searched", lang, name=one.architecture),
                word(one.metric, lang),
                f"{one.start} → {one.end}",
                "-" if change is None else str(change.n),
                "-" if change is None else signed(change.difference, digits),
                interval_text(change.interval if change else None, digits),
                test_text(change),
                p_text(one.holm),
            ]
        )
    names = ("architecture", "metric", "from_to", "pairs", "change", "interval", "paired", "holm")
    return Grid(caption=word("growth", lang), headings=[word(name, lang) for name in names], rows=shown)


def interval_text(interval: Interval | None, digits: int) -> str:
    return "-" if interval is None else f"{_minus(interval.low, digits)} to {_minus(interval.high, digits)}"


def hours_text(*hours: float | None) -> str:
    """'1.20, -, 0.0031': two decimals, or two significant digits; '-' for what nobody knows, one where that is all."""
    if not any(hours):
        return "-"
    return ", ".join("-" if one is None else written(one, None, max(2, places(one, one, 3, 9))) for one in hours)


def p_text(p: float | None) -> str:
    """Three decimals, or '< 0.001'."""
    return "-" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def signed(value: float, digits: int) -> str:
    """With its sign, a true minus; no sign on what rounds to nothing."""
    shown = f"{value:+.{digits}f}"
    return shown[1:] if float(shown) == 0 else shown.replace("-", "−")


def _minus(value: float, digits: int) -> str:
    return signed(value, digits).removeprefix("+")


def _gain_text(gain: Comparison | None) -> str:
    if gain is None:
        return "-"
    interval = gain.interval
    shown = signed(gain.difference, 2)
    return shown if interval is None else f"{shown} ({signed(interval.low, 2)} to {signed(interval.high, 2)})"


def test_text(test: Comparison | None) -> str:
    """'t(9) = 2.26, p = 0.050'; '-' where there is none, or nothing varies."""
    if test is None or test.statistic is None or test.df is None:
        return "-"
    p = p_text(test.p)
    return f"t({test.df:.3g}) = {_minus(test.statistic, 2)}, p {p if p.startswith('<') else f'= {p}'}"


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
