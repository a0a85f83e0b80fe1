"""The exact sequential test of pairs: within each pair A and B might as well have been swapped. Pure.

Fisher's sign-flip test, looked at several times. Of all ways to flip the signs of the differences, those are taken out
at each look whose sum is largest, as many as the spending function allows so far; the real one decides where it is
among them. Given how large the differences are, each way is equally likely, so that at most α of all studies decide
falsely: for any distribution of the runs, any n, and ties, where only the sides of a pair are exchangeable.

Up to GENERATORS pairs these are all 2^n ways; beyond that a group of 2^GENERATORS of them, for which the same holds
exactly (Hemerik & Goeman, TEST 27, 2018): each later pair is flipped as a fixed half of the first ones says.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import copysign, frexp, ldexp
from sys import float_info
from typing import TYPE_CHECKING, Any

from orchestrator.stopping.spending import spent
from orchestrator.tables import statistics
from orchestrator.tables.statistics import Interval, constant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GENERATORS = 14
SEED = 20261126
FEW = 64
ROUNDING = 1e-12
"""Sums that differ by less than this share of all are one sum: tied values must tie."""
STEPS, CLOSE = 60, 1e-6
"""An interval's end is found to this share of the spread of the differences."""


@lru_cache(maxsize=4)
def _signs(n: int) -> Any:
    """2^min(n, GENERATORS) × n: the ways to flip, +1 and -1. The first row flips nothing."""
    import numpy as np

    free = min(n, GENERATORS)
    bits = (np.arange(2**free)[:, None] >> np.arange(free)) & 1
    which = np.random.default_rng(SEED).integers(0, 2, size=(max(n - free, 0), free))  # row by row: a prefix of more
    flips = np.concatenate([bits, (bits @ which.T) & 1], axis=1)
    return (1 - 2 * flips).astype(np.float64 if n <= FEW else np.int8)  # floats are faster, and eight times as large


class Flips:
    """The differences of n pairs, of at most `most`, that were looked at after each of `looks` (the last one: n)."""

    def __init__(self, differences: Sequence[float], looks: Sequence[int], most: int) -> None:
        """Raises ValueError without differences, or where the last look is not at all of them."""
        import numpy as np

        if not differences or looks[-1] != len(differences):
            raise ValueError("the last look is at all pairs")
        self.power = frexp(max(abs(one) for one in differences))[1]
        """The values are held over this power of two, exactly, so that no sum of them leaves the floats."""
        self.values: NDArray[np.float64] = np.ldexp(np.asarray(differences, dtype=np.float64), -self.power)
        self._looks = looks
        self._spent = [spent(look / most) for look in looks]

    def p(self, shift: float = 0.0) -> float:
        """The share of all ways to flip the differences less `shift` that were taken out before this look, or are as
        far from 0 as the real one is: it decides from what is spent so far down. Of one that had decided before: then.
        """
        return self.first(shift)[1]

    def first(self, shift: float = 0.0) -> tuple[int | None, float]:
        """The n at which it is decided, None where at none, and that p: as if it had been looked at all looks."""
        import numpy as np

        moved = self.values - shift
        slack = ROUNDING * float(np.abs(moved).sum())
        signs = _signs(len(moved))
        sums, alive = np.zeros(len(signs)), np.ones(len(signs), dtype=np.bool_)
        gone, before, share = 0, 0, 1.0
        for look, allowed in zip(self._looks, self._spent, strict=True):
            sums += signs[:, before:look] @ moved[before:look]
            before = look
            far = np.where(alive, np.abs(sums), -1.0)
            share = (gone + int(np.count_nonzero(far >= far[0] - slack))) / len(signs)
            if share <= allowed:
                return look, share
            room = int(allowed * len(signs) + ROUNDING) - gone
            if room > 0:
                edge = float(np.partition(far, len(far) - room - 1)[len(far) - room - 1])
                out = far > edge + slack
                gone += int(np.count_nonzero(out))
                alive &= ~out
        return None, share

    def interval(self) -> Interval | None:
        """The shifts that this test has not rejected by now; None where it rejects none that far out."""
        values = [float(one) for one in self.values]
        if constant(values, values):
            return None
        middle, width = statistics.mean(values), max(values) - min(values)
        ends = []
        for outer in (min(values) - width, max(values) + width):
            if not self._rejects(outer):
                return None
            inner = middle
            for _ in range(STEPS):
                half = (inner + outer) / 2.0
                if self._rejects(half):
                    outer = half
                else:
                    inner = half
                if abs(inner - outer) <= CLOSE * width:
                    break
            ends.append(outer)
        return Interval(low=_unscaled(ends[0], self.power), high=_unscaled(ends[1], self.power))

    def _rejects(self, shift: float) -> bool:
        return self.first(shift)[0] is not None


def _unscaled(value: float, power: int) -> float:
    """`value` times 2^power; the largest float where that is larger than any."""
    try:
        return ldexp(value, power)
    except OverflowError:
        return copysign(float_info.max, value)
