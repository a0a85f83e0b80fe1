"""A bundle: many jobs in one SLURM task, some of them at a time (docs/bundles.md): what its runner writes of them.

Each start of a runner has a ledger of its own, so that two of them, on a node that came back and on the one that took
over, never write into one file; of the lines on a job the last one counts, by the restart count of their runner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from jobs import launchers
from jobs.errors import BadInput
from jobs.records import Manifest, Moment, Name, Number, Record
from jobs.words import Cause

OPTION = "bundle"
"""Of a job: so many of its kind run at a time in one task; 0 or 1: it has a task of its own."""
COLD = "cold"
"""Of a job: true where its worker in a bundle is to be an interpreter of its own."""
MOST_AT_ONCE = 256

Key = tuple[int, int]
"""(job id, attempt number)."""


class Step(StrEnum):
    """What a line of a ledger tells."""

    BEGUN = "begun"
    """The runner itself: of no job."""
    STARTED = "started"
    """Written before the worker is there."""
    ENDED = "ended"
    """The worker is gone, and the task goes on without it."""
    STOPPED = "stopped"
    """The worker is gone since the whole task was told to stop: what comes of it is the task's fate."""
    RETURNED = "returned"
    """This task will not start it (any more): it goes back to orch's queue."""
    LARGE = "large"
    """It was seen above its share of the memory, or no longer (`over_mb` 0); where it stands stays as it was."""
    CANCELLED = "cancelled"
    """A person's cancel was seen, and nothing of it runs."""


class BundleLine(Record, frozen=True, kw_only=True):
    """One line of `runs/submissions/<token>/bundles/<index>/r<restart>-<6 hex>.jsonl`, fsynced."""

    step: Step
    job: Number = 0
    attempt: Number = 0
    node: Name = ""
    at: Moment
    late: bool = False
    """Of a start: not with the task itself, so it never had the whole of its time limit."""
    code: int = 0
    """Of an end: the worker's exit code, negative for a signal."""
    text: str = ""
    """Of an end: the worker's last words, where it had no folder to say them in; of a return: why."""
    cause: Cause | None = None
    """Of an end: what the runner ended it for."""
    over_mb: int = 0
    """By how much it was above its share of the memory when it was last looked at."""


@dataclass(frozen=True)
class Standing:
    """Where a job of a bundle stands, by the ledgers: nothing is known of one that none names."""

    step: Step
    line: BundleLine
    runner: int
    """The place of the runner that says so, in the order in which they began."""
    ran: bool = False
    """Whether any runner ever started it."""
    late: bool = False
    """Whether it was not started with its task, when it was last started: it never had the whole of the time limit."""
    over_mb: int = 0
    """By how much it was above its share of the memory, as far as its runner saw."""


@dataclass
class Ledgers:
    """All that the runners of one task wrote, each runner's lines in their order, the oldest runner first."""

    runners: Sequence[Sequence[BundleLine]] = ()
    standings: Mapping[Key, Standing] = field(default_factory=dict)
    begun: int = 0
    """How many of them the newest runner has started, or has seen the end of."""


def read(runners: Iterable[tuple[int, Sequence[BundleLine]]]) -> Ledgers:
    """What counts of these (restart count, lines). Pure.

    The restart count goes before the clock, which may be another node's; it repeats after a controller's crash.
    """
    ordered = [lines for _, lines in sorted((one for one in runners if one[1]), key=lambda one: (one[0], one[1][0].at))]
    found: dict[Key, Standing] = {}
    for runner, lines in enumerate(ordered):
        for line in lines:
            key = (line.job, line.attempt)
            before = found.get(key, Standing(Step.BEGUN, line, runner))
            if line.step is Step.LARGE:
                found[key] = replace(before, over_mb=line.over_mb)
            elif line.step is Step.STARTED:
                found[key] = Standing(line.step, line, runner, ran=True, late=line.late)
            elif line.step is not Step.BEGUN:
                found[key] = replace(before, step=line.step, line=line, runner=runner)
    return Ledgers(ordered, found, sum(one.runner == len(ordered) - 1 for one in found.values()))


def listed(manifest: Manifest, index: int) -> range:
    """The places of the tasks of a manifest that the array's task with that index is to run."""
    size = max(manifest.bundle, 1)
    return range(index * size, min((index + 1) * size, len(manifest.tasks)))


def checked(text: str | int, option: str = "--bundle") -> int:
    """How many run at a time: a whole number from 1 on, or 'off', which is 0. Raises BadInput."""
    word = str(text).strip().lower()
    if word == "off":
        return 0
    if not (word.isascii() and word.isdigit() and 1 <= int(word) <= MOST_AT_ONCE):
        raise BadInput(
            f"{option} takes how many jobs run at a time in one task, 1 to {MOST_AT_ONCE}, or off (got '{text}')"
        )
    return int(word)


def at_once(options: Mapping[str, Any]) -> int:
    """How many jobs like this one run at a time in a task; 1: it goes alone.

    One that takes several nodes does: its ranks have the whole of them.
    """
    asked = int(options.get(OPTION) or 1)
    return asked if asked > 1 and launchers.nodes(options) == 1 and not launchers.of(options) else 1


def check_beside(options: Mapping[str, Any]) -> None:
    """Raises BadInput where a bundle is asked for together with what has a task of its own."""
    if int(options.get(OPTION) or 1) > 1 and (launchers.nodes(options) > 1 or launchers.of(options)):
        raise BadInput(
            "--bundle runs several jobs in one task, --nodes and --launcher one job in several: leave one out"
        )


def deadline(began: datetime, minutes: int, told: str | None) -> float:
    """When SLURM ends the task, in seconds since the epoch: as newer ones say themselves (SLURM_JOB_END_TIME), else by
    its begin."""
    if told is not None and told.isdecimal():
        return float(told)
    return began.timestamp() + minutes * 60.0


def encoded(line: BundleLine) -> bytes:
    """As it is appended."""
    return msgspec.json.encode(line) + b"\n"
