"""The page's tables of searches under watch: signs of a collapse, and whether a search's ranks are the final ones."""

from __future__ import annotations

from collections.abc import Sequence

from db.rows import Curve, ResultRow
from jobs.shortcuts import collapse
from orchestrator.comparison.ranks import Agreement, agreements
from orchestrator.tables.grid import Grid
from orchestrator.tables.keys import number
from orchestrator.tables.stats import p_text, signed


def grids(rows: Sequence[ResultRow], curves: Sequence[Curve]) -> list[Grid]:
    """Both tables; none where no search has a number. What a search of an older orch did not report is '-'."""
    searches = [row for row in rows if row.kind == "search" and row.metrics]
    found = [_signs(searches)] if searches else []
    agreed = agreements(rows, curves)
    return [*found, *([_ranks(agreed)] if agreed else [])]


def _signs(searches: Sequence[ResultRow]) -> Grid:
    notes = [
        "of the last epoch; the gap is what discretising costs before any retraining, in points",
        "the largest eigenvalue of the validation loss's Hessian, measured where eigenvalue_every asks for it "
        "(docs/study.md)",
    ]
    shown = []
    for row in sorted(searches, key=lambda row: (str(row.config.get("method")), row.seed, row.job)):
        before, after = number(row, "val_accuracy"), number(row, "discretised_accuracy")
        share = number(row, "target_share")
        shown.append(
            [
                str(row.config.get("method", "-")),
                str(row.seed),
                str(row.job),
                _text(before, 2),
                _text(after, 2),
                "-" if before is None or after is None else signed(after - before, 2),
                _text(number(row, "shortcuts"), 0),
                _text(None if share is None else 100 * share, 0),
                _text(number(row, "alpha_eigenvalue"), 4),
                _text(number(row, "eigenvalue_ratio"), 2),
            ]
        )
        if said := collapse.warnings(row.metrics):
            notes.append(collapse.sentence(row.job, said))
    return Grid(
        caption="Searches under watch",
        headings=[
            "method",
            "seed",
            "job",
            "validation accuracy (%)",
            "when discretised (%)",
            "gap",
            "shortcuts",
            "on one block (%)",
            "eigenvalue over α",
            "growth",
        ],
        rows=shown,
        text_columns=3,
        notes=notes,
    )


def _ranks(agreed: Sequence[Agreement]) -> Grid:
    names = {"val_accuracy": "validation accuracy", "discretised_accuracy": "when discretised"}
    return Grid(
        caption="Search-time against final accuracy, by rank",
        headings=["method", "epoch", "n", "search-time accuracy", "Spearman ρ", "Kendall τ", "p (Kendall)"],
        rows=[
            [
                one.method,
                str(one.epoch),
                str(one.n),
                names[one.metric],
                "-" if one.spearman is None else signed(one.spearman, 2),
                "-" if one.kendall is None else signed(one.kendall, 2),
                p_text(one.p),
            ]
            for one in agreed
        ],
        notes=[
            "a search is one point; final: the mean test accuracy of its architecture's trainings; none below n = 4"
        ],
    )


def _text(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
