"""What the runner of a bundle decides: who may start, who takes too much memory, whether the task goes on. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jobs.bundles import Key
from jobs.records import Outcome, Task
from jobs.words import Cause

MARGIN = 1.25
"""Times the longest run known of a job like it."""
LAST_CALL_SECONDS = 10.0
"""So long before SLURM's kill the task is requeued, whoever still writes."""
CROWDED = 0.9
"""From this share of the task's memory on, whoever is above its own share is ended."""


def fits(left_seconds: float, longest_seconds: float) -> bool:
    """Whether one more job may start in what is left of the time before the warning. Where nothing is known of how long
    such jobs take, it may: one that is cut off goes on elsewhere."""
    return left_seconds > 0 and left_seconds >= MARGIN * longest_seconds


@dataclass(frozen=True)
class Bundled:
    """Of a worker that shares its SLURM task with others."""

    began: datetime
    """Since when the time of all of them runs."""
    runner: int
    """Pid of the one that forked it."""


def interpreter(submission: Path, place: int, mine: Bundled) -> list[str]:
    """What starts a worker as an interpreter of its own (jobs/node/bundled.py)."""
    words = [str(submission), str(place), mine.began.isoformat(), str(mine.runner)]
    return [sys.executable, "-m", "jobs.node.bundled", *words]


@dataclass(frozen=True)
class Stopped:
    """How a job stands when its task is told to stop."""

    may_go_on: bool
    """It has no outcome that is final."""
    advanced: bool
    """Its checkpoint is a newer one than the one it began from."""


def goes_on(stopped: Sequence[Stopped]) -> bool:
    """Whether the task is to be requeued: somebody may go on, and somebody came further in the time it had."""
    return any(one.may_go_on for one in stopped) and any(one.advanced for one in stopped)


def too_large(used_mb: Mapping[Key, float], share_mb: Mapping[Key, float], whole_mb: float) -> Key | None:
    """Whose memory ends the whole task next if nothing is done: of those above their own share the one that is furthest
    above, once what all use together comes near to what the task has."""
    if sum(used_mb.values()) < CROWDED * whole_mb:
        return None
    above = {key: mb - share_mb[key] for key, mb in used_mb.items() if mb > share_mb[key]}
    return max(above, key=lambda key: above[key], default=None)


def devices(visible: str | None, gpus: int, at_once: int, per_gpu: int) -> list[str | None]:
    """For each of the places at which jobs run at a time, the GPUs that it has; None: the task's environment as it is.

    `visible`: CUDA_VISIBLE_DEVICES of the task. Each GPU takes `per_gpu` jobs of one GPU; where a person gave the task
    fewer than that needs, they are shared evenly.
    """
    names = [name for name in (visible or "").split(",") if name.strip()]
    if not gpus or not names:
        return [None] * at_once
    if gpus > 1:
        return [",".join(names[(place * gpus + k) % len(names)] for k in range(gpus)) for place in range(at_once)]
    return [names[(place // per_gpu) % len(names)] for place in range(at_once)]


def gpus_needed(gpus: int, at_once: int, per_gpu: int) -> int:
    """How many GPUs a task asks for, of which each takes `per_gpu` jobs of one GPU."""
    return gpus * at_once if gpus > 1 else -(-gpus * at_once // per_gpu)


def by_others(outcome: Outcome | None, task: Task, over_mb: int) -> bool:
    """Whether a job ran out of memory that others of its task had used up: it was never seen above its own share."""
    if outcome is None or outcome.cause is not Cause.OUT_OF_MEMORY or over_mb:
        return False
    return outcome.peak_memory_mb < task.resources.memory_mb
