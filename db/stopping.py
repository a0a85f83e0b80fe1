"""Entries of rules that say when a study has enough seeds (`orch submit --until`): the rule, and each look by it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

GOES_ON = "goes on"
DECIDED, OPPOSITE = "decided", "opposite"
"""The difference that the rule names was shown, or the opposite one."""
PRECISE = "precise"
FUTILE = "futile"
UNDECIDED = "undecided"
"""The planned maximum was reached without a decision."""
REPLACED, BY_HAND = "replaced", "stopped by hand"

Count = Annotated[int, msgspec.Meta(ge=0)]


class Side(msgspec.Struct, frozen=True, array_like=True):
    """One side of a comparison: what a person calls it, and its first job, which the others are like but for a seed."""

    name: str
    job: int


class Rule(msgspec.Struct, frozen=True, kw_only=True, tag="rule", omit_defaults=True):
    """What was registered: later seeds of the sides are asked for, and looked at, as it says. One a study."""

    study: str
    text: str
    """As the person wrote it."""
    metric: str
    sides: tuple[Side, ...]
    """The two that are compared, or the one whose mean is wanted within `margin`."""
    less: bool = False
    """The first side was expected below the second."""
    margin: float | None = None
    """± so much of the mean of the one side, in units of the metric."""
    futile: bool = False
    """It ends, too, where the planned maximum is unlikely to show a difference."""
    anytime: bool = False
    at_most: Annotated[int, msgspec.Meta(ge=1)]
    """Seeds a side, 0 … at_most - 1."""
    looks: tuple[Count, ...]
    """After so many seeds a side it is looked; the last one is at_most."""
    before: Count = 0
    """How many results its sides had when it was registered."""
    at: datetime


class Look(msgspec.Struct, frozen=True, kw_only=True, tag="look", omit_defaults=True):
    """A look at the first `n` seeds of each side, and what followed."""

    study: str
    n: Count
    verdict: str
    p: float | None = None
    """Two-sided, with all looks so far in it; with `anytime` however often it is looked. None: no test."""
    bound: float | None = None
    """The largest p that decides at this look: what may be spent by then."""
    mean: float | None = None
    """Of the differences, first less second; of a `margin` of the values."""
    low: float | None = None
    high: float | None = None
    """The 95 % interval, adjusted for stopping; None where it has no end."""
    seeds: Count = 0
    """So many seeds a side are asked for from now on; 0: no more."""
    why: str = ""
    at: datetime
