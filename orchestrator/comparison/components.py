"""Where the variance comes from: the search, the training seed (`repeat`), or the rest. Pure.

Searches are drawn, trainings are drawn within a search, and every training is repeated at each level (the read-out
epochs of a method: the same seed and repeat give the same start and batches there). Levels are no source of variance:
their means are taken off. A balanced analysis of variance with two nested factors (Searle, Casella & McCulloch,
Variance Components, 1992, ch. 4): an estimate below zero is shown as 0.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from math import fsum

Place = tuple[Hashable, Hashable, Hashable]
"""(level, search, repeat)."""


@dataclass(frozen=True, kw_only=True)
class Components:
    """Variances, in squares of the metric's unit. With one level, training and rest are one: `rest` is None."""

    levels: int
    searches: int
    repeats: int
    search: float
    training: float
    rest: float | None

    @property
    def total(self) -> float:
        """Of one training of one search."""
        return self.search + self.training + (self.rest or 0.0)


def components(values: Mapping[Place, float]) -> Components | None:
    """Of values that fill every (level, search, repeat); what does not is left out. None below two of either.

    Searches count only where they have the repeats and levels that most searches have.
    """
    whole = _balanced(values)
    levels, searches, repeats = (list(dict.fromkeys(place[at] for place in whole)) for at in range(3))
    e, a, r = len(levels), len(searches), len(repeats)
    if a < 2 or r < 2:
        return None
    means = {level: fsum(whole[level, s, k] for s in searches for k in repeats) / (a * r) for level in levels}
    left = {place: value - means[place[0]] for place, value in whole.items()}
    by_training = {(s, k): fsum(left[level, s, k] for level in levels) / e for s in searches for k in repeats}
    by_search = {s: fsum(by_training[s, k] for k in repeats) / r for s in searches}
    between = e * r * fsum(value**2 for value in by_search.values()) / (a - 1)
    within = e * fsum((by_training[s, k] - by_search[s]) ** 2 for s, k in by_training) / (a * (r - 1))
    if e == 1:
        return Components(
            levels=e, searches=a, repeats=r, search=max(0.0, (between - within) / r), training=within, rest=None
        )
    rest = fsum((left[place] - by_training[place[1], place[2]]) ** 2 for place in left) / ((a * r - 1) * (e - 1))
    return Components(
        levels=e,
        searches=a,
        repeats=r,
        search=max(0.0, (between - within) / (e * r)),
        training=max(0.0, (within - rest) / e),
        rest=rest,
    )


def _balanced(values: Mapping[Place, float]) -> dict[Place, float]:
    """The values of those searches that have what most have of levels and repeats."""
    own: dict[Hashable, set[tuple[Hashable, Hashable]]] = {}
    for level, search, repeat in values:
        own.setdefault(search, set()).add((level, repeat))
    counts: dict[frozenset[tuple[Hashable, Hashable]], int] = {}
    for had in own.values():
        counts[frozenset(had)] = counts.get(frozenset(had), 0) + 1
    full = [
        (n, len(had), had)
        for had, n in counts.items()
        if len(had) == len({level for level, _ in had}) * len({repeat for _, repeat in had})
    ]
    if not full:
        return {}
    chosen = max(full, key=lambda one: (one[0], one[1]))[2]
    return {place: value for place, value in values.items() if frozenset(own[place[1]]) == chosen}
