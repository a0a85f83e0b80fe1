"""Which jobs are sent in slices now: those that are to be, and whose program holds the seal with the code it runs."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from db import slices
from db.jobs import StoredJob
from db.sealing import Seals
from db.seals import VERIFIED, Standing
from orchestrator.supervision.slicing import OPTION, Learnt, SlicePlan, plan


def holds_seal(known: Standing | None) -> bool:
    """Whether a rehearsal of a job's program, with its own arguments and its code, found it right after resuming."""
    return known is not None and known.own and known.seal.verdict in VERIFIED


def plans(connection: Connection, jobs: Iterable[StoredJob]) -> dict[int, SlicePlan]:
    """How jobs are sent in slices now; those that are not in it: in one piece.

    So is one that lost its seal: a retry may run other code. Four queries, however many jobs there are.
    """
    asking = [job for job in jobs if job.launching.options.get(OPTION)]
    if not asking:
        return {}
    seals = Seals(connection)
    asking = [job for job in asking if holds_seal(seals.of_job(job))]
    ids = [job.id for job in asking]
    took, used = slices.took(connection, ids), slices.used_seconds(connection, ids)
    found = {}
    for job in asking:
        learnt = Learnt(
            seconds=tuple(seconds for seconds, _ in took[job.id]),
            epochs=max((epochs for _, epochs in took[job.id]), default=0),
        )
        minutes = job.launching.resources.minutes
        if made := plan(job.launching.options[OPTION], minutes, learnt, used.get(job.id, 0.0)):
            found[job.id] = made
    return found
