"""How much of the 5 % may be spent by each look, so that all looks together are wrong that often at most. Pure.

Group-sequential boundaries by the spending function of Lan & DeMets (Biometrika 70, 1983) that is like O'Brien &
Fleming's, computed by the recursion of Armitage, McPherson & Rowe (J. R. Stat. Soc. A 132, 1969).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from math import inf, sqrt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA = 0.05
"""False decisions of a whole rule, on both sides together."""
NODES = 400
"""Of the Gauss-Legendre rule for what has not stopped yet."""
LEAST = 1e-13
"""What is spent below this is not worth a boundary: nothing can be decided at such a look."""


def spent(share: float, alpha: float = ALPHA) -> float:
    """How much of `alpha` (two-sided) may be spent once this share (0 < share <= 1) of the planned seeds is there."""
    from scipy import stats

    return 4.0 * float(stats.norm.sf(stats.norm.isf(alpha / 4.0) / sqrt(share)))


@lru_cache(maxsize=64)
def boundaries(shares: tuple[float, ...], alpha: float = ALPHA) -> tuple[float, ...]:
    """|z| from which each look decides; inf where nothing can. `shares` rise and end at 1 at most.

    Raises ValueError for shares that do not rise within (0, 1].
    """
    import numpy as np
    from scipy import optimize, stats

    if any(not 0.0 < share <= 1.0 for share in shares) or any(b <= a for a, b in pairwise(shares)):
        raise ValueError("the shares of the looks must rise within (0, 1]")
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    found: list[float] = []
    before, used = 0.0, 0.0
    places: NDArray[np.float64] = np.zeros(1)
    mass: NDArray[np.float64] = np.ones(1)
    for share in shares:
        step = sqrt(share - before)
        due = (spent(share, alpha) - used) / 2.0

        def crossing(bound: float, step: float = step, due: float = due, at: Any = places, of: Any = mass) -> float:
            return float(np.sum(of * stats.norm.sf((bound - at) / step))) - due

        bound = inf
        if due > LEAST:
            bound = float(optimize.brentq(crossing, 0.0, 12.0 * sqrt(share), xtol=1e-12))
            used = spent(share, alpha)
        found.append(bound / sqrt(share))
        edge = min(bound, 9.0 * sqrt(share))  # beyond that nothing is left to be seen in a float
        here = edge * nodes
        density = stats.norm.pdf((here[:, None] - places[None, :]) / step) / step
        places, mass = here, edge * weights * (density @ mass)
        before = share
    return tuple(found)
