"""Random points of a sweep: drawn once and for all by seed, name and number, so that more points keep the first. Pure.

The draw number i of a parameter is a function of (seed, name, i) alone (SHA-256 as a counter-based generator: Salmon
et al., SC 2011): it changes neither with n nor with the other parameters.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from jobs.commands import Parameter, parameter
from jobs.errors import BadInput
from orchestrator.studyfile.values import spelt

PATIENCE = 1000
"""Draws in a row that repeat earlier points: then the space is taken for exhausted."""


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Where a parameter's values come from: `low` to `high` (integers: both ends included), or one of `choices`."""

    how: Literal["uniform", "loguniform", "integers", "choice"]
    low: float = 0.0
    high: float = 1.0
    choices: Sequence[Parameter] = ()

    def value(self, share: float) -> Parameter:
        """The value at this share of the distribution, 0 ≤ share < 1."""
        if self.how == "choice":
            return self.choices[int(share * len(self.choices))]
        if self.how == "integers":
            return parameter(str(int(self.low) + int(share * (int(self.high) - int(self.low) + 1))))
        if self.how == "loguniform":
            low, high = math.log(self.low), math.log(self.high)
            return parameter(spelt(min(max(math.exp(low + share * (high - low)), self.low), self.high)))
        return parameter(spelt(self.low + share * (self.high - self.low)))


@dataclass(frozen=True, kw_only=True)
class Draws:
    """So many different points, each with one value per name."""

    n: int
    seed: int
    of: Mapping[str, Distribution]


def share(seed: int, name: str, number: int) -> float:
    """A number from 0 up to 1, 53 random bits, for that draw of that name."""
    digest = hashlib.sha256(f"{seed}/{number}/{name}".encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)


def draw(draws: Draws) -> list[dict[str, Parameter]]:
    """The first n different points. Raises BadInput where there are not so many."""
    found: dict[tuple[tuple[str, bool], ...], dict[str, Parameter]] = {}
    number = repeated = 0
    while len(found) < draws.n:
        point = {name: one.value(share(draws.seed, name, number)) for name, one in draws.of.items()}
        key = tuple((item.value, item.quoted) for item in point.values())
        repeated = repeated + 1 if key in found else 0
        if repeated > PATIENCE:
            raise BadInput(f"n = {draws.n} different points were asked for, and there are only {len(found)}: lower n")
        found.setdefault(key, point)
        number += 1
    return list(found.values())
