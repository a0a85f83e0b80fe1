"""What has happened since a person was last told: failures, studies that are done or blocked, a dispatch that stopped.

Pure. What was told is kept beside the database, so that the next supervisor tells nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from db.news import Failure
from jobs.records import Record
from jobs.words import JobState

SHOWN = 5
"""Failures that a message names one by one."""
LONGEST = 200
MOVING = (JobState.QUEUED, JobState.SUBMITTED, JobState.RUNNING)


class Told(Record, frozen=True, kw_only=True):
    """What people know already."""

    failed: dict[str, int] = msgspec.field(default_factory=dict)
    """Job id (as text) → the generation whose failure was told."""
    standing: dict[str, str] = msgspec.field(default_factory=dict)
    """Study → the counts with which it was told to stand still; a study that moves is not in it."""
    stopped: dict[str, str] = msgspec.field(default_factory=dict)
    """Pool → why nothing is sent there."""


def now(
    failures: Iterable[Failure],
    studies: Mapping[str, Mapping[JobState, int]],
    stopped: Mapping[str, str],
    *,
    idle: bool = False,
) -> Told:
    """How things stand. `idle`: no job of any study can move without a person."""
    return Told(
        failed={str(one.job): one.generation for one in failures},
        standing={
            name: _counts(states)
            for name, states in studies.items()
            if sum(states.values()) and (idle or not any(states[state] for state in MOVING))
        },
        stopped=dict(stopped),
    )


def lines(before: Told, after: Told, failures: Sequence[Failure]) -> list[str]:
    """What is new, a line each: failures first. Empty where nothing is."""
    fresh = [one for one in failures if before.failed.get(str(one.job)) != one.generation]
    found = [
        f"job {one.job} ({one.kind}, seed {one.seed}, study {one.study}) failed: {_short(one.error)}"
        for one in fresh[:SHOWN]
    ]
    if len(fresh) > SHOWN:
        found.append(f"and {len(fresh) - SHOWN} more jobs failed: see 'orch status'")
    for pool, why in after.stopped.items():
        if before.stopped.get(pool) != why:
            found.append(f"nothing is sent to {pool} any more: {why}")
    for study, counts in after.standing.items():
        if before.standing.get(study) != counts:
            how = "stands still" if any(state.value in counts for state in (JobState.WAITING, *MOVING)) else "is done"
            found.append(f"study {study} {how}: {counts}")
    return found


def subject(said: Sequence[str]) -> str:
    """A heading for these lines."""
    return f"orch: {said[0]}" if len(said) == 1 else f"orch: {said[0]} (and {len(said) - 1} more)"


def is_urgent(before: Told, after: Told) -> bool:
    """Whether nothing more is to be waited for: a study has come to its end."""
    return any(before.standing.get(study) != counts for study, counts in after.standing.items())


def _counts(states: Mapping[JobState, int]) -> str:
    return ", ".join(f"{n} {state.value}" for state, n in states.items() if n)


def _short(error: str) -> str:
    line = " ".join(error.split()) or "no reason is known"
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
