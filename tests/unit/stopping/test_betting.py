"""The bet is fair: over all ways to flip signs it is 1 on average, and reaches 20 in at most 5 % of them, ever."""

from __future__ import annotations

from itertools import product
from math import fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.stopping.betting import evidence, interval

SIZES = st.lists(st.one_of(st.floats(0, 10), st.integers(0, 2).map(float)), min_size=1, max_size=7)


@given(sizes=SIZES)
@settings(deadline=None, max_examples=20)
def test_the_mean_over_all_ways_to_flip_is_one(sizes: list[float]) -> None:
    ways = list(product((1.0, -1.0), repeat=len(sizes)))
    found = [evidence([sign * size for sign, size in zip(signs, sizes, strict=True)]) for signs in ways]
    assert fsum(found) / len(found) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("base", [1.0, 2.0, 0.8])
def test_it_ever_reaches_twenty_in_five_percent_at_most(base: float) -> None:
    sizes = [base**i for i in range(11)]
    ever = 0
    for signs in product((1.0, -1.0), repeat=10):
        values = [sign * size for sign, size in zip((1.0, *signs), sizes, strict=True)]
        ever += any(evidence(values[:n]) >= 20.0 for n in range(5, 12))
    assert 0 < ever / 2**10 <= 0.05


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8), scale=st.sampled_from([1e-200, 7.0, 1e200]))
@settings(deadline=None, max_examples=40)
def test_neither_scale_nor_side_changes_it(values: list[float], scale: float) -> None:
    rounded = [round(one, 3) for one in values]
    assert evidence([-one for one in rounded]) == pytest.approx(evidence(rounded))
    assert evidence([one * scale for one in rounded]) == pytest.approx(evidence(rounded), rel=1e-6)


def test_nothing_says_nothing() -> None:
    assert evidence([]) == evidence([0.0, 0.0]) == 1.0


def test_the_interval_holds_what_there_is_no_evidence_against() -> None:
    values = np.random.default_rng(2).normal(1.0, 0.5, 20).tolist()
    found = interval(values, 0.05)
    assert found is not None and 0 < found.low < np.mean(values) < found.high
    for shift, against in ((found.low - 1e-3, True), (found.high + 1e-3, True), (float(np.mean(values)), False)):
        assert (evidence([one - shift for one in values]) >= 20.0) == against
    assert interval(values[:5], 0.05) is None, "five say too little for any end"
    assert interval([1.0, 1.0], 0.05) is None
