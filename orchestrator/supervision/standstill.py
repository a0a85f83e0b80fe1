"""Jobs that stand still in SLURM's queue until a person does something: no poll, retry or patience starts them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from sqlalchemy import Connection

from db import holdups, jobs
from db.store import Store
from jobs.words import JobState
from slurm.cluster import reasons

STANDS_SECONDS = 5.0
"""For so long a reason must be seen before it counts: SLURM gives some for a moment."""


def for_a_person(reason: str) -> bool:
    """Whether a job that waits for this reason never starts by itself."""
    return reasons.needs_a_person(reason)


def all_stand_still(connection: Connection, *, held: int = 0) -> dict[str, str]:
    """'job 3' → its reason, where every job that could move stands still; else nothing.

    `held`: queued jobs that wait for bad nodes.
    """
    found = jobs.counts(connection)
    if found[JobState.RUNNING] or not found[JobState.SUBMITTED]:
        return {}
    stuck = [one for one in holdups.held_up(connection) if one.submitted and for_a_person(one.reason)]
    if len(stuck) < found[JobState.SUBMITTED]:
        return {}
    queued = found[JobState.QUEUED]
    if queued > held and queued > held + holdups.in_vain(connection, standing={one.job for one in stuck}):
        return {}
    return {f"job {one.job}": one.reason for one in stuck}


@dataclass
class Stands:
    """Whether all has stood still for so long that it will not pass by itself."""

    stuck: dict[str, str] = field(default_factory=dict)
    _since: float | None = None

    def still(self, store: Store, held: int) -> bool:
        """Look once more."""
        with store.read() as connection:
            self.stuck = all_stand_still(connection, held=held)
        at = time.monotonic()
        self._since = (at if self._since is None else self._since) if self.stuck else None
        return self._since is not None and at - self._since >= STANDS_SECONDS
