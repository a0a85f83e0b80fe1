"""Readings of what an execution uses, added up as they come. Pure: whoever reads says when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from jobs.usage import GAP_SECONDS, IDLE_PERCENT, Folding, GpuReading, Point, Reading, Sums, Usage, UsageFile


class Tally:
    """Of one execution; all times are seconds since it began, of a clock that never steps back."""

    def __init__(self, *, gpus: int, whole: bool = True, used: float | None = None) -> None:
        """`gpus`: that it was given. Not `whole`: it has other nodes, of which nothing is seen: no sum is known.
        `used`: CPU seconds of its processes when it began, which are not its own; None: what the first reading says."""
        self.gpus = gpus
        self.whole = whole
        self.folding = Folding()
        self.resumed_step = self.saved_step = -1
        self._kept: Sums | None = None
        self._cpu = 0.0
        self._used = used
        self._last: Reading | None = None
        self._last_at = 0.0
        self._busy = 0.0
        self._busy_at = 0.0
        self._busy_known: bool | None = None
        """None: the driver has said nothing yet; False: it was silent for too long."""
        self._energy_from: tuple[float, ...] | None = None
        self._joules: float | None = None
        self._idle: list[float] = []
        self._memory = self._gpu_memory = 0.0
        self._gpu_memory_known = False

    def read(self, at: float, now: Reading) -> None:
        """A reading; what it says stands for the time since the one before."""
        since, before = self._last_at, self._used
        self._last, self._last_at, self._used = now, at, now.cpu_seconds
        self._memory = max(self._memory, now.memory_mb)
        used = 0.0 if before is None else max(0.0, now.cpu_seconds - before)
        self._cpu += used  # less than before: a process ended whose parent did not ask for it
        self._read_gpus(at, at - since, now.gpus)
        if at > since:
            self.folding.add(since, at, self._point(None if before is None else used / (at - since), now))

    def _read_gpus(self, at: float, seconds: float, gpus: Sequence[GpuReading]) -> None:
        percents = [one.percent for one in gpus]
        known = [percent for percent in percents if percent is not None]
        if at - self._busy_at > GAP_SECONDS:
            self._busy_known = False
        elif self._busy_known is not False and gpus and len(known) == len(gpus):
            self._busy += sum(known) / 100 * (at - self._busy_at)
            self._busy_at, self._busy_known = at, True
        if len(self._idle) != len(gpus):
            self._idle = [0.0] * len(gpus)
        for place, percent in enumerate(percents):
            is_idle = percent is not None and percent <= IDLE_PERCENT
            self._idle[place] = self._idle[place] + seconds if is_idle else 0.0
        memory = [one.memory_mb for one in gpus if one.memory_mb is not None]
        if gpus and len(memory) == len(gpus):
            self._gpu_memory, self._gpu_memory_known = max(self._gpu_memory, sum(memory)), True
        counters = tuple(one.joules for one in gpus if one.joules is not None)
        if gpus and len(counters) == len(gpus):
            self._count(counters)

    def _count(self, counters: tuple[float, ...]) -> None:
        """The driver's own counters; one that went back was begun anew, and what it had is lost."""
        if self._energy_from is None:
            self._energy_from, self._joules = counters, 0.0
            return
        more = [now - before for now, before in zip(counters, self._energy_from, strict=True)]
        self._energy_from = counters
        if self._joules is not None:
            self._joules = None if min(more) < 0 else self._joules + sum(more)

    def _point(self, cores: float | None, now: Reading) -> Point:
        percents = [one.percent for one in now.gpus if one.percent is not None]
        memory = [one.memory_mb for one in now.gpus if one.memory_mb is not None]
        watts = [one.watts for one in now.gpus if one.watts is not None]
        n = len(now.gpus)
        return (
            cores,
            now.memory_mb,
            sum(percents) / n if n and len(percents) == n else None,
            sum(memory) if n and len(memory) == n else None,
            sum(watts) if n and len(watts) == n else None,
        )

    def steps(self, at: float, resumed: int, newest: int) -> bool:
        """How far its checkpoints are; whether that is news. A new one keeps what was used until then, as read last."""
        before = self.resumed_step, self.saved_step
        self.resumed_step = resumed
        if newest <= resumed:
            self.saved_step, self._kept = -1, None
        elif newest != self.saved_step:
            self.saved_step, self._kept = newest, self._sums(at)
        return before != (self.resumed_step, self.saved_step)

    def _sums(self, at: float) -> Sums:
        known = self.whole and self._last is not None
        return Sums(
            seconds=round(at, 1),
            cpu_seconds=round(self._cpu, 2) if known else None,
            busy_seconds=round(self._busy, 1) if known and self._busy_known else None,
            joules=round(self._joules, 1) if known and self._joules is not None else None,
        )

    def file(self, at: float, now: datetime, due: float) -> UsageFile:
        """All of it, with the next one due after so many seconds."""
        sums = self._sums(at)
        known = self.whole and self._last is not None
        usage = Usage(
            sums=sums,
            kept=None if self._kept is None else _at_most(self._kept, sums),
            resumed_step=self.resumed_step,
            saved_step=self.saved_step,
            gpus=self.gpus,
            memory_mb=round(self._memory, 1) if known else None,
            gpu_memory_mb=round(self._gpu_memory, 1) if known and self._gpu_memory_known else None,
            idle=tuple(round(one, 1) for one in self._idle) if known and self._busy_known else (),
            due=round(due, 1),
            at=now,
        )
        return UsageFile(usage=usage, curve=self.folding.curve())


def _at_most(kept: Sums, sums: Sums) -> Sums:
    """What was kept, without what is not known any more."""
    return Sums(
        seconds=min(kept.seconds, sums.seconds),
        cpu_seconds=None if sums.cpu_seconds is None else kept.cpu_seconds,
        busy_seconds=None if sums.busy_seconds is None else kept.busy_seconds,
        joules=None if sums.joules is None else kept.joules,
    )
