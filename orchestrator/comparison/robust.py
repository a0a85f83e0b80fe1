"""Means that no single run moves far, after rliable (Agarwal et al., NeurIPS 2021); runs are resampled within tasks.

The interquartile mean is of all runs of all tasks together; a performance profile and a probability of improvement are
means over tasks. Intervals are percentiles of a stratified bootstrap: the tasks stay, the runs of each are drawn anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.comparison.effects import improvement
from orchestrator.tables.statistics import CONFIDENCE, Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLED = 2000
"""Draws of a bootstrap: its percentiles are then known to about half a percent of coverage."""
AT_ONCE, FEWEST = 5_000_000, 100
"""So many numbers are drawn at most for one interval, and so many times at least: of very many runs it is narrow."""
TRIMMED = 0.25
SEED = 20211
LEAST_FOR_BOOTSTRAP = 2

Runs = Mapping[str, Sequence[float]]
"""Task → the values of its runs."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval; None where too few runs say anything of how it varies."""

    value: float
    interval: Interval | None


def interquartile_mean(runs: Runs) -> Estimate | None:
    """The mean of the middle half of all runs; None where there is none."""
    import numpy as np
    from scipy import stats

    arrays = [np.asarray(values, dtype=float) for values in runs.values() if values]
    if not arrays:
        return None
    value = float(stats.trim_mean(np.concatenate(arrays), TRIMMED))
    if min(map(len, arrays)) < LEAST_FOR_BOOTSTRAP:
        return Estimate(value=value, interval=None)
    random = np.random.default_rng(SEED)
    draws = _draws(sum(map(len, arrays)))
    drawn = np.concatenate([one[random.integers(0, len(one), (draws, len(one)))] for one in arrays], axis=1)
    return Estimate(value=value, interval=_percentiles(stats.trim_mean(drawn, TRIMMED, axis=1)))


def improvement_over(first: Runs, second: Runs, *, paired: bool, up: bool) -> Estimate | None:
    """The probability that a run of the first beats one of the second, mean over the tasks that both have.

    `paired`: the runs of a task belong together in their order, and are drawn together.
    """
    import numpy as np

    tasks = [task for task in first if first[task] and second.get(task)]
    if not tasks:
        return None
    sides = [(first[task], second[task]) for task in tasks]
    value = sum(improvement(one, two, up=up) for one, two in sides) / len(sides)
    if any(min(len(one), len(two)) < LEAST_FOR_BOOTSTRAP for one, two in sides):
        return Estimate(value=value, interval=None)
    random = np.random.default_rng(SEED)
    draws = _draws(max(max(len(one), len(two)) for one, two in sides))
    found = np.zeros(draws)
    for one, two in sides:
        here, there = (np.asarray(side, dtype=float) * (1.0 if up else -1.0) for side in (one, two))
        places = random.integers(0, len(here), (draws, len(here)))
        others = places if paired else random.integers(0, len(there), (draws, len(there)))
        found += _beaten(here, there, places, others) / (2 * len(here) * len(there))
    return Estimate(value=value, interval=_percentiles(found / len(sides)))


def _beaten(
    here: NDArray[np.float64], there: NDArray[np.float64], places: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each draw how often a drawn run of `here` beats one of `there`, twice over: a tie counts one.

    places, others: draws × runs, which runs each draw holds. Of few runs all draws at once, else each by sorting.
    """
    import numpy as np

    if len(places) * len(here) * len(there) <= AT_ONCE:
        won = np.greater.outer(here, there).astype(np.int64) + np.greater_equal.outer(here, there)
        return np.asarray(won[places[:, :, None], others[:, None, :]].sum(axis=(1, 2)))
    found = np.zeros(len(places), dtype=np.int64)
    for number, (own, theirs) in enumerate(zip(places, others, strict=True)):
        drawn, ordered = here[own], np.sort(there[theirs])
        found[number] = np.searchsorted(ordered, drawn).sum() + np.searchsorted(ordered, drawn, side="right").sum()
    return found


def profile(runs: Runs, at: Sequence[float]) -> list[float]:
    """For each of these scores the share of runs above it, mean over tasks (a performance profile)."""
    import numpy as np

    told = [np.asarray(values, dtype=float) for values in runs.values() if values]
    return [float(np.mean([np.mean(values > score) for values in told])) for score in at]


def profile_band(runs: Runs, at: Sequence[float]) -> list[Interval]:
    """The 95 % interval of each of these shares."""
    import numpy as np

    random = np.random.default_rng(SEED)
    told = [np.asarray(values, dtype=float) for values in runs.values() if values]
    edges = np.asarray(at, dtype=float)
    draws = _draws(max(map(len, told)))
    shares = np.zeros((draws, len(edges)))
    for values in told:
        drawn = np.sort(values[random.integers(0, len(values), (draws, len(values)))], axis=1)
        for number, one in enumerate(drawn):
            shares[number] += 1.0 - np.searchsorted(one, edges, side="right") / len(values)
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(shares / len(told), [tail, 100.0 - tail], axis=0)
    return [Interval(low=float(one), high=float(two)) for one, two in zip(low, high, strict=True)]


def _draws(runs: int) -> int:
    """How many draws of so many runs."""
    return max(FEWEST, min(RESAMPLED, AT_ONCE // max(1, runs)))


def _percentiles(found: NDArray[np.float64]) -> Interval:
    import numpy as np

    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(found, [tail, 100.0 - tail])
    return Interval(low=float(low), high=float(high))
