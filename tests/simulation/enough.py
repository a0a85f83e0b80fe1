"""Simulated studies under a rule: what a pair of runs is, and how one study goes. Every number is drawn from a seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import sqrt
from typing import Any

import numpy as np
from scipy import stats

from db.registered import Seed
from db.stopping import DECIDED, GOES_ON, OPPOSITE, PRECISE, Rule, Side
from orchestrator.stopping.betting import LARGEST, STAKES
from orchestrator.stopping.deciding import FUTILE_BELOW, conditional_power, judge
from orchestrator.stopping.flips import Flips
from orchestrator.stopping.planning import plan
from orchestrator.stopping.spending import ALPHA
from orchestrator.supervision.batches import values

AT = datetime(2026, 11, 26, tzinfo=UTC)
Draw = Callable[[np.random.Generator, int], tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]


def _normal(effect: float) -> Draw:
    """Differences of standard deviation 1: a seed's own share is common to both sides."""

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        seeds, half = rng.normal(0, 1, n), sqrt(0.5)
        return 90 + seeds + rng.normal(0, half, n) + effect, 90 + seeds + rng.normal(0, half, n)

    return draw


def _skewed(effect: float) -> Draw:
    """Runs with a long tail of bad ones; the sides are exchangeable but for the effect."""
    return lambda rng, n: (95 - rng.exponential(sqrt(0.5), n) + effect, 95 - rng.exponential(sqrt(0.5), n))


def _tied(effect: float) -> Draw:
    """Accuracies on few test images: hits of 40, many pairs tie."""
    return lambda rng, n: (rng.binomial(40, 0.9 + effect, n) / 0.4, rng.binomial(40, 0.9, n) / 0.4)


def _wild(effect: float) -> Draw:
    return lambda rng, n: (rng.standard_t(1.5, n) + effect, rng.standard_t(1.5, n))


def _one_sided(effect: float) -> Draw:
    """Not exchangeable: the differences have mean zero and are skewed."""
    return lambda rng, n: (90 + rng.exponential(1.0, n) - 1.0 + effect, np.full(n, 90.0))


NULL: Mapping[str, Draw] = {
    "normal": _normal(0), "skewed": _skewed(0), "tied": _tied(0), "wild": _wild(0), "one-sided": _one_sided(0)
}  # fmt: skip
EFFECTS: Mapping[str, Draw] = {
    "normal 0.5": _normal(0.5), "normal 0.8": _normal(0.8), "normal 1.2": _normal(1.2), "skewed 0.8": _skewed(0.8),
    "tied 4 %": _tied(0.04),
}  # fmt: skip


def rule(at_most: int, *, futile: bool = False, anytime: bool = False, margin: float | None = None) -> Rule:
    sides = (Side("a", 1), Side("b", 2))[: 1 if margin is not None else 2]
    looks = plan(at_most, margin=margin is not None, futile=futile, anytime=anytime)
    return Rule(
        study="s", text="a > b on m", metric="m", sides=sides, margin=margin, futile=futile, anytime=anytime,
        at_most=at_most, looks=looks, at=AT,
    )  # fmt: skip


@dataclass
class Tally:
    """What became of many studies."""

    studies: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    seeds: int = 0
    fixed: int = 0
    """Studies that the paired t-test with all seeds, looked at once, would decide."""
    covered: int = 0
    """± rules that ended precise, whose interval holds the true mean."""

    @property
    def decided(self) -> float:
        """The share that was decided, either way; under the null: falsely."""
        return (self.verdicts[DECIDED] + self.verdicts[OPPOSITE]) / self.studies

    def line(self) -> str:
        shares = {word: 100 * self.verdicts[word] / self.studies for word in ("futile", "held") if self.verdicts[word]}
        futile = "".join(f", {share:.1f} % {word}" for word, share in shares.items())
        return (
            f"{100 * self.decided:.2f} % decided{futile}, {self.seeds / self.studies:.1f} seeds a side "
            f"(the t-test with all of them: {100 * self.fixed / self.studies:.1f} %)"
        )


def arrivals(rng: np.random.Generator, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """When each run has its number: bad runs end early, some fail and are run again, once or more."""
    times = rng.exponential(1.0, len(values)) + stats.rankdata(values) / len(values)
    return times + rng.exponential(2.0, len(values)) * rng.geometric(0.8, len(values)) * (rng.random(len(values)) < 0.2)


def study(plan: Rule, draw: Draw, seed: int, failing: float = 0.0) -> tuple[str, int, bool]:
    """(verdict, n, whether a t-test of all seeds would decide) of one study, as the supervisor goes on with it.

    Runs end in any order and some fail (`failing`: how many of the bad half for good, of which nobody retries one): a
    batch is looked at when all seeds up to its last have their number, whatever else is there. 'held': it never is.
    """
    rng = np.random.default_rng([20261126, seed])
    both = draw(rng, plan.at_most)
    ends = [arrivals(rng, side) for side in both]
    failed = [(rng.random(plan.at_most) < failing) & (side < np.median(side)) for side in both]
    differences = both[0] - both[1]
    fixed = bool(stats.ttest_1samp(differences, 0.0).pvalue <= 0.05) if np.ptp(differences) > 0 else False
    asked, before = plan.looks[0], 0
    there: dict[tuple[int, int], float] = {}
    while True:
        new = [(ends[side][n], side, n) for side in (0, 1) for n in range(before, asked) if not failed[side][n]]
        found = None
        for _, side, n in sorted(new):
            there[side, n] = float(both[side][n])
            if len(there) == 2 * asked:
                seeds = [Seed(side=place, seed=at, value=there[place, at]) for place in (0, 1) for at in range(asked)]
                found = judge(plan, values(seeds), AT)
        if found is None:
            return "held", asked, fixed
        if found.verdict != GOES_ON:
            return found.verdict, asked, fixed
        before, asked = asked, found.seeds


def at_once(plan: Rule, draw: Draw, seed: int) -> tuple[str, int, bool]:
    """The same verdict as `study` gives without failures, of a comparison by flips: computed once for all its looks."""
    rng = np.random.default_rng([20261126, seed])
    first, second = draw(rng, plan.at_most)
    differences = first - second
    if np.ptp(differences) == 0:
        return study(plan, draw, seed)
    fixed = bool(stats.ttest_1samp(differences, 0.0).pvalue <= 0.05)
    n, _ = Flips(differences.tolist(), plan.looks, plan.at_most).first()
    for look in plan.looks if plan.futile else ():
        some = differences[:look].tolist()
        if look >= (n or plan.at_most):
            break
        if np.ptp(some) > 0 and conditional_power(plan, some) < FUTILE_BELOW:
            return "futile", look, fixed
    if n is None:
        return "undecided", plan.at_most, fixed
    return DECIDED if differences[:n].mean() > 0 else OPPOSITE, n, fixed


def many(plan: Rule, draw: Draw, studies: int, go: Callable[[Rule, Draw, int], tuple[str, int, bool]] = study) -> Tally:
    """What becomes of so many studies."""
    tally = Tally(studies=studies)
    for seed in range(studies):
        verdict, n, fixed = go(plan, draw, seed)
        tally.verdicts[verdict] += 1
        tally.seeds += n
        tally.fixed += fixed
    return tally


def bets(plan: Rule, draw: Draw, studies: int) -> Tally:
    """What `many(plan, draw, studies)` says of an `--anytime` rule, all studies at once (stopping/betting.py)."""
    both = np.array([draw(np.random.default_rng([20261126, seed]), plan.at_most) for seed in range(studies)])
    every = both[:, 0] - both[:, 1]
    tally, going = Tally(studies=studies), np.ones(studies, dtype=np.bool_)
    varies = np.ptp(every, axis=1) > 0
    tally.fixed = int(np.count_nonzero(stats.ttest_1samp(every[varies], 0.0, axis=1).pvalue <= ALPHA))
    for n in plan.looks:
        some = every[:, :n]
        with np.errstate(all="ignore"):  # studies without any difference: their evidence is 1
            sizes = some / np.sqrt(np.cumsum(some * some, axis=1) / np.arange(1, n + 1))
        sizes = np.where(np.isfinite(sizes), sizes, 0.0)
        logs = [np.sum(sign * stake * sizes - np.logaddexp(stake * sizes, -stake * sizes) + np.log(2.0), axis=1)
                for stake in STAKES for sign in (1, -1)]  # fmt: skip
        evidence = np.mean(np.exp(np.minimum(logs, LARGEST)), axis=0)
        ends = going & (np.ptp(some, axis=1) > 0) & (evidence >= 1.0 / ALPHA)
        for word, these in ((DECIDED, some.mean(axis=1) > 0), (OPPOSITE, some.mean(axis=1) <= 0)):
            tally.verdicts[word] += int(np.count_nonzero(ends & these))
        tally.seeds += n * int(np.count_nonzero(ends))
        going &= ~ends
    tally.verdicts["undecided"] += int(np.count_nonzero(going))
    tally.seeds += plan.at_most * int(np.count_nonzero(going))
    return tally


def margins(margin: float, draw: Callable[[np.random.Generator, int], np.ndarray[Any, Any]], studies: int) -> Tally:
    """± rules on values of mean 0: how often the interval that was wanted holds it. All studies at once."""
    plan, tally = rule(30, margin=margin), Tally(studies=studies)
    every = np.array([draw(np.random.default_rng([20261127, seed]), plan.at_most) for seed in range(studies)])
    going = np.ones(studies, dtype=np.bool_)
    for n in plan.looks:
        some = every[:, :n]
        half = stats.t.ppf(0.975, n - 1) * some.std(axis=1, ddof=1) / sqrt(n)
        ends = going & (half <= margin)
        tally.verdicts[PRECISE] += int(np.count_nonzero(ends))
        tally.covered += int(np.count_nonzero(ends & (np.abs(some.mean(axis=1)) <= half)))
        tally.seeds += n * int(np.count_nonzero(ends))
        going &= ~ends
    tally.seeds += plan.at_most * int(np.count_nonzero(going))
    return tally


def margin_one_by_one(margin: float, values: np.ndarray[Any, Any]) -> tuple[str, int, bool]:
    """(verdict, n, whether the interval holds 0) of one study under a ± rule, as the supervisor judges it."""
    plan = rule(30, margin=margin)
    for n in plan.looks:
        found = judge(plan, [values[:n].tolist()], AT)
        if found.verdict != GOES_ON:
            break
    holds = found.low is not None and found.high is not None and found.low <= 0.0 <= found.high
    return found.verdict, n, holds
