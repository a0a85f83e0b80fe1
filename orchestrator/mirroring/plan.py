"""What a round copies of each attempt. Pure: what lies in the folders is listed by others (listing.py)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from db.mirrored import MirroredAttempt

RECORDS = (
    "started.json",
    "ready.json",
    "progress.json",
    "program.json",
    "metrics.jsonl",
    "alpha.jsonl",
    "usage.json",
    "outcome.json",
)
"""Of an execution: how it ended, its numbers and architectures."""
OF_SUBMISSIONS = ("manifest.json", "changes.jsonl", "given_up", "local.json")
SETTLED = timedelta(hours=1)
"""An attempt that ended so long before a complete round writes no more files that count."""
PROGRAMS = frozenset({"command"})


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What lies in an execution's folder."""

    name: str
    files: frozenset[str] = frozenset()
    steps: tuple[int, ...] = ()
    """Of its checkpoints whose payload is whole, ascending."""
    reached: int = -1
    """How far a program's checkpoints came; -1: it has none."""


@dataclass
class Plan:
    """Paths below the store's folder; those that end in '/' with all that lies in them."""

    records: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)


def settled(attempt: MirroredAttempt, since: datetime | None) -> bool:
    """Whether a round that began then has all of it: nothing is to be looked at."""
    over = attempt.ended_at is not None and not attempt.goes_on and not attempt.needed
    return over and since is not None and attempt.ended_at is not None and attempt.ended_at < since - SETTLED


def add(plan: Plan, attempt: MirroredAttempt, folder: str, executions: Sequence[Listed]) -> None:
    """What of one attempt is copied. `folder`: its own, below the store's."""
    for one in executions:
        plan.records += [f"{folder}/{one.name}/{name}" for name in RECORDS if name in one.files]
        if attempt.needed and one.name == attempt.accepted:
            plan.folders += [f"{folder}/{one.name}/{name}/" for name in ("out", "checkpoints") if name in one.files]


def resumable(attempts: Sequence[tuple[MirroredAttempt, str, Sequence[Listed]]]) -> list[str]:
    """The newest checkpoint of a job that goes on, over all its executions: its files, or a program's whole folder.

    `attempts`: those of one job and generation, with their folders and what lies in them, oldest first.
    """
    best: tuple[int, str] | None = None
    for attempt, folder, executions in attempts:
        for one in executions:
            at = one.reached if attempt.kind in PROGRAMS else (one.steps[-1] if one.steps else -1)
            if at >= 0 and (best is None or at >= best[0]):
                best = at, f"{folder}/{one.name}/checkpoints/"
    if best is None:
        return []
    if attempts[0][0].kind in PROGRAMS:
        return [best[1]]
    return [f"{best[1]}step-{best[0]:08d}{ending}" for ending in (".pt", ".json")]


def job_of(checkpoint: str) -> int:
    """The job of a checkpoint's path (`runs/0/12/1/e0-0af31c/checkpoints/…`)."""
    return int(checkpoint.split("/")[2])


def kept(before: Collection[str], now: Collection[str], going: Collection[int]) -> set[str]:
    """The checkpoints of earlier rounds that stay: of jobs that go on, and of which this round found no newer one."""
    newer = {job_of(path) for path in now}
    return {path for path in before if path not in now and job_of(path) in going and job_of(path) not in newer}
