"""Interquartile means, probabilities of improvement and profiles against rliable 1.2.0 (Agarwal et al., NeurIPS 2021).

Its numbers were made by its own `metrics` and `library` on these runs, and stand here, since it is no dependency.
"""

from __future__ import annotations

from random import Random

import pytest
from scipy import stats

from orchestrator.comparison import robust

X = {
    "one": [91.2, 92.4, 90.8, 91.9, 93.0, 91.1, 92.2, 91.7],
    "two": [70.1, 71.9, 69.5, 72.2, 70.8, 71.3, 70.4, 72.8],
}
Y = {
    "one": [90.9, 91.8, 90.8, 91.2, 92.1, 90.3, 91.9, 91.0],
    "two": [70.3, 70.9, 68.9, 71.0, 70.8, 70.6, 69.9, 71.7],
}


def test_the_interquartile_mean_and_its_bootstrap_are_rliables() -> None:
    """aggregate_iqm, and get_interval_estimates with 20,000 draws."""
    x, y = robust.interquartile_mean(X), robust.interquartile_mean(Y)
    assert x is not None and y is not None and x.interval is not None and y.interval is not None
    assert (x.value, y.value) == (pytest.approx(81.625), pytest.approx(80.925))
    assert (x.interval.low, x.interval.high) == (pytest.approx(81.075, abs=0.06), pytest.approx(82.0625, abs=0.06))
    assert (y.interval.low, y.interval.high) == (pytest.approx(80.6247, abs=0.06), pytest.approx(81.2625, abs=0.06))


def test_the_probability_of_improvement_is_rliables() -> None:
    """probability_of_improvement; its interval draws both sides independently, as ours does unpaired."""
    found = robust.improvement_over(X, Y, paired=False, up=True)
    assert found is not None and found.interval is not None
    assert found.value == pytest.approx(0.6796875)
    # get_interval_estimates, 2,000 draws
    assert found.interval.low == pytest.approx(0.488, abs=0.03)
    assert found.interval.high == pytest.approx(0.855, abs=0.03)
    down = robust.improvement_over(X, Y, paired=False, up=False)
    assert down is not None and down.value == pytest.approx(1 - 0.6796875)


def test_a_bootstrap_by_pairs_covers_no_less_where_pairs_are_alike() -> None:
    """Pairs that rise and fall together: the probability within is known better than of independent sides."""
    shared = [0.0, 3.0, 6.0, 9.0, 12.0, 15.0]
    first, second = [one + 1.0 for one in shared], shared
    by_pairs = robust.improvement_over({"": first}, {"": second}, paired=True, up=True)
    apart = robust.improvement_over({"": first}, {"": second}, paired=False, up=True)
    assert by_pairs is not None and apart is not None and by_pairs.interval is not None and apart.interval is not None
    assert by_pairs.interval.high - by_pairs.interval.low < apart.interval.high - apart.interval.low


def test_a_profile_is_the_share_above_by_hand() -> None:
    assert robust.profile(X, [69.0, 70.5, 91.0, 92.0]) == pytest.approx([1.0, 0.8125, 0.4375, 0.1875])
    band = robust.profile_band(X, [69.0, 70.5, 91.0, 92.0])
    assert (band[0].low, band[0].high) == (1.0, 1.0)
    assert all(one.low <= share <= one.high for one, share in zip(band, [1.0, 0.8125, 0.4375, 0.1875], strict=True))
    # One task of two varies at 70.5: a binomial share of 8 runs, halved, and a half; create_performance_profile agrees.
    low, high = stats.binom.ppf([0.025, 0.975], 8, 0.625) / 16 + 0.5
    assert (low, high) == (0.625, 0.9375)
    assert (band[1].low, band[1].high) == (pytest.approx(low), pytest.approx(high))


def test_one_run_has_no_interval() -> None:
    found = robust.interquartile_mean({"one": [1.0]})
    assert found is not None and (found.value, found.interval) == (1.0, None)
    assert robust.interquartile_mean({}) is None
    better = robust.improvement_over({"": [1.0]}, {"": [0.0]}, paired=True, up=True)
    assert better is not None and (better.value, better.interval) == (1.0, None)


def test_what_the_bootstrap_of_the_interquartile_mean_covers() -> None:
    """Twenty normal runs: nearly 95 of 100; the docs say how much too narrow fewer are."""
    random, covered, studies = Random("iqm"), 0, 200
    for _ in range(studies):
        found = robust.interquartile_mean({"": [random.gauss(5, 1) for _ in range(20)]})
        assert found is not None and found.interval is not None
        covered += found.interval.low <= 5 <= found.interval.high
    assert covered / studies > 0.93 - 4 * (0.05 * 0.95 / studies) ** 0.5
