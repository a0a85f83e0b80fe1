"""What so many seeds could have shown, and how many seeds a difference needs: by the noncentral t. Pure.

A test that finds nothing says little where it could have found little: no p value stands without these two numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, sqrt

from orchestrator.comparison.effects import share_below

POWER = 0.8
"""A difference counts as one that n could have shown where it is found in 80 of 100 studies."""
MOST = 1_000_000
"""More seeds than these are no plan."""


def power(noncentrality: float, df: float, level: float) -> float:
    """How often a two-sided t test at `level` finds a true difference of `noncentrality` standard errors."""
    from scipy import stats

    critical = float(stats.t.ppf(1.0 - level / 2.0, df))
    return 1.0 - share_below(critical, df, noncentrality) + share_below(-critical, df, noncentrality)


def smallest(error: float, df: float, level: float) -> float | None:
    """The smallest true difference that a test with this standard error finds with power 0.8; None without an error."""
    from scipy import optimize, stats

    if not error > 0 or df <= 0:
        return None
    top = 4.0 * (float(stats.t.ppf(1.0 - level / 2.0, df)) + 1.0)
    found = optimize.brentq(lambda one: power(one, df, level) - POWER, 0.0, top, xtol=1e-10)
    return float(found) * error


def needed_pairs(difference: float, std: float, level: float) -> int | None:
    """How many pairs find this difference with power 0.8; None where it takes more than a million."""
    return _needed(lambda n: power(abs(difference) / (std / sqrt(n)), n - 1, level)) if std > 0 else None


def needed_a_side(difference: float, first: float, second: float, level: float) -> int | None:
    """How many values on each side find this difference by Welch's test; `first`, `second`: their deviations."""

    def reached(n: int) -> float:
        one, two = first**2 / n, second**2 / n
        df = (one + two) ** 2 / ((one**2 + two**2) / (n - 1))
        return power(abs(difference) / sqrt(one + two), df, level)

    return _needed(reached) if max(first, second) > 0 else None


def needed_clusters(difference: float, smallest_now: float, clusters: int) -> int | None:
    """About how many clusters a slope's difference needs: its error shrinks with the root of their number."""
    if difference == 0:
        return None
    found = clusters * (smallest_now / difference) ** 2
    return max(2, ceil(found)) if found <= MOST else None


def _needed(reached: Callable[[int], float]) -> int | None:
    """The least n from 2 on that reaches the power, which grows with n."""
    low, high = 1, 2
    while reached(high) < POWER:
        low, high = high, high * 2
        if high > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if reached(middle) < POWER else (low, middle)
    return high
