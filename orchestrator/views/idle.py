"""Whether a running job's GPUs do nothing, as its worker told lately. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from jobs.usage import Usage
from orchestrator.views.words import listed

LEAST_SECONDS = 600.0
"""Shorter than that, data may be loading, or an epoch ending."""
LATE = timedelta(minutes=2)
"""So much later than it was due, what a worker told is old: of now it says nothing."""


def told(text: str | None) -> Usage | None:
    """What the store holds of an execution."""
    return None if text is None else msgspec.json.decode(text, type=Usage)


def seconds(usage: Usage | None, now: datetime) -> tuple[float, ...] | None:
    """For how long each of its GPUs has been idle; None where nobody knows."""
    if usage is None or not usage.idle or now > usage.at + timedelta(seconds=usage.due) + LATE:
        return None
    return usage.idle


def sentence(usage: Usage | None, now: datetime) -> str:
    """'GPU idle for 40 min', '2 of 4 GPUs idle for 3 h'; empty where they work, or nobody knows."""
    each = seconds(usage, now) or ()
    idle = [one for one in each if one >= LEAST_SECONDS]
    if not idle:
        return ""
    which = "GPU" if len(each) == 1 else f"{len(idle)} of {len(each)} GPUs"
    return f"{which} idle for {_time(min(idle))}"


def note(running: Iterable[tuple[int, Usage]], now: datetime) -> str:
    """Which running jobs hold GPUs that do nothing; empty where none does."""
    idle = [f"{job} ({text})" for job, usage in running if (text := sentence(usage, now))]
    if not idle:
        return ""
    which = "running job holds" if len(idle) == 1 else "running jobs hold"
    return f"{len(idle)} {which} GPUs that do nothing: {listed(idle, 3)}"


def _time(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
