"""Effect sizes, equivalence, power and variance components against scipy, statsmodels and published values."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import effectsize_smd
from statsmodels.stats.power import TTestIndPower, TTestPower
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from orchestrator.comparison import effects, power
from orchestrator.comparison.components import components
from orchestrator.tables import statistics

FIRST = [93.1, 93.9, 92.7, 93.4, 94.0, 93.2, 93.8]
SECOND = [92.9, 93.3, 92.6, 93.5, 93.4, 92.8, 93.3]


def test_hedges_g_is_statsmodels_and_its_interval_is_where_the_noncentral_t_says() -> None:
    found = effects.effect(FIRST, SECOND, paired=False)
    sizes = [np.mean(FIRST), np.std(FIRST, ddof=1), 7, np.mean(SECOND), np.std(SECOND, ddof=1), 7]
    assert found is not None and found.interval is not None
    assert found.g == pytest.approx(effectsize_smd(*sizes)[0])
    t = stats.ttest_ind(FIRST, SECOND).statistic
    scale = (1 / 7 + 1 / 7) ** 0.5
    assert stats.nct.cdf(t, 12, found.interval.low / scale) == pytest.approx(0.975, abs=1e-6)
    assert stats.nct.cdf(t, 12, found.interval.high / scale) == pytest.approx(0.025, abs=1e-6)


def test_the_interval_of_a_paired_g_is_that_of_algina_and_keselman() -> None:
    found = effects.effect(FIRST, SECOND, paired=True)
    assert found is not None and found.interval is not None
    t = stats.ttest_rel(FIRST, SECOND).statistic
    (one, shared), (_, two) = np.cov(FIRST, SECOND)
    scale = (2 * (one + two - 2 * shared) / (7 * (one + two))) ** 0.5
    assert stats.nct.cdf(t, 6, found.interval.low / scale) == pytest.approx(0.975, abs=1e-6)
    assert stats.nct.cdf(t, 6, found.interval.high / scale) == pytest.approx(0.025, abs=1e-6)


@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_covers_the_true_effect(paired: bool) -> None:
    random, covered, studies, true = Random(f"covered {paired}"), 0, 400, 0.8
    for _ in range(studies):
        shared = [random.gauss(0, 0.6) if paired else 0.0 for _ in range(8)]
        own = 0.8 if paired else 1.0  # the deviation of a side is 1 in both
        first = [true + one + random.gauss(0, own) for one in shared]
        second = [one + random.gauss(0, own) for one in shared]
        found = effects.effect(first, second, paired=paired)
        assert found is not None and found.interval is not None
        covered += found.interval.low <= true <= found.interval.high
    assert covered >= 0.95 * studies - 4 * (0.05 * 0.95 * studies) ** 0.5


def test_far_effects_have_an_interval_and_equal_values_none() -> None:
    far = effects.effect([100.0, 100.1, 100.2], [1.0, 1.1, 1.3], paired=True)
    assert far is not None and far.interval is not None and far.interval.low < far.g < far.interval.high
    assert effects.effect([1.0, 1.0], [1.0, 1.0], paired=False) is None
    shifted = effects.effect([1.0, 2.0, 3.0], [0.5, 1.5, 2.5], paired=True)
    assert shifted is not None and shifted.interval is None  # the differences do not vary


def test_equivalence_is_statsmodels_tost() -> None:
    paired = statistics.paired_t(FIRST, SECOND)
    assert paired is not None and paired.statistic is not None and paired.df is not None
    for margin in (0.2, 0.5, 1.0):
        found = effects.equivalence(paired.difference, paired.difference / paired.statistic, paired.df, margin)
        assert found.p == pytest.approx(ttost_paired(np.array(FIRST), np.array(SECOND), -margin, margin)[0])
    welch = statistics.welch_t(FIRST, SECOND)
    assert welch is not None and welch.statistic is not None and welch.df is not None
    found = effects.equivalence(welch.difference, welch.difference / welch.statistic, welch.df, 0.5)
    assert found.p == pytest.approx(ttost_ind(FIRST, SECOND, -0.5, 0.5, usevar="unequal")[0])


def test_power_is_statsmodels() -> None:
    for n, effect in ((3, 1.0), (5, 0.8), (10, 1.2), (30, 0.4)):
        assert power.power(effect * n**0.5, n - 1, 0.05) == pytest.approx(TTestPower().power(effect, n, 0.05), abs=1e-6)
        found = power.smallest(1.0 / n**0.5, n - 1, 0.05)
        assert found is not None
        assert TTestPower().power(found, n, 0.05) == pytest.approx(0.8, abs=1e-6)
    a_side = power.smallest((2 / 12) ** 0.5, 22, 0.01)
    assert TTestIndPower().power(a_side, 12, 0.01) == pytest.approx(0.8, abs=1e-6)


def test_needed_is_the_published_number() -> None:
    """Cohen, Psychol. Bull. 112(1), 1992, table 2: 393 (393.4, which is 394 whole ones), 64 and 26 a side for
    d = 0.2, 0.5 and 0.8 at power 0.8.

    For pairs G*Power 3.1's manual (matched pairs, two-sided): 34 for d_z = 0.5.
    """
    assert [power.needed_a_side(d, 1.0, 1.0, 0.05) for d in (0.2, 0.5, 0.8)] == [394, 64, 26]
    assert power.needed_pairs(0.5, 1.0, 0.05) == 34
    assert power.needed_pairs(1e-6, 1.0, 0.05) is None and power.needed_pairs(1.0, 0.0, 0.05) is None


def test_needed_is_what_statsmodels_solves_for() -> None:
    """Of any size: the least whole n at or above its real one."""
    for d, level in ((0.35, 0.05), (0.9, 0.05), (1.4, 0.01), (0.6, 0.05 / 6)):
        pairs = TTestPower().solve_power(d, alpha=level, power=0.8)
        a_side = TTestIndPower().solve_power(d, alpha=level, power=0.8)
        assert power.needed_pairs(d, 1.0, level) == int(np.ceil(pairs))
        assert power.needed_a_side(d, 1.0, 1.0, level) == int(np.ceil(a_side))


def test_the_smallest_difference_of_unlike_sides_is_found_in_eighty_of_a_hundred() -> None:
    """By scipy's Welch test on drawn studies, for statsmodels has no power of it: 6 and 11 runs, deviations 1 and 3."""
    error, df = (1 / 6 + 9 / 11) ** 0.5, (1 / 6 + 9 / 11) ** 2 / ((1 / 6) ** 2 / 5 + (9 / 11) ** 2 / 10)
    least = power.smallest(error, df, 0.05)
    assert least is not None
    rng, studies = np.random.default_rng(20261127), 20_000
    found = stats.ttest_ind(
        rng.normal(least, 1, (studies, 6)), rng.normal(0, 3, (studies, 11)), axis=1, equal_var=False
    ).pvalue
    assert np.mean(found <= 0.05) == pytest.approx(0.8, abs=0.015)


def test_needed_searches_are_those_of_an_error_that_shrinks_with_their_root() -> None:
    """As G*Power 3.1 takes it to be from 30 on: 34 pairs for d_z = 0.5 follow from what 120 pairs could have shown."""
    smallest = power.smallest(1.0 / 120**0.5, 119, 0.05)
    assert smallest is not None
    assert power.needed_clusters(0.5, smallest, 120) == pytest.approx(34, abs=2)
    assert power.needed_clusters(0.0, smallest, 120) is None


def test_a_probability_of_improvement_is_mann_whitneys_u() -> None:
    first, second = [1.0, 2.0, 3.0, 3.0], [2.0, 3.0, 0.0]
    theirs = stats.mannwhitneyu(first, second).statistic / 12
    assert effects.improvement(first, second) == pytest.approx(theirs)
    assert effects.improvement(first, second, up=False) == pytest.approx(1 - theirs)


def drawn(levels: int) -> dict[tuple[object, object, object], float]:
    random = Random(f"components {levels}")
    found: dict[tuple[object, object, object], float] = {}
    for search in range(12):
        own = random.gauss(0, 0.5)
        for repeat in range(4):
            training = random.gauss(0, 0.4)
            for level in range(levels):
                found[level, search, repeat] = 93 + 0.2 * level + own + training + random.gauss(0, 0.2)
    return found


def test_variance_components_are_those_of_a_mixed_model() -> None:
    """Restricted maximum likelihood and the analysis of variance agree on balanced data without negative estimates."""
    import pandas
    from statsmodels.regression.mixed_linear_model import MixedLM

    values = drawn(3)
    data = pandas.DataFrame(
        [{"level": a, "search": b, "training": f"{b}/{c}", "y": value} for (a, b, c), value in values.items()]
    )
    model = MixedLM.from_formula(
        "y ~ C(level)", data, groups="search", re_formula="1", vc_formula={"training": "0 + C(training)"}
    ).fit(reml=True)
    found = components(values)
    assert found is not None and found.rest is not None
    assert (found.searches, found.repeats, found.levels) == (12, 4, 3)
    assert found.search == pytest.approx(float(model.cov_re.iloc[0, 0]), rel=1e-3)
    assert found.training == pytest.approx(float(model.vcomp[0]), rel=1e-3)
    assert found.rest == pytest.approx(float(model.scale), rel=1e-3)


def test_with_one_level_training_and_rest_are_one() -> None:
    values = drawn(1)
    found = components(values)
    groups = [[values[0, search, repeat] for repeat in range(4)] for search in range(12)]
    within = float(np.mean([np.var(group, ddof=1) for group in groups]))
    assert found is not None and found.rest is None and found.training == pytest.approx(within)
    between = stats.f_oneway(*groups).statistic * within
    assert found.search == pytest.approx((between - within) / 4)


def test_what_is_not_balanced_is_left_out() -> None:
    values = drawn(2)
    whole = components({place: value for place, value in values.items() if place[1] != 11})
    del values[1, 11, 3]
    assert components(values) == whole
    assert components({place: value for place, value in values.items() if place[2] == 0}) is None
