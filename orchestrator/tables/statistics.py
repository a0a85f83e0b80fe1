"""The statistics of a study, after the NAS checklist (Lindauer & Hutter, JMLR 21(243), 2020); scipy does them.

Mean and standard deviation are exact to the last bits by `math.fsum` and need no numpy, so a plain table starts fast.
Units are those of the values; p values are two-sided.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import frexp, fsum, inf, isfinite, ldexp, sqrt

from jobs.errors import BadInput

CONFIDENCE = 0.95
SQUARED = 400
"""Up to this power of two a square, and a sum of very many of them, is far from the ends of the floats."""
LEAST_FOR_RANKS = 4
"""Below four values a side no exact Mann-Whitney test can reach p < 0.05 (the smallest at 3 against 3 is 0.1)."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Mean, and sample standard deviation (ddof = 1; None where n < 2)."""

    n: int
    mean: float | None
    std: float | None


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A 95 % confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A t-test of a difference of means. `statistic`, `df` and `p` are None where the values do not vary."""

    n: int
    difference: float
    interval: Interval | None
    statistic: float | None
    df: float | None
    p: float | None


@dataclass(frozen=True, kw_only=True)
class RankTest:
    """Mann-Whitney's U of the first sample."""

    statistic: float
    p: float


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean. Raises ValueError where there is no value."""
    if not values:
        raise ValueError("no mean of no values")
    if len(values) == 1:
        return values[0] + 0.0  # never -0
    power, scaled = _scaled(values)
    shift = scaled[0]
    return ldexp(shift + fsum([value - shift for value in scaled]) / len(scaled), power)


def deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation (ddof = 1) by two passes, corrected; None where n < 2.

    None also where it is larger than any float, as of -1.7e308 and 1.7e308.
    """
    n = len(values)
    if n < 2:
        return None
    power, scaled = _scaled(values)
    shift = scaled[0]
    moved = [value - shift for value in scaled]
    centre = fsum(moved) / n
    off = [value - centre for value in moved]
    left = fsum(off)
    square = fsum([value**2 for value in off]) - left * left / n
    try:
        return ldexp(sqrt(max(square, 0.0) / (n - 1)), power)
    except OverflowError:
        return None


def _scaled(values: Sequence[float]) -> tuple[int, Sequence[float]]:
    """The values over a power of two, where their squares would leave the range of floats; else as they are."""
    power = frexp(max(max(values), -min(values)))[1]
    if abs(power) < SQUARED:
        return 0, values
    return power, [ldexp(value, -power) for value in values]


def summarize(values: Sequence[float]) -> Summary:
    """Mean and std of finite values; both None where there is none."""
    if not values:
        return Summary(n=0, mean=None, std=None)
    return Summary(n=len(values), mean=mean(values), std=deviation(values))


def t_interval(values: Sequence[float]) -> Interval | None:
    """The 95 % interval of the mean by Student's t; None where n < 2."""
    std = deviation(values)
    if std is None:
        return None
    return _interval(mean(values), std / sqrt(len(values)), len(values) - 1)


@contextmanager
def quiet() -> Iterator[None]:
    """No warning of scipy reaches a person: that seeds agree to the last digit is no fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def paired_t(first: Sequence[float], second: Sequence[float]) -> Comparison | None:
    """The paired t-test of first - second, pair by pair; None where there are fewer than two pairs.

    Raises ValueError where the lengths differ.
    """
    if len(first) != len(second):
        raise ValueError("a paired test needs as many values on both sides")
    differences = [a - b for a, b in zip(first, second, strict=True)]
    std = deviation(differences)
    if std is None:
        return None
    n = len(differences)
    gain = mean(differences)
    if constant(differences, (*first, *second)):
        return Comparison(n=n, difference=gain, interval=None, statistic=None, df=None, p=None)
    from scipy import special  # a plain table needs no more of scipy, whose stats take three times as long to import

    # The test of the differences against 0 is the paired test (scipy.stats.ttest_rel computes the same).
    error = std / sqrt(n)
    statistic = gain / error if error else inf if gain > 0 else -inf
    return Comparison(
        n=n,
        difference=gain,
        interval=_interval(gain, error, n - 1),
        statistic=statistic,
        df=float(n - 1),
        p=2.0 * float(special.stdtr(n - 1, -abs(statistic))),
    )


def welch_t(first: Sequence[float], second: Sequence[float]) -> Comparison | None:
    """Welch's t-test of mean(first) - mean(second); None where a side has fewer than two values."""
    if len(first) < 2 or len(second) < 2:
        return None
    n = len(first) + len(second)
    gain = mean(first) - mean(second)
    scale = (*first, *second)
    if constant(first, scale) and constant(second, scale):
        return Comparison(n=n, difference=gain, interval=None, statistic=None, df=None, p=None)
    from scipy import stats

    with quiet():
        result = stats.ttest_ind(first, second, equal_var=False)
    bounds = result.confidence_interval(CONFIDENCE)
    return Comparison(
        n=n,
        difference=gain,
        interval=Interval(low=float(bounds.low), high=float(bounds.high)),
        statistic=float(result.statistic),
        df=float(result.df),
        p=float(result.pvalue),
    )


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> RankTest:
    """The two-sided Mann-Whitney test. Raises BadInput below four values a side."""
    if min(len(first), len(second)) < LEAST_FOR_RANKS:
        raise BadInput(
            f"Mann-Whitney needs at least {LEAST_FOR_RANKS} values a side (got {len(first)} and {len(second)}): "
            "run more seeds"
        )
    from scipy import stats

    result = stats.mannwhitneyu(first, second, alternative="two-sided")
    return RankTest(statistic=float(result.statistic), p=float(result.pvalue))


def hedges_g(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Hedges' g: the difference over the pooled std, times 1 - 3 / (4 n - 9) (Hedges, J. Educ. Stat. 6(2), 1981).

    None where a side has fewer than two values, where neither varies, or where they spread too widely for a float.
    """
    one, two = deviation(first), deviation(second)
    if one is None or two is None:
        return None
    scale = (*first, *second)
    if constant(first, scale) and constant(second, scale):
        return None
    n = len(first) + len(second)
    try:
        pooled = sqrt(((len(first) - 1) * one**2 + (len(second) - 1) * two**2) / (n - 2))
    except OverflowError:
        return None
    return (mean(first) - mean(second)) / pooled * (1.0 - 3.0 / (4.0 * n - 9.0))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (Scand. J. Stat. 6, 1979); a None stays None and is not counted as a test."""
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        adjusted[index] = highest
    return adjusted


def half_width(error: float, df: float) -> float | None:
    """Half of a 95 % interval; None where it has no degrees of freedom or no finite width."""
    from scipy import special

    half = float(special.stdtrit(df, 0.5 + CONFIDENCE / 2)) * error if df > 0 else inf
    return half if isfinite(half) else None


def _interval(centre: float, error: float, df: int) -> Interval:
    half = half_width(error, df) or 0.0
    return Interval(low=centre - half, high=centre + half)


def constant(values: Sequence[float], scale: Sequence[float]) -> bool:
    """Whether values differ by no more than rounding, where a t statistic would be noise over noise."""
    largest = max(abs(value) for value in scale)
    return not isfinite(largest) or max(values) - min(values) <= 16 * 2.0**-52 * largest
