"""How a metric grows: least-squares lines, with errors that allow for points in clusters; scipy fits them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import fsum, sqrt

from orchestrator.tables import clustered
from orchestrator.tables.clustered import Clustered
from orchestrator.tables.statistics import Interval, constant, half_width, mean

LEAST_CLUSTERS = 3
"""Fewer searches say nothing of how searches differ: no interval and no band."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A least-squares line y = slope · x + intercept over n points; the interval is that of the slope.

    Where points come in clusters, errors are those of `clustered`; below three clusters there is no interval.
    """

    n: int
    clusters: int
    slope: float
    intercept: float
    slope_error: float | None
    df: float | None
    interval: Interval | None
    p: float | None
    residual_std: float
    """sqrt(SSE / (n - 2))."""
    x_mean: float
    x_square: float
    """Σ(x - mean)²."""
    clustered: Clustered | None = None

    def at(self, x: float) -> float:
        return self.intercept + self.slope * x

    def band(self, x: float) -> float | None:
        """Half the width of the 95 % confidence band of the mean at `x`; None where there is no interval."""
        if self.interval is None:
            return None
        if self.clustered is not None:
            error, df = self.clustered.error(1.0, x)
            return half_width(error, df)
        return half_width(self.residual_std * sqrt(1.0 / self.n + (x - self.x_mean) ** 2 / self.x_square), self.n - 2)


def regress(x: Sequence[float], y: Sequence[float], clusters: Sequence[Hashable] | None = None) -> Line | None:
    """The least-squares line; None below three points, or where x does not vary.

    `clusters` says which points belong together (read-outs of one search); without it, and where each point is a
    cluster of its own, points are independent. Raises ValueError where the lengths differ.
    """
    if len(x) != len(y) or (clusters is not None and len(clusters) != len(x)):
        raise ValueError("a line needs as many x as y")
    if len(x) < 3 or constant(x, x):
        return None
    from scipy import stats

    fitted = stats.linregress(x, y)
    n = len(x)
    centre = mean(x)
    square = fsum((value - centre) ** 2 for value in x)
    slope, error = float(fitted.slope), float(fitted.stderr)
    number = n if clusters is None else len(set(clusters))
    robust = clustered.fit(x, y, clusters) if clusters is not None and LEAST_CLUSTERS <= number < n else None
    own, df = robust.error(0.0, 1.0) if robust else (error, float(n - 2))
    half = half_width(own, df) if number >= LEAST_CLUSTERS else None
    known = half is not None
    return Line(
        n=n,
        clusters=number,
        slope=slope,
        intercept=float(fitted.intercept),
        slope_error=own if known else None,
        df=df if known else None,
        interval=None if half is None else Interval(low=slope - half, high=slope + half),
        p=_two_sided(slope, own, df) if known else None,
        residual_std=error * sqrt(square),
        x_mean=centre,
        x_square=square,
        clustered=robust,
    )


def _two_sided(value: float, error: float, df: float) -> float:
    from scipy import stats

    return float(2 * stats.t.sf(abs(value) / error, df)) if error > 0 else float(value == 0)
