"""Closing a job with its first complete success, by one conditional write."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime

from db import jobs
from db.attempts import StoredAttempt
from db.entries import Accepted
from db.writer import Writer
from jobs import records
from jobs.files import write_json
from jobs.layout import Layout
from jobs.node import recount
from jobs.words import JobState
from orchestrator.supervision import spawning
from orchestrator.supervision.seen import Seen

_OPEN = (JobState.WAITING, JobState.QUEUED, JobState.SUBMITTED, JobState.RUNNING, JobState.FAILED)


def new_success(items: Sequence[Seen]) -> Seen | None:
    """The first complete success among them that is not stored yet. Pure."""
    found = [s for s in items if s.outcome is not None and s.outcome.ending == "success" and s.complete and s.changed]
    return min(found, key=lambda seen: seen.outcome.at if seen.outcome else seen.started.at, default=None)


def accept(writer: Writer, attempt: StoredAttempt, success: Seen, at: datetime) -> list[Accepted]:
    """Close the job; nothing where it is closed or of another generation: the success is kept as superseded."""
    job = jobs.get(writer.connection, attempt.job)
    outcome = success.outcome
    assert outcome is not None
    if job.state not in _OPEN or job.generation != attempt.generation:
        return []  # kept as superseded, as ingestion has stored it
    files = bool(job.launching.options.get("result_files"))
    metrics, rule = recount.accepted(job.kind, outcome, success.folder, files=files)
    entry = Accepted(
        job=job.id,
        attempt=attempt.number,
        execution=success.name,
        generation=job.generation,
        started=success.started,
        metrics=metrics,
        rule=rule,
        architecture=outcome.architecture,
        flags=outcome.flags,
        at=at,
    )
    spawning.spawn(writer, job, outcome.spawn, at)
    writer.decide([entry])
    return [entry]


def hint(layout: Layout, entry: Accepted) -> None:
    """Tell other copies that the job is closed: only a hint, so a full disk is no matter."""
    with contextlib.suppress(OSError):
        record = records.Accepted(
            attempt=entry.attempt, execution=entry.execution, generation=entry.generation, at=entry.at
        )
        write_json(layout.job(entry.job) / "accepted.json", record, durable=False)
