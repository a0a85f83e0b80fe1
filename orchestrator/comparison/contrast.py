"""One side beside another: the difference, its test, its size, and what so many seeds could have shown. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt

from orchestrator.comparison import effects, power, robust
from orchestrator.comparison.effects import Effect, Equivalence
from orchestrator.comparison.robust import Estimate
from orchestrator.tables import statistics
from orchestrator.tables.statistics import Comparison, Interval

LEVEL = 0.05
LARGEST, FINEST = 1e100, 1e-100
"""Beyond these a square leaves the range of floats: the difference is told, and no test."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one side measured: the values of its independent draws, and what each shares with the other side."""

    name: str
    values: tuple[float, ...]
    keys: tuple[Hashable, ...]
    """For each value its pair key, as a seed; None for none."""

    def by_key(self) -> Mapping[Hashable, float]:
        """The values of keys that one draw alone has."""
        found: dict[Hashable, list[float]] = {}
        for key, value in zip(self.keys, self.values, strict=True):
            if key is not None:
                found.setdefault(key, []).append(value)
        return {key: same[0] for key, same in found.items() if len(same) == 1}


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """`first` less `second`. Units are the metric's; what cannot be told is None."""

    first: str
    second: str
    task: str = ""
    """The data set (or another task) that it is of, where there are several."""
    n_first: int
    n_second: int
    pairs: int
    """So many pairs were compared; 0: the sides were compared unpaired."""
    difference: float
    interval: Interval | None = None
    """95 %."""
    test: str = ""
    """'paired t', 'Welch t', or 't of slopes'; empty where nothing varies or a side has too few values."""
    statistic: float | None = None
    df: float | None = None
    p: float | None = None
    """Two-sided."""
    holm: float | None = None
    """The p adjusted by Holm over the comparisons of its table."""
    smallest: float | None = None
    """The smallest true difference that this n finds with power 0.8, at the level of Holm's first step."""
    needed: int | None = None
    """So many seeds a side would find the seen difference with power 0.8; None: over a million, or no difference."""
    effect: Effect | None = None
    better: Estimate | None = None
    """The probability that a run of the first is better than one of the second."""
    equivalence: Equivalence | None = None
    correlation: float | None = None
    """Of the pairs: near zero the seeds share nothing, and pairing gains nothing."""
    unit: str = "seeds"
    """What is drawn: n counts these."""
    values: tuple[tuple[float, ...], tuple[float, ...]] = field(default=((), ()))
    """What was compared; of pairs in one order."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Comparisons that are adjusted together: one table."""

    title: str
    metric: str
    contrasts: tuple[Contrast, ...]
    notes: tuple[str, ...] = ()
    digits: int = 2


def contrast(
    first: Sample,
    second: Sample,
    *,
    paired: bool = True,
    up: bool = True,
    margin: float | None = None,
    tests: int = 1,
    task: str = "",
) -> Contrast | None:
    """Compare two sides; by pairs where they share two keys or more. None where a side has no value.

    `tests`: how many are adjusted together. `up`: whether a higher value is better.
    """
    if not first.values or not second.values:
        return None
    here, there = first.by_key(), second.by_key()
    shared = sorted((key for key in here if key in there), key=repr) if paired else []
    by_pairs = len(shared) >= 2
    one = tuple(here[key] for key in shared) if by_pairs else first.values
    two = tuple(there[key] for key in shared) if by_pairs else second.values
    deviations = statistics.deviation(one) or 0.0, statistics.deviation(two) or 0.0
    tame = max(map(abs, (*one, *two))) <= LARGEST and all(spread == 0 or spread >= FINEST for spread in deviations)
    tested = None if not tame else statistics.paired_t(one, two) if by_pairs else statistics.welch_t(one, two)
    level = LEVEL / max(1, tests)
    found = Contrast(
        first=first.name,
        second=second.name,
        task=task,
        n_first=len(one),
        n_second=len(two),
        pairs=len(shared) if by_pairs else 0,
        difference=tested.difference if tested else statistics.mean(one) - statistics.mean(two),
        effect=effects.effect(one, two, paired=by_pairs) if tame else None,
        better=robust.improvement_over({"": one}, {"": two}, paired=by_pairs, up=up),
        correlation=_correlation(one, two, *deviations) if by_pairs and tame else None,
        values=(one, two),
    )
    if tested is None or tested.p is None or tested.df is None:
        return found
    return _tested(found, tested, by_pairs, level, margin, deviations)


def _tested(
    found: Contrast,
    tested: Comparison,
    by_pairs: bool,
    level: float,
    margin: float | None,
    deviations: tuple[float, float],
) -> Contrast:
    df = tested.df or 0.0
    one, two = deviations
    if by_pairs:
        spread = statistics.deviation([a - b for a, b in zip(*found.values, strict=True)]) or 0.0
        error = spread / sqrt(found.pairs)
        needed = power.needed_pairs(found.difference, spread, level) if found.difference else None
    else:
        error = sqrt(one**2 / found.n_first + two**2 / found.n_second)
        needed = power.needed_a_side(found.difference, one, two, level) if found.difference else None
    return replace(
        found,
        interval=tested.interval,
        test="paired t" if by_pairs else "Welch t",
        statistic=tested.statistic,
        df=df,
        p=tested.p,
        smallest=power.smallest(error, df, level),
        needed=needed,
        equivalence=effects.equivalence(found.difference, error, df, margin) if margin and error > 0 else None,
    )


def adjusted(contrasts: Sequence[Contrast]) -> tuple[Contrast, ...]:
    """With p adjusted by Holm over all of them."""
    found = statistics.holm([one.p for one in contrasts])
    return tuple(replace(one, holm=holm) for one, holm in zip(contrasts, found, strict=True))


def _correlation(first: Sequence[float], second: Sequence[float], one: float, two: float) -> float | None:
    """Pearson's r; None where a side does not vary, or two pairs alone are there."""
    if len(first) < 3 or one == 0 or two == 0:
        return None
    middle, other = statistics.mean(first), statistics.mean(second)
    shared = sum((a - middle) * (b - other) for a, b in zip(first, second, strict=True))
    return shared / ((len(first) - 1) * one * two)
