"""How long a piece of a sliced job is, and how many are sent at once: by what is known of jobs like it. Pure.

A piece costs its start, what follows its last checkpoint, and SLURM's warning, which comes up to a minute early.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

OPTION = "slices"
AUTO = "auto"
USUAL_MINUTES = 30
SHORTEST_MINUTES, LONGEST_MINUTES = 10, 120
EPOCHS_A_PIECE = 10
"""So a piece that is warned in the middle of an epoch loses a twentieth of its time."""
WARNED_SECONDS = 150.0
"""The warning before a time limit, and the minute that it may come early (sbatch(1), --signal)."""
MARGIN = 1.25
"""Times the longest run of a job like it: another seed, another node."""
ROUND = 5


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """How long jobs of the same config took in all their executions together, newest first."""

    seconds: tuple[float, ...] = ()
    epochs: int = 0
    """Of one of them; 0: it tells none."""


@dataclass(frozen=True, kw_only=True)
class SlicePlan:
    """An array of `pieces` tasks, each for `minutes`."""

    minutes: int
    pieces: int
    why: str
    """How its length was come by."""


def length(asked: int | str, learnt: Learnt) -> tuple[int, str]:
    """Minutes of a piece and why: what was asked for, or of `auto` so long that ten epochs go into it."""
    if asked != AUTO:
        return int(asked), "asked for"
    if not learnt.seconds or not learnt.epochs:
        return USUAL_MINUTES, "auto: the usual length, since no job like it has ended yet"
    epoch = median(learnt.seconds) / learnt.epochs
    wanted = math.ceil((EPOCHS_A_PIECE * epoch + WARNED_SECONDS) / 60 / ROUND) * ROUND
    minutes = min(max(wanted, SHORTEST_MINUTES), LONGEST_MINUTES)
    return minutes, f"auto: an epoch of jobs like it took {epoch:.3g} s"


def plan(asked: int | str, minutes: int, learnt: Learnt, used_seconds: float) -> SlicePlan | None:
    """What is sent of a job that asks for `minutes` in all; None: it fits into one piece, and is sent as any other.

    `used_seconds`: of this generation's executions so far. Where all the time is used up and it is not done, half as
    much again is given.
    """
    each, why = length(asked, learnt)
    in_all = min(minutes * 60.0, MARGIN * max(learnt.seconds)) if learnt.seconds else minutes * 60.0
    left = max(in_all - used_seconds, used_seconds / 2)
    if used_seconds == 0 and left <= each * 60.0:
        return None
    useful = max(each * 60.0 - WARNED_SECONDS, each * 60.0 * 0.6)
    return SlicePlan(minutes=each, pieces=max(math.ceil(left / useful) + 1, 2), why=why)
