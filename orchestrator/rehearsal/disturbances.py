"""What is done to which run, and when: a plan that the seed alone decides. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection
from enum import StrEnum

import msgspec


class Disturbance(StrEnum):
    """What may happen to a run."""

    TERM = "term"
    """SIGTERM with time to stop, as before a preemption."""
    KILL = "kill"
    """SIGKILL to all of it at once, as when a node dies."""
    WRITE = "write"
    """SIGKILL in the middle of a checkpoint write."""
    TORN = "torn"
    """SIGKILL; the newest checkpoint has lost its second half, as after a power cut or on a full quota."""
    TIMES = "times"
    """SIGKILL; the checkpoints' times are the other way round, as after a copy that does not keep them."""
    LIMIT = "limit"
    """The warning before a time limit (USR2 to orch's worker, which hands it on), a short notice, then SIGKILL."""
    REQUEUE = "requeue"
    """SLURM stops the job and begins it again."""
    NODE = "node"
    """The node dies with all that runs on it; of a pretend cluster only."""
    DISK = "disk"
    """The disk with the run's folder is full for a while, as where others filled it."""
    TWICE = "twice"
    """The same attempt runs twice at once, as after a network split."""


WORDS = {
    Disturbance.TERM: "told to stop (TERM)",
    Disturbance.KILL: "killed",
    Disturbance.WRITE: "killed while it wrote a checkpoint",
    Disturbance.TORN: "killed, newest checkpoint torn",
    Disturbance.TIMES: "killed, checkpoints' times turned round",
    Disturbance.LIMIT: "time limit",
    Disturbance.REQUEUE: "requeued by SLURM",
    Disturbance.NODE: "its node died",
    Disturbance.DISK: "disk full",
    Disturbance.TWICE: "started twice at once",
}
NAMES = tuple(str(one) for one in Disturbance)
OF_SLURM = frozenset({Disturbance.REQUEUE, Disturbance.NODE})
OF_THIS_HOST = frozenset({Disturbance.TWICE, Disturbance.DISK})
OF_ITS_HOST = frozenset({Disturbance.WRITE, Disturbance.TORN, Disturbance.TIMES})
"""Where processes are killed and files hurt within milliseconds: the worker must run on this very host."""


def possible(*, slurm: bool) -> tuple[Disturbance, ...]:
    """What there is on SLURM, or on slots of this host."""
    return tuple(one for one in Disturbance if one not in (OF_THIS_HOST if slurm else OF_SLURM))


def of_trial(name: str) -> Disturbance | None:
    """What is done to the run of that name (`kill-2`); None: nothing. Pure."""
    found = name.partition("-")[0]
    return Disturbance(found) if found in NAMES else None


MOST_KILLS = 100


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When to strike: so far into the epoch after the `lines`-th metric line; with no lines, a share of the run."""

    lines: int
    part: float
    """Of an epoch, 0 to 1; with `lines` 0 of the whole run."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a rehearsal. Undisturbed without a disturbance."""

    name: str
    seed: int
    disturbance: Disturbance | None = None
    moment: Moment | None = None


def plan(
    seed: int, kills: int, epochs: int, *, only: Collection[Disturbance] = tuple(Disturbance), chance: int = 0
) -> list[Trial]:
    """The disturbed runs, the most telling first, so that a budget cuts off the least. Pure.

    `epochs`: metric lines of the undisturbed run; `chance`: the seed of the moments. Every run strikes between the
    first and the last line, the kills spread over all of them.
    """
    dice = random.Random(chance)
    trials: list[Trial] = []

    def add(what: Disturbance, name: str, *, low: int = 1, later: int = 1, moment: Moment | None = None) -> None:
        if what in only:
            moment = moment or _moment(dice, epochs, low, later)
            trials.append(Trial(name=name, seed=seed, disturbance=what, moment=moment))

    spread = [_within(dice, epochs, number, kills) for number in range(kills)]
    dice.shuffle(spread)
    for number, moment in enumerate(spread[:1]):
        add(Disturbance.KILL, f"kill-{number + 1}", moment=moment)
    add(Disturbance.TERM, "term", later=2)  # of one that ignores it two more lines are seen
    add(Disturbance.WRITE, "write", later=2)  # one more checkpoint is to come
    add(Disturbance.TORN, "torn", low=2)
    add(Disturbance.TIMES, "times", low=3)
    add(Disturbance.LIMIT, "limit", later=2)
    add(Disturbance.REQUEUE, "requeue", later=2)
    add(Disturbance.NODE, "node", later=2)
    add(Disturbance.DISK, "disk", later=2)
    add(Disturbance.TWICE, "twice")
    for number, moment in enumerate(spread[1:], start=1):
        add(Disturbance.KILL, f"kill-{number + 1}", moment=moment)
    return trials


def sooner(trial: Trial) -> Trial:
    """The same, half as far into the run."""
    moment = trial.moment
    if moment is None:
        return trial
    lines = max(1, moment.lines // 2) if moment.lines else 0
    return msgspec.structs.replace(trial, moment=Moment(lines=lines, part=moment.part / 2))


def _moment(dice: random.Random, epochs: int, low: int, later: int) -> Moment:
    """After a line from the `low`-th on, `later` lines before the last at the latest, where there are so many."""
    if epochs < 2:
        return Moment(lines=0, part=dice.uniform(0.2, 0.8))
    last = max(1, epochs - later)
    return Moment(lines=dice.randint(min(low, last), last), part=dice.uniform(0.3, 0.7))


def _within(dice: random.Random, epochs: int, number: int, kills: int) -> Moment:
    """The number-th of so many kills: in its own share of the run, and anywhere in its epoch."""
    if epochs < 2:
        return Moment(lines=0, part=0.1 + 0.8 * (number + dice.random()) / kills)
    place = 1 + int((epochs - 1) * (number + dice.random()) / kills)
    return Moment(lines=min(place, epochs - 1), part=dice.uniform(0.15, 0.85))
