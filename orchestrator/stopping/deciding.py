"""What a look at the first n seeds of each side says: the numbers, and whether the rule goes on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import fsum, isfinite, sqrt

from msgspec.structs import replace

from db.stopping import DECIDED, FUTILE, GOES_ON, OPPOSITE, PRECISE, UNDECIDED, Look, Rule
from orchestrator.stopping import betting
from orchestrator.stopping.flips import Flips
from orchestrator.stopping.spending import ALPHA, boundaries, spent
from orchestrator.tables import statistics

FUTILE_BELOW = 0.1
"""Conditional power below which a rule with `or futile` ends."""


def decide(rule: Rule, values: Sequence[Sequence[float]], at: datetime) -> Look:
    """The look at these values: of each side those of the seeds 0 … n - 1, in their order.

    Raises ValueError where n is no look of the rule, or the sides have not as many.
    """
    look = judge(rule, values, at)
    return look if look.verdict == GOES_ON or rule.margin is not None else _with_interval(rule, values, look)


def judge(rule: Rule, values: Sequence[Sequence[float]], at: datetime) -> Look:
    """The same without the interval of a comparison, which takes longer than all the rest."""
    n = len(values[0])
    if n not in rule.looks or any(len(side) != n for side in values):
        raise ValueError(f"{n} seeds are no look of this rule")
    look = _precise(rule, values[0], at) if rule.margin is not None else _compared(rule, values, at)
    if look.verdict != GOES_ON:
        return look
    if n == rule.looks[-1]:
        return replace(look, verdict=UNDECIDED)
    return replace(look, seeds=rule.looks[rule.looks.index(n) + 1])


def _precise(rule: Rule, values: Sequence[float], at: datetime) -> Look:
    """Whether the 95 % t-interval of the mean is within the margin."""
    n, mean, spread = len(values), statistics.mean(values), statistics.deviation(values)
    look = Look(study=rule.study, n=n, verdict=GOES_ON, mean=mean, at=at)
    if spread is None or statistics.constant(values, values):
        return replace(look, why="the values do not vary")
    half = statistics.half_width(spread / sqrt(n), n - 1)
    if half is None:
        return look
    verdict = PRECISE if rule.margin is not None and half <= rule.margin else GOES_ON
    return Look(study=rule.study, n=n, verdict=verdict, mean=mean, low=mean - half, high=mean + half, at=at)


def _compared(rule: Rule, values: Sequence[Sequence[float]], at: datetime) -> Look:
    first, second = values
    differences = [a - b for a, b in zip(first, second, strict=True)]
    if not all(map(isfinite, differences)):
        return Look(study=rule.study, n=len(first), verdict=GOES_ON, why="a difference is beyond all floats", at=at)
    mean = statistics.mean(differences)
    if statistics.constant(differences, [*first, *second]):
        why = "the differences do not vary"
        return Look(study=rule.study, n=len(first), verdict=GOES_ON, mean=mean, why=why, at=at)
    if rule.anytime:
        p, level = min(1.0, 1.0 / betting.evidence(differences)), ALPHA
    else:
        p, level = _flips(rule, differences).p(), spent(len(differences) / rule.at_most)
    look = Look(study=rule.study, n=len(first), verdict=GOES_ON, p=p, bound=level, mean=mean, at=at)
    if p <= level:
        return replace(look, verdict=DECIDED if (mean < 0) == rule.less else OPPOSITE)
    if rule.futile and len(first) < rule.at_most and conditional_power(rule, differences) < FUTILE_BELOW:
        return replace(look, verdict=FUTILE)
    return look


def _with_interval(rule: Rule, values: Sequence[Sequence[float]], look: Look) -> Look:
    """With the differences that the test of this look would not reject: what stopping early does is in it."""
    if look.p is None or look.bound is None:
        return look
    differences = [a - b for a, b in zip(*values, strict=True)]
    found = betting.interval(differences, ALPHA) if rule.anytime else _flips(rule, differences).interval()
    return look if found is None else replace(look, low=found.low, high=found.high)


def _flips(rule: Rule, differences: Sequence[float]) -> Flips:
    n = len(differences)
    return Flips(differences, [look for look in rule.looks if look <= n], rule.at_most)


def conditional_power(rule: Rule, differences: Sequence[float]) -> float:
    """How likely the last look decides if what was seen so far goes on (Lan & Wittes, Biometrics 44, 1988)."""
    from scipy import stats

    share, largest = len(differences) / rule.at_most, max(map(abs, differences))
    scaled = [one / largest for one in differences]
    z = abs(fsum(scaled)) / sqrt(fsum(one * one for one in scaled))
    last = boundaries(tuple(look / rule.at_most for look in rule.looks))[-1]
    drift, left = z / sqrt(share), sqrt(1.0 - share)
    return float(stats.norm.sf((last - drift) / left) + stats.norm.cdf((-last - drift) / left))
