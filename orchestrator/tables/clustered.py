"""The error of a least-squares line whose points come in clusters: read-outs of one search are not independent.

The covariance is CR2 with Satterthwaite's degrees of freedom (Bell & McCaffrey, Survey Methodology 28(2), 2002; Imbens
& Kolesár, Rev. Econ. Stat. 98(4), 2016; Pustejovsky & Tipton, J. Bus. Econ. Stat. 36(4), 2018), made for few clusters.
What it covers for 3 to 10 searches was simulated (docs/statistics.md).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SINGULAR = 1e-10
"""Eigenvalues of a cluster's share of I - H below this are none: the line goes through it whatever it holds."""


@dataclass(frozen=True, kw_only=True)
class Clustered:
    """Standard error and degrees of freedom of any `level` + `slope` · x, for a line that was fitted to clusters."""

    scores: NDArray[np.float64]
    """G×2: what each cluster adds to an estimate's error, for (intercept, slope)."""
    products: NDArray[np.float64]
    """G×G×2×2: the same for independent errors of one size, multiplied pairwise."""

    def error(self, level: float, slope: float) -> tuple[float, float]:
        """(standard error, degrees of freedom) of level · intercept + slope · slope; the latter 0 where it has none."""
        import numpy as np

        contrast = np.array([level, slope])
        variance = float(np.sum((self.scores @ contrast) ** 2))
        expected = np.einsum("i,ghij,j->gh", contrast, self.products, contrast)
        spread = float(np.sum(expected**2))
        return variance**0.5, float(np.trace(expected)) ** 2 / spread if spread > 0 else 0.0


def fit(x: Sequence[float], y: Sequence[float], clusters: Sequence[Hashable]) -> Clustered:
    """The errors of the least-squares line of y on x. Raises ValueError where the lengths differ."""
    import numpy as np

    if not len(x) == len(y) == len(clusters):
        raise ValueError("a line needs as many x, y and clusters")
    design = np.column_stack([np.ones(len(x)), np.asarray(x, dtype=float)])
    # Centred and scaled x keeps the 2×2 inverse exact for 20,000,000 parameters as for 12 shortcuts.
    centre, scale = design[:, 1].mean(), np.ptp(design[:, 1])
    moved = np.column_stack([design[:, 0], (design[:, 1] - centre) / scale])
    back = np.array([[1.0, -centre / scale], [0.0, 1.0 / scale]])
    inverse = np.linalg.inv(moved.T @ moved)
    remains = np.eye(len(x)) - moved @ inverse @ moved.T
    residuals = remains @ np.asarray(y, dtype=float)
    places: dict[Hashable, list[int]] = {}
    for place, cluster in enumerate(clusters):
        places.setdefault(cluster, []).append(place)
    scores, parts = [], []
    for own in places.values():
        values, vectors = np.linalg.eigh(remains[np.ix_(own, own)])
        roots = np.where(values > SINGULAR, 1.0 / np.sqrt(np.maximum(values, SINGULAR)), 0.0)
        adjusted = (vectors * roots) @ vectors.T @ moved[own] @ inverse @ back.T
        scores.append(residuals[own] @ adjusted)
        parts.append(remains[:, own] @ adjusted)
    stacked = np.array(parts)
    return Clustered(scores=np.array(scores), products=np.einsum("gni,hnj->ghij", stacked, stacked))
