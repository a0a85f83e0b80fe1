"""Rank correlations over searches: against scipy's by hand, and none where nothing can be said."""

from __future__ import annotations

from itertools import permutations

import pytest

from db.rows import Curve
from orchestrator.comparison.ranks import agreement, agreements
from tests.helpers.plausible import row


def test_the_ranks_are_those_of_the_definitions() -> None:
    """Kendall: concordant minus discordant pairs; Spearman: 1 − 6 Σd² / n(n² − 1)."""
    first = [7, 4, 3, 10, 6, 2, 9, 8, 1, 5]
    second = [5, 7, 3, 10, 1, 9, 6, 2, 8, 4]
    pairs = [(float(a), float(b)) for a, b in zip(first, second, strict=True)]
    one = agreement("A", 50, "val_accuracy", pairs)
    concordant = sum((a - c) * (b - d) > 0 for i, (a, b) in enumerate(pairs) for c, d in pairs[:i])
    assert one.kendall == pytest.approx((2 * concordant - 45) / 45)
    assert one.spearman == pytest.approx(1 - 6 * sum((a - b) ** 2 for a, b in pairs) / (10 * 99))
    assert one.n == 10 and one.p is not None and one.p > 0.5


def test_p_of_kendall_is_that_of_all_orders() -> None:
    """Counted out over the 120 orders of five searches: so many are as far from 0 as this one is."""
    first, second = [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 4.0, 3.0, 5.0]

    def score(order: tuple[float, ...]) -> int:
        return sum((a - c) * (b - d) > 0 for i, (a, b) in enumerate(zip(first, order, strict=True))
                   for c, d in list(zip(first, order, strict=True))[:i])  # fmt: skip

    mine = abs(2 * score(tuple(second)) - 10)
    as_far = sum(abs(2 * score(order) - 10) >= mine for order in permutations(first))
    assert agreement("A", 50, "m", list(zip(first, second, strict=True))).p == pytest.approx(as_far / 120)


@pytest.mark.parametrize("pairs", [[(1.0, 2.0)] * 3, [(1.0, 2.0), (1.0, 3.0), (1.0, 4.0), (1.0, 5.0)]])
def test_too_few_or_all_the_same_is_no_correlation(pairs: list[tuple[float, float]]) -> None:
    one = agreement("A", 50, "val_accuracy", pairs)
    assert (one.n, one.spearman, one.kendall, one.p) == (len(pairs), None, None, None)


def test_repeats_are_averaged_and_searches_without_the_number_left_out() -> None:
    def curve(job: int, **values: float) -> Curve:
        return Curve(job=job, kind="search", seed=job, config={"method": "A"}, points=((50, values),))

    curves = [curve(job, val_accuracy=80.0 + job) for job in range(1, 5)] + [curve(5)]
    final = {1: (91.0, 95.0), 2: (92.0,), 3: (94.0,), 4: (95.0,), 5: (99.0,)}
    rows = [
        row(
            10 * job + repeat,
            accuracy=value,
            config={"method": "A", "search": job, "search_epoch": 50, "repeat": repeat},
        )
        for job, values in final.items()
        for repeat, value in enumerate(values)
    ]
    (one,) = agreements(rows, curves)
    assert (one.metric, one.epoch, one.n) == ("val_accuracy", 50, 4)
    assert one.kendall == pytest.approx(4 / 6)  # 93, 92, 94, 95: one of six pairs is the other way round
