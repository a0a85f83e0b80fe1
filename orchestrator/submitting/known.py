"""What is known of jobs at the moment of a decision about them, so that a claim tells what the decider could see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection

from db import jobs, known
from db.entries import Known
from db.store import Store
from db.writer import Writer
from jobs.errors import OrchError
from jobs.files import read_json
from jobs.layout import Layout, restart_of
from jobs.metrics import newest_place
from jobs.records import MetricLine, Outcome
from jobs.tails import newest_metrics
from jobs.words import JobState


@dataclass(frozen=True, kw_only=True)
class Written:
    """What the newest execution of an attempt that had not ended has written by now."""

    attempt: int
    lines: Sequence[MetricLine]
    outcome: Outcome | None


def look(store: Store, ids: Callable[[Connection], Sequence[int]]) -> dict[int, Written]:
    """What those of these jobs that run have in their files: a person can read them too, and nobody may have taken
    them in. Before the store is locked, since its disk may be slow. Whoever cannot be named yet has none.
    """
    with suppress(OrchError), store.read() as connection:
        going = known.newest_attempts(connection, ids(connection))
        return {job: found for job, attempt in going if (found := _written(store.layout, job, attempt)) is not None}
    return {}


def look_at_study(store: Store, study: str) -> dict[int, Written]:
    """The same of all jobs of a study that may run."""
    going = [JobState.SUBMITTED, JobState.RUNNING]
    return look(store, lambda connection: [job.id for job in jobs.select(connection, study=study, states=going)])


def _written(layout: Layout, job: int, attempt: int) -> Written | None:
    folders = sorted(layout.executions(job, attempt), key=lambda folder: restart_of(folder.name))
    if not folders:
        return None
    outcome = read_json(folders[-1] / "outcome.json", Outcome)
    return Written(attempt=attempt, lines=newest_metrics(folders[-1]), outcome=outcome)


def of(writer: Writer, ids: Sequence[int], looked: Mapping[int, Written]) -> tuple[Known, ...]:
    """Epoch and last numbers of those jobs that have reported any: by the database, and by what was just read."""
    found = {one.job: one for one in known.known(writer.connection, ids)}
    for job, attempt in known.newest_attempts(writer.connection, ids):
        if job in looked and looked[job].attempt == attempt:
            found[job] = _fresh(looked[job], found.get(job, Known(job=job)))
    return tuple(one for _, one in sorted(found.items()) if one.numbers)


def _fresh(written: Written, before: Known) -> Known:
    numbers = dict(before.numbers)
    for line in written.lines:
        numbers.update(line.values)
    if written.outcome is not None and written.outcome.ending == "success":
        numbers.update(written.outcome.result)
    return Known(
        job=before.job,
        epoch=newest_place(written.lines, before.epoch),
        epochs=written.lines[-1].epochs if written.lines else before.epochs,
        numbers=numbers,
    )
