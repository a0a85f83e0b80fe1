"""Evidence that may be looked at as often as one likes: a bet against "A and B are exchangeable in each pair". Pure.

Where the sides of a pair may be swapped, the sign of its difference is a fair coin, whatever its size: so
exp(s·|d|·l) / cosh(|d|·l) is 1 on average for any l that was chosen without seeing the sign s, and a product of such
factors is a fair game (Efron, J. Am. Stat. Assoc. 64, 1969; de la Peña, Ann. Probab. 27, 1999; Ramdas et al., 2020,
arXiv:2009.03167). By Ville's inequality it ever reaches 1/α in at most α of all studies, for any number of looks. Here
l is a stake over the root mean square of the differences so far, and both signs of each stake have an equal share.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cosh, exp, fsum, log, sqrt

from orchestrator.tables.statistics import Interval

STAKES = (0.5, 1.0, 2.0)
"""How large a true difference, in root mean squares, each share of the money is on."""
LARGEST = 700.0
"""Beyond this an exponential leaves the floats."""
STEPS, FARTHEST = 60, 1e3


def evidence(differences: Sequence[float]) -> float:
    """The e-value of these differences in their order: 1 says nothing, 20 is p = 0.05 at any time."""
    logs = [0.0] * (2 * len(STAKES))
    square = 0.0
    largest = max((abs(one) for one in differences), default=0.0)
    if largest == 0.0:
        return 1.0
    for n, difference in enumerate(differences, 1):
        one = difference / largest  # a common scale changes nothing, and no square leaves the floats
        square += one * one
        if square == 0.0:  # so small beside the largest that it is none
            continue
        size = one / sqrt(square / n)
        for place, stake in enumerate(STAKES):
            x = stake * size
            fair = log(cosh(min(abs(x), LARGEST))) + max(0.0, abs(x) - LARGEST)
            logs[2 * place] += x - fair
            logs[2 * place + 1] -= x + fair
    return fsum(exp(min(one, LARGEST)) for one in logs) / len(logs)


def interval(differences: Sequence[float], alpha: float) -> Interval | None:
    """The shifts against which there is no evidence of 1/alpha; None where there is none against any that far out.

    Valid at any time, as the evidence is.
    """
    n, bar = len(differences), 1.0 / alpha
    middle = fsum(one / n for one in differences)
    width = max(differences) - min(differences)
    if not width > 0.0:
        return None
    ends = []
    for side in (-1.0, 1.0):
        reach = 0.5
        while _against(differences, middle + side * reach * width) < bar:
            reach *= 2.0
            if reach > FARTHEST:
                return None
        inner, outer = 0.0, reach
        for _ in range(STEPS):
            half = (inner + outer) / 2.0
            if _against(differences, middle + side * half * width) < bar:
                inner = half
            else:
                outer = half
        ends.append(middle + side * outer * width)
    return Interval(low=ends[0], high=ends[1])


def _against(differences: Sequence[float], shift: float) -> float:
    return evidence([one - shift for one in differences])
