"""The statistics agree with scipy and statsmodels to 1e-9, also where the numbers are hard."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt
from unittest.mock import patch

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.meta_analysis import effectsize_smd
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from jobs.errors import BadInput
from orchestrator.tables import statistics
from orchestrator.tables.regression import regress

accuracy = st.floats(90.0, 96.0).map(lambda value: round(value, 2))
samples = st.lists(accuracy, min_size=2, max_size=20)
close = {"rel": 1e-9, "abs": 1e-9}


def varies(*sides: list[float]) -> bool:
    return all(max(side) - min(side) > 0.005 for side in sides)


def test_mean_and_std_are_stable_at_1e8_and_1e_3() -> None:
    values = [1e8 + 1e-3 * step for step in (-1, 0, 1, -1, 1, 0)]
    exact = [Fraction(value) for value in values]
    centre = sum(exact) / len(exact)
    std = sqrt(sum((value - centre) ** 2 for value in exact) / (len(exact) - 1))
    assert statistics.mean(values) == pytest.approx(float(centre), rel=1e-16)
    assert statistics.deviation(values) == pytest.approx(std, rel=1e-9)
    assert std == pytest.approx(1e-3 * sqrt(4 / 5), rel=1e-4)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40))
def test_summary_agrees_with_exact_arithmetic(values: list[float]) -> None:
    summary = statistics.summarize(values)
    exact = [Fraction(value) for value in values]
    centre = sum(exact) / len(exact)
    assert summary.mean == pytest.approx(float(centre), rel=1e-12, abs=1e-6)
    if len(values) == 1:
        assert summary.std is None
    else:
        square = sum((value - centre) ** 2 for value in exact) / (len(exact) - 1)
        assert summary.std == pytest.approx(sqrt(square), rel=1e-9, abs=1e-7)


def test_no_values_have_no_mean() -> None:
    assert statistics.summarize([]) == statistics.Summary(n=0, mean=None, std=None)
    with pytest.raises(ValueError, match="no values"):
        statistics.mean([])


@given(samples)
def test_t_interval_agrees_with_statsmodels(values: list[float]) -> None:
    assume(varies(values))
    ours = statistics.t_interval(values)
    low, high = DescrStatsW(values).tconfint_mean()
    assert ours is not None
    assert (ours.low, ours.high) == (pytest.approx(low, **close), pytest.approx(high, **close))


@given(st.lists(st.tuples(accuracy, accuracy), min_size=2, max_size=20))
def test_paired_t_agrees_with_scipy_and_statsmodels(pairs: list[tuple[float, float]]) -> None:
    first, second = [list(side) for side in zip(*pairs, strict=True)]
    differences = [a - b for a, b in pairs]
    assume(varies(differences))
    ours = statistics.paired_t(first, second)
    theirs = stats.ttest_rel(first, second)
    low, high = DescrStatsW(differences).tconfint_mean()
    assert ours is not None and ours.interval is not None
    assert ours.statistic == pytest.approx(theirs.statistic, **close)
    assert ours.p == pytest.approx(theirs.pvalue, **close)
    assert ours.df == len(pairs) - 1
    assert (ours.interval.low, ours.interval.high) == (pytest.approx(low, **close), pytest.approx(high, **close))


@given(samples, samples)
def test_welch_agrees_with_scipy_and_statsmodels(first: list[float], second: list[float]) -> None:
    assume(varies(first) and varies(second))
    ours = statistics.welch_t(first, second)
    theirs = stats.ttest_ind(first, second, equal_var=False)
    compare = CompareMeans(DescrStatsW(first), DescrStatsW(second))
    statistic, p, df = compare.ttest_ind(usevar="unequal")
    low, high = compare.tconfint_diff(usevar="unequal")
    assert ours is not None and ours.interval is not None
    assert ours.statistic == pytest.approx(theirs.statistic, **close) == pytest.approx(statistic, **close)
    assert ours.p == pytest.approx(theirs.pvalue, **close) == pytest.approx(p, **close)
    assert ours.df == pytest.approx(df, **close)
    assert (ours.interval.low, ours.interval.high) == (pytest.approx(low, **close), pytest.approx(high, **close))


@given(samples, samples)
def test_hedges_g_agrees_with_statsmodels(first: list[float], second: list[float]) -> None:
    assume(varies(first) and varies(second))
    theirs, _ = effectsize_smd(
        np.mean(first), np.std(first, ddof=1), len(first), np.mean(second), np.std(second, ddof=1), len(second)
    )
    assert statistics.hedges_g(first, second) == pytest.approx(theirs, **close)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    with patch("gc.collect"):  # which it calls each time: a second beside all that the tests hold
        theirs = multipletests(p_values, method="holm")[1]
    assert statistics.holm(p_values) == [pytest.approx(p, **close) for p in theirs]


def test_holm_leaves_out_what_was_not_tested() -> None:
    assert statistics.holm([0.01, None, 0.03]) == [pytest.approx(0.02), None, pytest.approx(0.03)]


@given(st.lists(st.tuples(st.integers(0, 40), accuracy), min_size=3, max_size=30))
@settings(deadline=None)
def test_regression_agrees_with_scipy_and_statsmodels(points: list[tuple[int, float]]) -> None:
    x, y = [p[0] for p in points], [p[1] for p in points]
    assume(max(x) > min(x) and varies(y))
    line = regress(x, y)
    ols = sm.OLS(y, sm.add_constant(np.array(x, float))).fit()
    assume(ols.mse_resid > 1e-6)
    theirs = stats.linregress(x, y)
    low, high = ols.conf_int()[1]
    assert line is not None
    assert line.slope == pytest.approx(theirs.slope, **close) == pytest.approx(ols.params[1], **close)
    assert line.intercept == pytest.approx(ols.params[0], rel=1e-9)
    assert line.slope_error == pytest.approx(ols.bse[1], **close)
    assert line.interval is not None
    assert (line.interval.low, line.interval.high) == (pytest.approx(low, **close), pytest.approx(high, **close))
    at = ols.get_prediction([[1.0, 7.0]]).conf_int()[0]
    half = line.band(7.0)
    assert half is not None
    assert (line.at(7.0) - half, line.at(7.0) + half) == (
        pytest.approx(at[0], rel=1e-9),
        pytest.approx(at[1], rel=1e-9),
    )


def test_mann_whitney_agrees_with_scipy_and_is_refused_below_four() -> None:
    first, second = [93.1, 93.4, 93.2, 93.9], [93.0, 92.8, 93.3, 92.9]
    ours = statistics.mann_whitney(first, second)
    theirs = stats.mannwhitneyu(first, second, alternative="two-sided")
    assert (ours.statistic, ours.p) == (theirs.statistic, theirs.pvalue)
    with pytest.raises(BadInput, match="at least 4 values a side"):
        statistics.mann_whitney(first[:3], second)


def test_values_that_do_not_vary_have_no_t_statistic() -> None:
    paired = statistics.paired_t([93.3, 93.5, 93.7], [93.1, 93.3, 93.5])
    assert paired is not None
    assert (paired.statistic, paired.p, paired.interval) == (None, None, None)
    assert paired.difference == pytest.approx(0.2)
    welch = statistics.welch_t([93.0, 93.0], [92.0, 92.0])
    assert welch is not None and (welch.p, welch.difference) == (None, 1.0)
    assert statistics.hedges_g([93.0, 93.0], [92.0, 92.0]) is None
    assert regress([5.0, 5.0, 5.0], [1.0, 2.0, 3.0]) is None


def test_too_few_values_are_no_test() -> None:
    assert statistics.paired_t([1.0], [2.0]) is None
    assert statistics.welch_t([1.0], [2.0, 3.0]) is None
    assert statistics.hedges_g([1.0], [2.0, 3.0]) is None
    assert statistics.t_interval([1.0]) is None
    assert regress([1.0, 2.0], [1.0, 2.0]) is None


def test_unequal_lengths_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="as many values"):
        statistics.paired_t([1.0, 2.0], [1.0])
