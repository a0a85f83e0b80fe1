"""When those that wait for a canary follow it: what is seen of the canary (db/canaries.py), and what follows."""

from __future__ import annotations

from datetime import datetime, timedelta

from db import canaries
from db.canaries import OpenCanary
from db.restraints import Follow
from jobs.words import BackendName, JobState
from orchestrator.supervision.cycle import Cycle
from orchestrator.supervision.standstill import for_a_person
from orchestrator.supervision.tenure import Tenure

RUNS_WELL = timedelta(seconds=30)
"""A program that reports nothing is trusted after so long a run."""
QUEUE_PATIENCE = timedelta(minutes=10)
"""So long a canary may wait in SLURM's queue: waiting tells nothing of the program."""


def follows(canary: OpenCanary, now: datetime, ran: float = 0.0) -> str | None:
    """Why the others follow it now; None: they wait on. `ran`: seconds that it was seen to run the program. Pure.

    A success lets them go by itself, where it is accepted.
    """
    if canary.failed:
        return None
    if canary.reported:
        return "it has reported its first metric"
    if canary.state is JobState.RUNNING and canary.ready is not None and ran >= RUNS_WELL.total_seconds():
        return f"it has run for {RUNS_WELL.seconds} s"
    queued = canary.state is JobState.SUBMITTED and canary.backend == BackendName.SLURM and canary.known
    if queued and now - canary.since >= QUEUE_PATIENCE and not for_a_person(canary.reason):
        return f"it has waited for {QUEUE_PATIENCE.seconds // 60} minutes in SLURM's queue"
    return None


class Canaries:
    """The canaries that a supervisor waits for.

    How long one has run is measured from when this supervisor first saw it run: clocks of nodes differ by minutes.
    """

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure
        self._running: dict[int, float] = {}
        """Execution → when it was first seen to run the program, on the monotonic clock."""

    def release(self, cycle: Cycle) -> list[OpenCanary]:
        """Let those go whose canary has told enough; the canaries that are still waited for."""
        tenure = self._tenure
        with tenure.store.read() as connection:
            found = canaries.opened(connection)
        now, ticks = tenure.clock.now(), tenure.clock.monotonic()
        running = [canary.ready for canary in found if canary.ready is not None]
        self._running = {one: self._running.get(one, ticks) for one in running}
        ran = {one: ticks - since for one, since in self._running.items()}
        told = {canary.job: follows(canary, now, ran.get(canary.ready or 0, 0.0)) for canary in found}
        due = {job: why for job, why in told.items() if why is not None}
        if due:
            cycle.changed = True
            with tenure.write() as writer:
                still = {canary.job for canary in canaries.opened(writer.connection) if not canary.failed}
                writer.decide([Follow(canary=job, why=why, at=now) for job, why in due.items() if job in still])
        return [canary for canary in found if canary.job not in due]
