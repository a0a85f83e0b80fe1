"""What an execution uses of its machine: `usage.json`, sums since it began and a curve that never grows. Pure.

None is what nobody knows: no driver, a driver that does not tell, a program of several nodes of which one is seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from jobs.records import Amount, Moment, Record, Step, check_time

FILE = "usage.json"
POINTS = 64
"""Of a curve, at most; with one more, each two become one."""
MOST_GPUS = 1024
IDLE_PERCENT = 1.0
"""A GPU that is in use for no more of the time is idle: the driver itself, and whoever looks at it, wake it now and
then."""
GAP_SECONDS = 600.0
"""A driver that said nothing for so long leaves unknown how busy its GPUs were."""
SLACK = 1.01
"""Sums are rounded, and the clocks of the driver are not ours."""

Maybe = Amount | None
Gpus = Annotated[int, msgspec.Meta(ge=0, le=MOST_GPUS * 1024)]
Point = tuple[Maybe, Maybe, Maybe, Maybe, Maybe]
"""Cores in use, MB of memory, percent of the time in which its GPUs computed (their mean), MB of their memory and their
watts (both summed over them)."""


class Sums(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Since the execution began."""

    seconds: Amount = 0.0
    cpu_seconds: Maybe = None
    """Of the worker and all that descends from it."""
    busy_seconds: Maybe = None
    """Of its GPUs: the driver's utilisation times the time, summed over them."""
    joules: Maybe = None
    """What its GPUs took, where the driver counts it."""

    def within(self, other: Sums) -> bool:
        """Whether none of it is more than of the other."""
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return all(mine is None or (theirs is not None and mine <= theirs) for mine, theirs in pairs)


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the store keeps of an execution."""

    sums: Sums = Sums()
    kept: Sums | None = None
    """The same up to its newest checkpoint; None where it has saved none."""
    resumed_step: Step = -1
    """The step of the checkpoint that it went on from; -1: it began from the start."""
    saved_step: Step = -1
    """The step of its newest checkpoint; -1 where it has saved none."""
    gpus: Gpus = 0
    """That it was given, on all its nodes."""
    memory_mb: Maybe = None
    """The most that its processes had at once, shared pages counted in each."""
    gpu_memory_mb: Maybe = None
    """The most that was taken of its GPUs' memory at once, by whomever."""
    idle: Annotated[tuple[Amount, ...], msgspec.Meta(max_length=MOST_GPUS)] = ()
    """For how many seconds each of its GPUs has been idle by now; empty where nobody knows."""
    due: Amount = 0.0
    """The next line is due after so many seconds: of one that was killed, it lived no longer."""
    at: Moment

    def __post_init__(self) -> None:
        check_time(self.at)
        if self.kept is not None and not self.kept.within(self.sums):
            raise ValueError("it kept more than it used")
        if (self.kept is None) != (self.saved_step == -1):
            raise ValueError("it tells a checkpoint and no time of it, or the reverse")
        most = self.sums.seconds * self.gpus * SLACK + 1
        if self.sums.busy_seconds is not None and self.sums.busy_seconds > most:
            raise ValueError("its GPUs were busy for longer than it had them")
        if any(idle > self.sums.seconds + 1 for idle in self.idle):
            raise ValueError("a GPU was idle for longer than it had it")


class Curve(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Means over equal spans of time, from the beginning on."""

    span: Annotated[float, msgspec.Meta(gt=0, le=1e9)] = 1.0
    """Seconds of a point; the last one may hold less."""
    points: Annotated[tuple[Point, ...], msgspec.Meta(max_length=POINTS)] = ()


class UsageFile(Record, frozen=True, kw_only=True):
    """`usage.json`, replaced as a whole now and then, and at the end."""

    usage: Usage
    curve: Curve = Curve()


@dataclass(frozen=True, kw_only=True)
class GpuReading:
    """What the driver says of a GPU now."""

    percent: float | None = None
    memory_mb: float | None = None
    watts: float | None = None
    joules: float | None = None
    """Since the driver was loaded."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What an execution uses now. `cpu_seconds`: of its processes that live, and of their ended children."""

    cpu_seconds: float
    memory_mb: float
    gpus: tuple[GpuReading, ...] = ()


@dataclass
class Bin:
    """Weighted sums of one point: what a number adds, and for how long it was known."""

    sums: list[float] = field(default_factory=lambda: [0.0] * 5)
    known: list[float] = field(default_factory=lambda: [0.0] * 5)

    def add(self, seconds: float, values: Point) -> None:
        for place, value in enumerate(values):
            if value is not None:
                self.sums[place] += seconds * value
                self.known[place] += seconds

    def join(self, other: Bin) -> None:
        for place in range(5):
            self.sums[place] += other.sums[place]
            self.known[place] += other.known[place]

    def point(self) -> Point:
        one, two, three, four, five = (
            round(total / known, 2 if place == 0 else 1) if known > 0 else None
            for place, (total, known) in enumerate(zip(self.sums, self.known, strict=True))
        )
        return one, two, three, four, five


class Folding:
    """A curve as it grows: its points hold longer and longer spans."""

    def __init__(self, span: float = 1.0) -> None:
        self.span = span
        self.bins: list[Bin] = []

    def add(self, since: float, until: float, values: Point) -> None:
        """These values stood from then to then (seconds after the beginning)."""
        while until > self.span * POINTS:
            self._halve()
        for place in range(int(since // self.span), POINTS):
            begins = place * self.span
            if begins >= until:
                break
            while len(self.bins) <= place:
                self.bins.append(Bin())
            self.bins[place].add(min(until, begins + self.span) - max(since, begins), values)

    def _halve(self) -> None:
        for one, two in zip(self.bins[::2], self.bins[1::2], strict=False):
            one.join(two)
        self.bins = self.bins[::2]
        self.span *= 2

    def curve(self) -> Curve:
        return Curve(span=self.span, points=tuple(one.point() for one in self.bins))
