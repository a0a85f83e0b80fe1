"""Cancel and retry: what a person decides about jobs that exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from db import jobs
from db.entries import Cancel, Retry
from db.jobs import StoredJob
from db.store import Store
from jobs.errors import BadInput
from jobs.files import now
from jobs.words import FINAL, JobState


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which jobs a command means: ids, or all of a study in certain states."""

    ids: Sequence[int] = ()
    study: str | None = None
    every: bool = False
    states: Sequence[JobState] = ()


def chosen(connection: object, selection: Selection, allowed: Sequence[JobState], verb: str) -> list[StoredJob]:
    """The jobs meant. Raises BadInput for an unknown id, or one in a state that the verb does not fit."""
    from sqlalchemy import Connection

    assert isinstance(connection, Connection)
    if selection.ids and selection.every:
        raise BadInput(f"give job ids or --all to {verb}, not both")
    if not selection.ids and not selection.every:
        raise BadInput(f"name the jobs to {verb} by id, or use --all")
    if selection.every:
        return jobs.select(connection, study=selection.study, states=selection.states or allowed)
    found = [jobs.get(connection, job) for job in dict.fromkeys(selection.ids)]
    for job in found:
        if job.state not in allowed:
            raise BadInput(f"job {job.id} is {job.state}: only {', '.join(allowed)} jobs can be {_past(verb)}")
    return found


def _past(verb: str) -> str:
    return {"cancel": "cancelled", "retry": "retried"}[verb]


def cancel(store: Store, selection: Selection) -> list[int]:
    """Cancel jobs that have not ended: at once in the store; the machines follow. The ids."""
    allowed = [state for state in JobState if state not in FINAL]
    with store.write() as writer:
        found = chosen(writer.connection, selection, allowed, "cancel")
        if found:
            writer.decide([Cancel(jobs=tuple(job.id for job in found), at=now())])
    return [job.id for job in found]


def retry(store: Store, selection: Selection, *, resume: bool) -> list[int]:
    """Begin the next generation of failed or cancelled jobs. The ids."""
    with store.write() as writer:
        found = chosen(writer.connection, selection, [JobState.FAILED, JobState.CANCELLED], "retry")
        if found:
            writer.decide([Retry(jobs=tuple(job.id for job in found), resume=resume, at=now())])
    return [job.id for job in found]
