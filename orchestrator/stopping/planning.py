"""After how many seeds a rule looks: planned before the first, so that nothing that arrives can move a look. Pure."""

from __future__ import annotations

from jobs.errors import BadInput
from orchestrator.stopping.betting import STAKES
from orchestrator.stopping.flips import GENERATORS
from orchestrator.stopping.spending import ALPHA, spent

FIRST = 5
"""No decision before so many seeds a side."""
LOOKS = 10
MOST = 1000
"""Seeds a side."""


def smallest_p(n: int) -> float:
    """The smallest two-sided p that n pairs can have: all of them on one side."""
    return float(2.0 ** (1 - min(n, GENERATORS)))


def largest_evidence(n: int) -> float:
    """About the largest e-value that n pairs can have: all on one side, and of one size."""
    from math import cosh, exp

    return sum((exp(stake) / cosh(stake)) ** n for stake in STAKES) / (2 * len(STAKES))


def plan(at_most: int, *, margin: bool = False, futile: bool = False, anytime: bool = False) -> tuple[int, ...]:
    """The n of each look: about ten, equally far from each other, none where nothing could be decided.

    Raises BadInput for a maximum that could decide nothing.
    """
    if not 1 <= at_most <= MOST:
        raise BadInput(f"--at-most (at_most) must be from {FIRST} to {MOST} seeds a side (got {at_most})")
    step = -(-at_most // LOOKS)
    looks = [n for n in range(step, at_most, step) if n >= FIRST] + [at_most]
    if at_most < FIRST:
        looks = []
    elif anytime and not margin:
        looks = [n for n in looks if largest_evidence(n) * ALPHA >= 1.0]
    elif not margin:
        able = [n for n in looks if smallest_p(n) <= spent(n / at_most)]
        looks = (looks if futile else able) if able else []
    if not looks:
        least = next(n for n in range(FIRST, MOST) if n > at_most and _decides(n, margin=margin, anytime=anytime))
        raise BadInput(
            f"--at-most (at_most) {at_most} can decide nothing, whatever the numbers are: it takes {least} seeds a side"
        )
    return tuple(looks)


def _decides(n: int, *, margin: bool, anytime: bool) -> bool:
    if margin:
        return n >= FIRST
    return largest_evidence(n) * ALPHA >= 1.0 if anytime else smallest_p(n) <= ALPHA
