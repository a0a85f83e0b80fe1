"""What one run of a rehearsal left behind: its executions, their metric lines, and where it was disturbed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

_CLOCK = re.compile(
    r"(^|[/_.\s-])(times?|timestamp|seconds?|secs?|minutes|hours|runtime|duration|elapsed|latency|eta|throughput|speed|"
    r"per_second|per_sec|fps|memory|mem|gpu_hours)([/_.\s-]|$)|_s$|_ms$",
    re.IGNORECASE,
)
Values = Mapping[str, float]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One metric line: `at` in seconds since the run was begun; numbers that are finite."""

    epoch: int
    epochs: int = 0
    at: float
    values: dict[str, float]


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint was written to its end: when (seconds since the run was begun), and the file's name."""

    at: float
    name: str


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. Times are seconds since the run was begun."""

    began: float
    lines: tuple[Line, ...] = ()
    saves: tuple[Saved, ...] = ()
    ending: str = ""
    """success, failure or interrupted; empty: it wrote no outcome."""
    error: str = ""
    found: bool = False
    """Whether it was handed a checkpoint folder with something in it."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A disturbance as it was carried out, in seconds since the run was begun."""

    at: float
    how: str = ""
    """What was done in detail, as words."""
    in_place: str = ""
    """The checkpoint file that is written under its final name, where that was seen."""
    outlived: bool = False
    """It was told to stop and went on."""
    names: tuple[str, ...] = ()
    """What the newest checkpoint names inside (contents.py)."""
    stretch: int = 0
    """Which execution it struck."""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """A run to its end."""

    name: str
    seed: int
    state: str
    """succeeded, failed, or what it was when nothing moved any more."""
    error: str = ""
    stretches: tuple[Stretch, ...] = ()
    result: dict[str, float] = {}
    hit: Hit | None = None
    missed: str = ""
    """Why the disturbance could not be carried out."""
    seconds: float = 0.0


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """The undisturbed runs: epoch → values of the first one, and by how much two of them differ."""

    lines: dict[int, dict[str, float]]
    result: dict[str, float]
    noise: dict[str, float]
    """Metric → how far a value may be off: NOISE_FACTOR × the largest difference of two undisturbed runs; 0: none."""
    measured: dict[str, float]
    """The largest differences themselves."""
    left_out: tuple[str, ...] = ()
    """Metrics that tell times, speeds or memory: no two runs agree on them."""
    repeated: frozenset[int] = frozenset()
    """Epochs that the undisturbed run itself reports more than once."""
    per_epoch: int = 0
    """Files that are saved in each epoch; 0 where that differs."""
    pace: float = 0.0
    """Seconds from one line to the next, the median."""

    @property
    def first(self) -> int | None:
        """The first epoch that is reported; None where nothing is."""
        return min(self.lines, default=None)

    @property
    def last(self) -> int | None:
        return max(self.lines, default=None)

    @property
    def exact(self) -> bool:
        """Whether two undisturbed runs are equal to the last bit."""
        return not any(self.noise.values())


AT_ONCE = 0.25
"""Lines that follow each other within this share of an epoch were not trained one by one."""
AT_ONCE_SECONDS = 0.03
NOISE_FACTOR = 3.0
"""Two runs show only a part of the spread that many have."""


def is_clock(name: str) -> bool:
    """Whether a metric tells times, speeds or memory, by its name."""
    return _CLOCK.search(name) is not None


def history(lines: Iterable[Line]) -> dict[int, dict[str, float]]:
    """Epoch → values, the newest line of an epoch last; metrics of clocks left out."""
    found: dict[int, dict[str, float]] = {}
    for line in lines:
        found.setdefault(line.epoch, {}).update(
            {name: value for name, value in line.values.items() if not is_clock(name)}
        )
    return {epoch: found[epoch] for epoch in sorted(found)}


def repeated(lines: Iterable[Line]) -> list[int]:
    """Epochs of which one execution reports the same metric more than once."""
    seen: set[tuple[int, str]] = set()
    found = set()
    for line in lines:
        for name in line.values:
            if (line.epoch, name) in seen:
                found.add(line.epoch)
            seen.add((line.epoch, name))
    return sorted(found)


def pace(lines: Sequence[Line]) -> float:
    """Seconds from one line to the next, the median; 0 where there are fewer than two."""
    gaps = sorted(later.at - line.at for line, later in pairwise(lines))
    return gaps[len(gaps) // 2] if gaps else 0.0


def _per_epoch(run: Observed) -> int:
    """Where the last epoch is not saved any more, as by orch's own kinds, it is told by the others."""
    if len(run.stretches) != 1:
        return 0
    (one,) = run.stretches
    saves, epochs = len(one.saves), len(history(one.lines))
    if not epochs or not saves % epochs:
        return saves // epochs if epochs else 0
    between = {sum(line.at <= save.at < later.at for save in one.saves) for line, later in pairwise(one.lines)}
    (many,) = between if len(between) == 1 else (0,)
    return many if saves == many * (epochs - 1) else 0


def baseline(runs: Sequence[Observed]) -> Baseline:
    """What undisturbed runs of one seed have in common. At least one run."""
    histories = [history(line for one in run.stretches for line in one.lines) for run in runs]
    results = [{name: value for name, value in run.result.items() if not is_clock(name)} for run in runs]
    names = {name for lines in histories for values in lines.values() for name in values} | {*results[0]}
    measured = dict.fromkeys(names, 0.0)
    for lines, result in zip(histories[1:], results[1:], strict=True):
        for epoch, values in histories[0].items():
            for name, value in values.items():
                other = lines.get(epoch, {}).get(name)
                if other is not None:
                    measured[name] = max(measured[name], abs(value - other))
        for name, value in results[0].items():
            if name in result:
                measured[name] = max(measured[name], abs(value - result[name]))
    first = runs[0]
    told = {name for one in first.stretches for line in one.lines for name in line.values} | {*first.result}
    return Baseline(
        lines=histories[0],
        result=results[0],
        noise={name: NOISE_FACTOR * value for name, value in measured.items()},
        measured=measured,
        left_out=tuple(sorted(name for name in told if is_clock(name))),
        repeated=frozenset(epoch for run in runs for one in run.stretches for epoch in repeated(one.lines)),
        per_epoch=_per_epoch(first),
        pace=pace(first.stretches[-1].lines) if first.stretches else 0.0,
    )


def saved_epoch(struck: Stretch, base: Baseline, until: float = float("inf")) -> int | None:
    """The epoch at whose end a run's first execution wrote its newest whole checkpoint `until` then.

    It is told by counting, where the undisturbed run saved equally often in each epoch; else by the nearest line.

    A program saves just before or just after it reports an epoch.
    """
    saves = [save for save in struck.saves if save.at <= until]
    if base.per_epoch and base.first is not None:
        whole = len(saves) // base.per_epoch
        return base.first + whole - 1 if whole else None
    if not saves or not struck.lines:
        return None
    newest = saves[-1].at
    return min(struck.lines, key=lambda line: abs(line.at - newest)).epoch


def trained(after: Sequence[Stretch], hit_at: float, saved: int | None, pace: float) -> list[Line]:
    """The lines of epochs that were trained after the hit, without those that were only reported again.

    orch's own kinds restore lines with their old times; a program may report its whole log again, at once, before it
    goes on: those begin at or before what was saved, reach as far, and lie closer together than any epoch.
    """
    lines = sorted((line for one in after for line in one.lines if line.at > hit_at), key=lambda line: line.at)
    burst = 1
    while burst < len(lines) and lines[burst].at - lines[burst - 1].at < max(AT_ONCE * pace, AT_ONCE_SECONDS):
        burst += 1
    again = lines[:burst]
    if saved is not None and burst > 1 and again[0].epoch <= saved <= max(line.epoch for line in again):
        return lines[burst:]
    return lines
