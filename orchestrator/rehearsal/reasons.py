"""Why a run is another one after resuming, told from the numbers and from what the checkpoint names. Pure.

A value that equals one of another epoch says most: what starts anew has the values of the first epoch again. Where
nothing is equal, the names in the checkpoint say what is not in it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import msgspec

History = Mapping[int, Mapping[str, float]]

_RATE = re.compile(r"(^|[/_.-])(lr|learning_?rate)([/_.-]|\d|$)", re.IGNORECASE)
_ORDER = re.compile(r"order|batch|sample|data|index|first_", re.IGNORECASE)
PARTS = {
    "optimiser state": re.compile(r"optim|momentum|exp_avg|velocity|adam"),
    "scheduler": re.compile(r"sched|last_lr|_step_count|learning_?rate|^lr$"),
    "random state": re.compile(r"rng|random|mt19937|pcg64|generator|philox"),
    "weights": re.compile(r"weight|model|net|param|state_dict|^w\d*$|theta|layer"),
}
MOST_NAMES = 8
OFF_BY_ONE = "the epoch counter in the checkpoint is off by one"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first value after resuming that is another one."""

    epoch: int
    metric: str
    wanted: float
    found: float


def shown(value: float) -> str:
    """A number in a sentence: four digits, as many more as two near numbers need come from `pair`."""
    return f"{value:.4g}"


def pair(wanted: float, found: float) -> str:
    """`0.4127 → 0.4139`, with as many digits as tell them apart."""
    for digits in range(4, 17):
        one, other = f"{wanted:.{digits}g}", f"{found:.{digits}g}"
        if one != other:
            return f"{one} → {other}"
    return f"{wanted!r} → {found!r}"


def first_difference(wanted: History, found: History, tolerance: Mapping[str, float]) -> Difference | None:
    """The first epoch, and of it the first metric, that is off by more than its tolerance.

    A learning rate goes before other metrics of its epoch: it says more than what follows from it.
    """
    for epoch in sorted(found):
        values = found[epoch]
        for name in sorted(values, key=lambda one: _RATE.search(one) is None):
            if (right := wanted.get(epoch, {}).get(name)) is not None and abs(values[name] - right) > tolerance.get(
                name, 0.0
            ):
                return Difference(epoch=epoch, metric=name, wanted=right, found=values[name])
    return None


def telling(difference: Difference, wanted: History, found: History, first: int) -> Difference:
    """Of the metrics that differ in that epoch the one that says most: it has the value of the epoch it would be if
    something began anew with the resume."""
    epoch = difference.epoch
    again = epoch - min(found) + first
    same = _equal_at(wanted, found, epoch, again) if again != epoch else []
    if not same or difference.metric in same:
        return difference
    right = wanted.get(epoch, {})
    name = next((one for one in same if one in right), None)
    if name is None:
        return difference
    return Difference(epoch=epoch, metric=name, wanted=right[name], found=found[epoch][name])


def likely(difference: Difference, wanted: History, found: History, names: Collection[str], first: int) -> str:
    """The likely reason, in words. `found`: the resumed execution's lines; `first`: the first epoch of a whole run.

    `names`: what the newest checkpoint names inside; none where it could not be read.
    """
    begins = min(found)
    epoch = difference.epoch
    best = _of_best(difference, wanted, found, first)
    if best:
        return best
    again = epoch - begins + first
    same = _equal_at(wanted, found, epoch, again)
    if again != epoch and same:
        return _anew(same, wanted.get(again, {}), again)
    for other in (epoch + 1, epoch - 1):
        near = _equal_at(wanted, found, epoch, other)
        if len(near) > 1 or (near and len(found[epoch]) == 1):
            return f"equal to the value of epoch {other}: {OFF_BY_ONE}"
    return not_in_it(names)


def _equal_at(wanted: History, found: History, epoch: int, other: int) -> list[str]:
    """Metrics whose value in the resumed run is that of another epoch, to the last bit, and would not be by chance."""
    right, values, there = wanted.get(epoch, {}), found[epoch], wanted.get(other, {})
    return [name for name in values if name in there and values[name] == there[name] != right.get(name)]


def _anew(same: Sequence[str], there: Mapping[str, float], again: int) -> str:
    said = f"equal to the value of epoch {again}"
    if len(same) == len(there) > 1:
        return f"{said}: the weights start anew (the checkpoint is not loaded into the model)"
    if any(_RATE.search(one) for one in same):
        return f"{said}: the learning rate starts anew (scheduler not in the checkpoint)"
    if any(_ORDER.search(one) for one in same):
        return f"{said}: the data order starts anew (sampler or RNG not in the checkpoint)"
    return f"{said}: the random numbers start anew (RNG not in the checkpoint)"


def not_in_it(names: Collection[str]) -> str:
    """What of the usual parts a checkpoint does not name."""
    words = [word for word in names if word.isidentifier() or "." in word]
    if not words:
        return "something that the training goes on with is not in the checkpoint"
    for part in ("optimiser state", "random state", "scheduler"):
        if not any(PARTS[part].search(word) for word in words):
            return f"no {part} in the checkpoint, by the names in it"
    return "something that the training goes on with is not in the checkpoint, though it names all of the usual parts"


def _of_best(difference: Difference, wanted: History, found: History, first: int) -> str:
    """Of a running best: it is the best since the resume only."""
    name, epoch = difference.metric, difference.epoch
    for pick, word in ((max, "highest"), (min, "lowest")):
        for other in found[epoch]:
            if other == name:
                continue
            whole = _running(pick, wanted, other, first, epoch)
            since = _running(pick, found, other, min(found), epoch)
            if whole == difference.wanted and since == difference.found:
                return f"the {word} {other} since the resume only: the best so far is not in the checkpoint"
    return ""


def _running(pick: object, lines: History, name: str, low: int, high: int) -> float | None:
    values = [lines[epoch][name] for epoch in sorted(lines) if low <= epoch <= high and name in lines[epoch]]
    return pick(values) if values and callable(pick) else None


def of_result(name: str, wanted: float, found: float, whole: History, since: History) -> str:
    """Why a result differs though every line is right. `since`: the lines after the resume, none where all was done."""
    for pick, word in ((max, "highest"), (min, "lowest")):
        for other in next(iter(whole.values()), {}):
            if _over(pick, whole, other) == wanted and (not since or _over(pick, since, other) == found):
                return f"the {word} {other} since the resume only: the best so far is not in the checkpoint"
    return f"what {name} is made of is not in the checkpoint"


def _over(pick: object, lines: History, name: str) -> float | None:
    return _running(pick, lines, name, min(lines), max(lines)) if lines else None
