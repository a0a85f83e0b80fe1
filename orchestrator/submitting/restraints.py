"""Changes of mind about what holds queued jobs back: the limits of a study, and canaries."""

from __future__ import annotations

from db import canaries
from db.entries import Entry
from db.limits import StudyLimits, limited
from db.restraints import Follow, Limits
from db.store import Store
from jobs.files import now
from jobs.words import JobState
from orchestrator.submitting.changing import Selection, chosen


def set_limits(store: Store, study: str, max_running: int | None, max_fails: int | None) -> str:
    """Change the limits of a study (0: none; None: as it is). What holds now, in words."""
    with store.write() as writer:
        writer.decide([Limits(study=study, max_running=max_running, max_fails=max_fails, at=now())])
        found = next(iter(limited(writer.connection, study)), None)
    return said(study, found)


def said(study: str, limits: StudyLimits | None) -> str:
    """The limits of a study, in words. Pure."""
    if limits is None:
        return f"study '{study}' has no limits"
    parts = []
    if limits.max_running is not None:
        parts.append(f"runs at most {limits.max_running} at once")
    if limits.max_fails is not None:
        parts.append(f"sends nothing more once {limits.max_fails} failed ({limits.failed} did)")
    return f"study '{study}' {' and '.join(parts)}"


def let_go(store: Store, selection: Selection) -> list[int]:
    """What waits for a canary among these jobs, or for one of them, waits no longer. The ids. Raises BadInput."""
    with store.write() as writer:
        connection = writer.connection
        found = [job.id for job in chosen(connection, selection, list(JobState), "set")]
        open_ones = {one.job for one in canaries.opened(connection)}
        decided: list[Entry] = []
        gone = set(canaries.behind(connection, [job for job in found if job in open_ones]))
        at = now()
        decided += [Follow(canary=job, why="--no-canary", at=at) for job in found if job in open_ones]
        alone = [job for job in canaries.waited_for(connection, found) if job not in gone]
        if alone:
            decided.append(Follow(jobs=tuple(alone), why="--no-canary", at=at))
        writer.decide(decided)
    return sorted({*gone, *alone})
