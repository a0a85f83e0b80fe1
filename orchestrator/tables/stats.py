"""The statistics beside Table 2 (study.md): intervals, gain over matched random, and growth over search epochs.

The primary test is the paired t, since random architectures are matched one to one; Welch stands beside it. An
incomplete cell is tested on what is there, with its n.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from itertools import combinations
from typing import Any

from jobs.errors import BadInput
from orchestrator import statistics
from orchestrator.statistics import Comparison, Interval, RankTest, Summary
from orchestrator.tables.cells import ACCURACY, Cell, pairs
from orchestrator.tables.grid import Grid
from orchestrator.tables.render import label, number_text, variant_text
from orchestrator.tables.table2 import Row, Table2
from orchestrator.tables.words import Language, word

GROWS = (ACCURACY, "shortcuts")


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
    random_params_m: Summary
    long_share: Summary
    """Of the shortcuts of an architecture (0..1), over architectures that have any."""
    gpu_hours: float
    random_gpu_hours: float
    search_gpu_hours: float
    """Of the searches that the row's architectures came from: the rows of one method share it."""


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
        found = [_rows_grid(self.rows, lang)]
        if self.growth:
            found.append(_growth_grid(self.growth, lang))
        return found


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
    one, two = pairs(row.cell, random)
    ranks, refused = None, ""
    if values and beside:
        try:
            ranks = statistics.mann_whitney(values, beside)
        except BadInput as error:
            refused = str(error)
    origins = {job.config.get("search") for job in row.cell.rows}
    return RowStatistics(
        row=row,
        accuracy=statistics.summarize(values),
        interval=statistics.t_interval(values),
        paired=statistics.paired_t(one, two),
        welch=statistics.welch_t(values, beside),
        holm=None,
        ranks=ranks,
        ranks_refused=refused,
        hedges_g=statistics.hedges_g(values, beside),
        random_params_m=random.summary("params_m"),
        long_share=row.cell.summary("long_share"),
        gpu_hours=row.cell.gpu_hours,
        random_gpu_hours=random.gpu_hours,
        search_gpu_hours=sum(job.gpu_seconds for job in table.searches if job.job in origins) / 3600,
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
    names = (
        "interval",
        "gain",
        "paired",
        "welch",
        "holm",
        "ranks",
        "hedges",
        "random_params",
        "long_share",
        "gpu_hours",
    )
    shown = []
    refusals: list[str] = []
    for one in rows:
        row = one.row
        if one.ranks_refused and one.ranks_refused not in refusals:
            refusals.append(one.ranks_refused)
        gain = one.paired or one.welch
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
                _gain_text(gain),
                _test_text(one.paired),
                _test_text(one.welch),
                p_text(one.holm),
                p_text(one.ranks.p) if one.ranks else "n < 4" if one.ranks_refused else "-",
                "-" if one.hedges_g is None else signed(one.hedges_g, 2),
                number_text(one.random_params_m, 2),
                "-" if share.mean is None else f"{100 * share.mean:.0f}",
                f"{one.gpu_hours:.2f}, {one.random_gpu_hours:.2f}, {one.search_gpu_hours:.2f}",
            ]
        )
    return Grid(
        caption=word("statistics", lang),
        headings=[word("architecture", lang), "", "n", word(ACCURACY, lang), *(word(name, lang) for name in names)],
        rows=shown,
        notes=refusals,
    )


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
                _test_text(change),
                p_text(one.holm),
            ]
        )
    names = ("architecture", "metric", "from_to", "pairs", "change", "interval", "paired", "holm")
    return Grid(caption=word("growth", lang), headings=[word(name, lang) for name in names], rows=shown)


def interval_text(interval: Interval | None, digits: int) -> str:
    return "-" if interval is None else f"{_minus(interval.low, digits)} to {_minus(interval.high, digits)}"


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


def _test_text(test: Comparison | None) -> str:
    if test is None or test.statistic is None or test.df is None:
        return "-"
    p = p_text(test.p)
    return f"t({test.df:.3g}) = {_minus(test.statistic, 2)}, p {p if p.startswith('<') else f'= {p}'}"


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
