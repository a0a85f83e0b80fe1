"""What every repeated submit says of jobs that ended without a result: only a retry runs them again."""

from __future__ import annotations

from collections.abc import Sequence

import click

from db import jobs
from db.changes import Change
from db.minds import changed
from db.store import Store
from jobs.words import JobState
from orchestrator.jobids import ranges
from orchestrator.submitting.newterms import words

MOST_IDS = 20
_VERBS = {JobState.CANCELLED: ("was cancelled", "were cancelled"), JobState.FAILED: ("failed", "failed")}


def say_what_stays(store: Store, existing: Sequence[int], change: Change, *, as_json: bool) -> None:
    """A submit makes sure that jobs exist: what was cancelled or has failed is run again by a retry alone, and under
    the terms that it had unless that retry names those of `change` too."""
    with store.read() as connection:
        found = jobs.in_states(connection, existing, list(_VERBS)) if existing else {}
        ended = jobs.get_many(connection, [job for ids in found.values() for job in ids])
    if change != Change():
        other = {
            job.id
            for job in ended
            if changed(job.launching, change) != job.launching
            or (change.asked.memory_mb is not None and job.memory_mb not in (None, change.asked.memory_mb))
        }
    else:
        other = set()
    for state, ids in found.items():
        if ids:
            several = len(ids) > 1
            which = " ".join(map(str, ids)) if len(ids) <= MOST_IDS else "ID ..."
            also = f"; name {words(change)} there too: what has ended keeps its terms" if other & set(ids) else ""
            click.echo(
                f"{'jobs' if several else 'job'} {ranges(ids)} {_VERBS[state][several]} before: 'orch retry {which}' "
                f"runs {'them' if several else 'it'} again{also}",
                err=as_json,
            )
