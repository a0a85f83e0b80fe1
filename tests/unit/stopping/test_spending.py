"""Spending and boundaries, against published values and scipy's multivariate normal distribution."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from orchestrator.stopping.spending import boundaries, spent

PUBLISHED = (4.877, 3.357, 2.680, 2.290, 2.031)
"""Two-sided 5 %, five equal looks, O'Brien-Fleming-like spending (Lan & DeMets; as in R's gsDesign and ldbounds)."""


def test_boundaries_are_the_published_ones() -> None:
    assert [round(z, 3) for z in boundaries((0.2, 0.4, 0.6, 0.8, 1.0))] == list(PUBLISHED)


def test_one_look_is_the_usual_test() -> None:
    assert boundaries((1.0,)) == pytest.approx([stats.norm.isf(0.025)], abs=1e-9)
    assert boundaries((1.0,), 0.01) == pytest.approx([stats.norm.isf(0.005)], abs=1e-9)


@pytest.mark.parametrize("shares", [(0.5, 1.0), (0.4, 0.7, 1.0), (0.3, 0.55, 0.8)])
def test_the_boundaries_spend_what_they_may(shares: tuple[float, ...]) -> None:
    """The chance of staying within all of them, by scipy's integration of the correlated normals."""
    z = np.array(boundaries(shares))
    covariance = np.sqrt([[min(a, b) / max(a, b) for a in shares] for b in shares])
    inside = stats.multivariate_normal(cov=covariance, abseps=1e-7, releps=1e-7).cdf(z, lower_limit=-z)
    assert 1.0 - inside == pytest.approx(spent(shares[-1]), abs=2e-5)


@given(share=st.floats(0.01, 1.0), more=st.floats(0.0, 1.0))
@settings(deadline=None)
def test_what_is_spent_rises_to_alpha(share: float, more: float) -> None:
    assert 0.0 <= spent(share) <= spent(min(1.0, share + more)) <= 0.05 + 1e-12
    assert spent(1.0) == pytest.approx(0.05)


@pytest.mark.parametrize("shares", [(0.0, 1.0), (0.5, 0.5), (0.8, 0.5), (0.5, 1.1)])
def test_shares_that_do_not_rise_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="rise"):
        boundaries(shares)


def test_so_early_that_nothing_can_be_decided() -> None:
    first, *others = boundaries((0.01, 0.5, 1.0))
    assert first == float("inf") and all(a > b for a, b in pairwise(others))
