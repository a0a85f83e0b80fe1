"""How large a difference is, in standard deviations and in won comparisons, and whether it is small enough. Pure.

The noncentral t distribution gives the intervals; scipy computes it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

from orchestrator.tables.statistics import CONFIDENCE, Interval, constant, deviation, hedges_g, mean

FARTHEST = 40.0
"""An interval's end is looked for within so many times the t statistic (and one)."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Hedges' g with the 95 % interval of the true standardised difference; None where it cannot be told."""

    g: float
    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Two one-sided tests (Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987): is the difference within ± margin?"""

    margin: float
    p: float
    """The larger one of the two: below 0.05 the difference is within the margin."""


def effect(first: Sequence[float], second: Sequence[float], *, paired: bool) -> Effect | None:
    """Hedges' g of first less second over the pooled standard deviation; None where it has none.

    Unpaired the interval is exact for normal values of one variance (Steiger & Fouladi, 1997). For pairs it is that of
    Algina & Keselman (Educ. Psychol. Meas. 63, 2003): the same g, and an interval that knows how pairs correlate.
    """
    g = hedges_g(first, second)
    if g is None:
        return None
    one, two = deviation(first) or 0.0, deviation(second) or 0.0
    if paired:
        differences = [a - b for a, b in zip(first, second, strict=True)]
        spread, n = deviation(differences) or 0.0, len(first)
        if constant(differences, (*first, *second)):
            return Effect(g=g, interval=None)
        scale = sqrt(2.0 * spread**2 / (n * (one**2 + two**2)))
        found = _noncentrality(mean(differences) / (spread / sqrt(n)), n - 1)
    else:
        n1, n2 = len(first), len(second)
        pooled = sqrt(((n1 - 1) * one**2 + (n2 - 1) * two**2) / (n1 + n2 - 2))
        scale = sqrt(1.0 / n1 + 1.0 / n2)
        found = _noncentrality((mean(first) - mean(second)) / (pooled * scale), n1 + n2 - 2)
    if found is None:
        return Effect(g=g, interval=None)
    return Effect(g=g, interval=Interval(low=found[0] * scale, high=found[1] * scale))


def improvement(first: Sequence[float], second: Sequence[float], *, up: bool = True) -> float:
    """The probability that a run of `first` beats one of `second`; a tie counts half (Mann-Whitney's U over n·m).

    The probability of improvement of Agarwal et al. (NeurIPS 2021), of one task. Raises ValueError without values.
    """
    if not first or not second:
        raise ValueError("no probability without runs")
    ordered = sorted(second)
    wins = sum(bisect_left(ordered, one) + bisect_right(ordered, one) for one in first)  # twice: a tie is half
    won = wins / (2 * len(first) * len(second))
    return won if up else 1.0 - won


def equivalence(difference: float, error: float, df: float, margin: float) -> Equivalence:
    """Whether a difference with that standard error lies within ± margin. Raises ValueError for no positive error."""
    from scipy import stats

    if not error > 0 or not margin > 0:
        raise ValueError("equivalence needs a positive error and margin")
    above = float(stats.t.sf((difference + margin) / error, df))
    below = float(stats.t.cdf((difference - margin) / error, df))
    return Equivalence(margin=margin, p=max(above, below))


def share_below(t: float, df: float, noncentrality: float) -> float:
    """The noncentral t distribution up to `t`; far out, where scipy has no number, 0 or 1."""
    from scipy import stats

    share = float(stats.nct.cdf(t, df, noncentrality))
    return share if isfinite(share) else 0.0 if noncentrality > t else 1.0


def _noncentrality(t: float, df: float) -> tuple[float, float] | None:
    """The ends of the 95 % interval of the noncentrality of a t statistic; None where scipy finds none."""
    from scipy import optimize

    if not isfinite(t) or df <= 0:
        return None
    ends = []
    for level in (0.5 + CONFIDENCE / 2, 0.5 - CONFIDENCE / 2):

        def miss(noncentrality: float, level: float = level) -> float:
            return share_below(t, df, noncentrality) - level

        low, high = t - 1.0, t + 1.0
        while miss(low) < 0 and t - low < FARTHEST * (1.0 + abs(t)):
            low = t - 2.0 * (t - low)
        while miss(high) > 0 and high - t < FARTHEST * (1.0 + abs(t)):
            high = t + 2.0 * (high - t)
        if miss(low) < 0 or miss(high) > 0:
            return None
        ends.append(float(optimize.brentq(miss, low, high, xtol=1e-9)))
    return ends[0], ends[1]
