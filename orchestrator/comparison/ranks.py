"""Does a search rank its architectures as their final trainings do? Rank correlations over searches. Pure.

Within one read-out epoch every search is one point, since its read-outs are not independent of each other. scipy
computes Spearman's ρ and Kendall's τ-b (ties are allowed for).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from db.rows import Curve, ResultRow
from orchestrator.tables.cells import ACCURACY
from orchestrator.tables.keys import number
from orchestrator.tables.statistics import mean, quiet

SEEN = ("val_accuracy", "discretised_accuracy")
"""What a search knows of its architecture at its read-out."""
FEWEST = 4
"""Ours: of three searches, one order in six agrees by chance alone."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of the searches of one method at one read-out epoch."""

    method: str
    epoch: int
    metric: str
    n: int
    spearman: float | None
    kendall: float | None
    p: float | None
    """Of Kendall's τ, two-sided; exact for few searches without ties (scipy)."""


def agreements(rows: Sequence[ResultRow], curves: Sequence[Curve]) -> list[Agreement]:
    """For each method, epoch and search-time number that any search has: its order against that of the final means."""
    seen = {curve.job: dict(curve.points) for curve in curves if curve.kind == "search"}
    final: dict[tuple[str, int], dict[int, list[float]]] = {}
    for row in rows:
        accuracy, search, epoch = number(row, ACCURACY), row.config.get("search"), row.config.get("search_epoch")
        if row.kind == "evaluate" and accuracy is not None and search and epoch:
            cell = final.setdefault((str(row.config.get("method")), int(epoch)), {})
            cell.setdefault(int(search), []).append(accuracy)
    found = []
    for (method, epoch), cell in sorted(final.items()):
        for metric in SEEN:
            pairs = [
                (value, mean(accuracies))
                for search, accuracies in cell.items()
                if (value := seen.get(search, {}).get(epoch, {}).get(metric)) is not None
            ]
            if pairs:
                found.append(agreement(method, epoch, metric, pairs))
    return found


def agreement(method: str, epoch: int, metric: str, pairs: Sequence[tuple[float, float]]) -> Agreement:
    """The rank correlations of (search-time, final) pairs; None for fewer than four, or where a side is constant."""
    from scipy import stats

    early, late = [one for one, _ in pairs], [two for _, two in pairs]
    rho = tau = p = None
    if len(pairs) >= FEWEST and len(set(early)) > 1 and len(set(late)) > 1:
        with quiet():
            rho = float(stats.spearmanr(early, late).statistic)
            kendall = stats.kendalltau(early, late)
        tau, p = float(kendall.statistic), float(kendall.pvalue)
    return Agreement(method=method, epoch=epoch, metric=metric, n=len(pairs), spearman=rho, kendall=tau, p=p)
