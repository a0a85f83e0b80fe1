"""From when to when an execution ran, and what it had and used in that time. Pure.

In whole microseconds, so that sums are exact. All of it rests on the journal and on the run folders alone, so that a
rebuilt store says the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from db.shares import gpu_parts
from db.usage import Run, Try
from jobs.usage import Sums

MICRO = timedelta(microseconds=1)
DAY = timedelta(days=1)
"""Clocks of hosts differ; by more than that they do not."""

Amount = int | None
"""None: nobody knows."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Of one execution, or of a part of it. Times in microseconds, energy in millijoules."""

    time: int
    cpu: int
    """CPUs that it had, times the time."""
    gpu: Amount
    """GPUs that it had, times the time; of one that several share, its part."""
    cpu_used: Amount
    gpu_busy: Amount
    energy: Amount

    def less(self, part: Spent) -> Spent:
        """What is left without a part of it."""
        pairs = zip(astuple(self), astuple(part), strict=True)
        time, cpu, *others = (None if a is None or b is None else a - b for a, b in pairs)
        assert time is not None and cpu is not None
        gpu, cpu_used, gpu_busy, energy = others
        return Spent(time=time, cpu=cpu, gpu=gpu, cpu_used=cpu_used, gpu_busy=gpu_busy, energy=energy)


def ended(run: Run, attempt: Try, following: Run | None) -> bool:
    """Whether it is over, as far as is known."""
    return run.ended_at is not None or attempt.ended_at is not None or following is not None


def until(run: Run, attempt: Try, following: Run | None, now: datetime) -> datetime:
    """When it ended; now, where it runs. One without an outcome at the latest when its attempt ended, when the next one
    began, or when it would have told again what it uses."""
    if run.ended_at is not None:
        return run.ended_at
    ends = [now]
    ends += [attempt.ended_at] if attempt.ended_at is not None else []
    ends += [following.started_at] if following is not None else []
    if run.usage is not None and run.started_at < now:  # of another year no calendar may hold the end
        ends.append(run.started_at + timedelta(seconds=min(run.usage.sums.seconds + run.usage.due, 1e9)))
    return max(run.started_at, min(ends))


def absurd(run: Run, attempt: Try, end: datetime, now: datetime) -> str:
    """Why these times cannot be; empty where they can."""
    if run.started_at < attempt.created_at - DAY:
        return "it began before it was sent"
    if max(run.started_at, end) > now + DAY:
        return "its times lie in the future"
    return "it ended before it began" if end < run.started_at else ""


def spent(run: Run, attempt: Try, end: datetime) -> Spent:
    """All that it spent."""
    time = (end - run.started_at) // MICRO
    sums = run.usage.sums if run.usage is not None else None
    return _spent(time, attempt, _gpus(run, attempt), sums)


def kept(run: Run, attempt: Try, end: datetime) -> Spent | None:
    """What it had spent at its newest checkpoint, which is never more than all; None where it tells of none."""
    if run.usage is None or run.usage.kept is None:
        return None
    time = min(round(run.usage.kept.seconds * 1e6), (end - run.started_at) // MICRO)
    return _spent(time, attempt, _gpus(run, attempt), run.usage.kept)


def _gpus(run: Run, attempt: Try) -> Amount:
    """How many it had."""
    if run.usage is not None:
        return run.usage.gpus
    if run.ended_at is not None:
        return attempt.gpus if run.had_gpu else 0
    return None if attempt.gpus else 0


def _spent(time: int, attempt: Try, gpus: Amount, sums: Sums | None) -> Spent:
    parts = gpu_parts(attempt.slot)
    busy = energy = None
    if gpus == 0:
        busy = energy = 0
    elif sums is not None:
        busy = _whole(sums.busy_seconds, 1e6 / parts)
        energy = _whole(sums.joules, 1e3) if parts == 1 else None  # of a shared GPU nobody knows whose it was
    return Spent(
        time=time,
        cpu=time * attempt.cpus,
        gpu=None if gpus is None else time * gpus // parts,
        cpu_used=None if sums is None else _whole(sums.cpu_seconds, 1e6),
        gpu_busy=busy,
        energy=energy,
    )


def _whole(value: float | None, unit: float) -> Amount:
    return None if value is None else round(value * unit)


def waited(attempt: Try, now: datetime) -> int:
    """Microseconds in which the machines had it and it did not run: until its first start, and between two."""
    if not attempt.runs:
        return max(0, ((attempt.ended_at or now) - attempt.created_at) // MICRO)
    return max(0, (attempt.runs[0].started_at - attempt.created_at) // MICRO) + _between(attempt.runs, attempt, now)


def _between(runs: Sequence[Run], attempt: Try, now: datetime) -> int:
    total = 0
    for one, two in pairwise(runs):
        total += max(0, (two.started_at - until(one, attempt, two, now)) // MICRO)
    return total
