"""Which of the jobs that a submit makes goes first, alone: one per group of many new jobs of a program.

A group is the jobs of one program in one submit; where experiments come in stages, each is a group of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from db import canaries, jobs
from db.creation import Ensured
from db.restraints import Canary, Follow, Limits
from db.writer import Writer
from orchestrator.submitting.request import Request

MANY = 20
"""From so many new jobs on one goes first."""


@dataclass(frozen=True, kw_only=True)
class Flock:
    """A canary and those that a submit lets wait for it."""

    canary: int
    jobs: tuple[int, ...]
    new: bool
    """The canary is one of this submit; else one that goes already."""
    failed: bool = False
    """It has failed: they are blocked until a person does something."""


def flock(
    new: Sequence[int], ran: bool, going: int | None, wanted: bool | None, failed: int | None = None
) -> Flock | None:
    """What is to wait for which canary; None: all go at once. Pure.

    `new`: the jobs of a group by id; `ran`: their program has run before; `going`: an open canary of it; `failed`: one
    that has failed, so that others of the program are blocked; `wanted`: what the person said, None for nothing.
    """
    if wanted is False or not new:
        return None
    if wanted is None and len(new) < MANY and failed is not None and not ran:
        return Flock(canary=failed, jobs=tuple(new), new=False, failed=True)
    if wanted is None and (ran or len(new) < MANY):
        return None
    if going is not None:
        return Flock(canary=going, jobs=tuple(new), new=False)
    return Flock(canary=new[0], jobs=tuple(new[1:]), new=True) if len(new) > 1 else None


def flocks(connection: Connection, study: str, created: Sequence[int], wanted: bool | None) -> list[Flock]:
    """The flocks of a submit's new jobs."""
    few = wanted is None and len(created) < MANY
    if wanted is False or (few and not any(one.failed for one in canaries.opened(connection, study))):
        return []
    found = []
    for program, these in canaries.programs(connection, created).items():
        ran, going = canaries.ever_ran(connection, program), canaries.open_for(connection, study, program)
        made = flock(these, ran, going, wanted, canaries.open_for(connection, study, program, failed=True))
        if made is not None:
            found.append(made)
    return found


def restrain(writer: Writer, request: Request, ensured: Ensured, at: datetime, *, dry_run: bool) -> list[str]:
    """Decide what a submit says of its study and of canaries: what a person is told of it."""
    connection = writer.connection
    if request.max_running is not None or request.max_fails is not None:
        limits = Limits(study=request.study, max_running=request.max_running, max_fails=request.max_fails, at=at)
        writer.decide([limits])
    found = flocks(connection, request.study, ensured.created, request.canary)
    writer.decide([Canary(job=one.canary, jobs=one.jobs, at=at) for one in found])
    if request.canary is False and (waiting := tuple(canaries.waited_for(connection, ensured.existing))):
        writer.decide([Follow(jobs=waiting, why="--no-canary", at=at)])
    return [*said(found, dry_run=dry_run), *about_existing(connection, ensured.existing)]


def said(found: Sequence[Flock], *, dry_run: bool) -> list[str]:
    """What a person is told of it."""
    would = "would go" if dry_run else "goes"
    lines = []
    for one in found:
        how = "--no-canary" if dry_run else f"'orch set {one.canary} --no-canary'"
        many = f"{len(one.jobs)} {'waits' if len(one.jobs) == 1 else 'wait'}"
        if one.failed:
            would_wait = "would wait" if dry_run else "waits" if len(one.jobs) == 1 else "wait"
            lines.append(
                f"{len(one.jobs)} {would_wait} for canary job {one.canary}, which failed: 'orch retry {one.canary}' "
                "after the fix (--no-canary lets them go)"
            )
        elif one.new:
            lines.append(
                f"job {one.canary} {would} first, as a canary: the other {many} until it works "
                f"({how} sends all at once)"
            )
        else:
            lines.append(f"{many} for canary job {one.canary}, which goes first ({how} sends all at once)")
    return lines


def about_existing(connection: Connection, existing: Sequence[int]) -> list[str]:
    """What a repeated submit should say of jobs that still wait for a canary."""
    waiting: dict[int, int] = {}
    for canary in canaries.waited_for(connection, existing).values():
        waiting[canary] = waiting.get(canary, 0) + 1
    lines = []
    for canary, n in waiting.items():
        job = jobs.get(connection, canary)
        how = f"which failed: 'orch retry {canary}' after the fix" if job.state == "failed" else f"which is {job.state}"
        lines.append(f"{n} {'waits' if n == 1 else 'wait'} for canary job {canary}, {how} (--no-canary lets them go)")
    return lines
