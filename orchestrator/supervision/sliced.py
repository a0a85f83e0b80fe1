"""Which jobs are sent in slices now: those that are to be, and whose program holds the seal with the code it runs."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from db import sealing, slices
from db.jobs import StoredJob
from db.seals import VERIFIED
from orchestrator.supervision.slicing import OPTION, Learnt, SlicePlan, plan


def holds_seal(connection: Connection, job: StoredJob) -> bool:
    """Whether a rehearsal of the job's program, with its own arguments and its code, found it right after resuming."""
    known = sealing.known_of(connection, job)
    return known is not None and known.own and known.seal.verdict in VERIFIED


def plan_of(connection: Connection, job: StoredJob) -> SlicePlan | None:
    """How it is sent in slices now; None: in one piece.

    So is one that lost its seal: a retry may run other code.
    """
    asked = job.launching.options.get(OPTION)
    if not asked or not holds_seal(connection, job):
        return None
    took = slices.took(connection, job.id)
    epochs = max((epochs for _, epochs in took), default=0)
    learnt = Learnt(seconds=tuple(seconds for seconds, _ in took), epochs=epochs)
    return plan(asked, job.launching.resources.minutes, learnt, slices.used_seconds(connection, job.id))


def plans(connection: Connection, jobs: Iterable[StoredJob]) -> dict[int, SlicePlan]:
    """Of those that are sent in slices."""
    found = {job.id: plan_of(connection, job) for job in jobs if job.launching.options.get(OPTION)}
    return {job: made for job, made in found.items() if made is not None}
