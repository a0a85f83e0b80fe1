"""The intent of a launch, durable before anything is launched: job.json, manifest, then Dispatch in the journal."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from db import bundled, jobs, limits, results, rhythms, sealing
from db.entries import Dispatch, DispatchedTask
from db.jobs import StoredJob
from jobs.errors import StoreError
from jobs.files import fsync_folder, make_folder, write_json
from jobs.layout import Layout
from jobs.records import Manifest, Task, Terms
from jobs.words import BackendName, JobState
from orchestrator.supervision.alterable import nice
from orchestrator.supervision.handover import job_file
from orchestrator.supervision.placing import within
from orchestrator.supervision.tenure import Tenure
from slurm.backend import Batch, Submission


def intend(
    tenure: Tenure,
    backend: BackendName,
    batches: Sequence[Batch],
    by_id: Mapping[int, StoredJob],
    exclude: frozenset[str],
) -> list[Submission]:
    """Make the intents durable: files first, then journal and database in one transaction. Raises StoreError."""
    if not batches:
        return []
    at, layout = tenure.clock.now(), tenure.store.layout
    with tenure.store.read() as connection:
        made = [_submission(connection, layout, backend, batch, by_id, exclude, at) for batch in batches]
    kept = []
    with tenure.write() as writer:
        for submission in made:
            entry = Dispatch(
                token=submission.token,
                backend=backend,
                slot=submission.batch.slot,
                pieces=submission.batch.jobs[0].pieces,
                bundle=submission.batch.bundle,
                nice=nice(submission.batch.jobs[0].options, 0, 0),
                tasks=tuple(DispatchedTask(t.job, t.attempt, t.generation) for t in submission.manifest.tasks),
                at=at,
            )
            if _still_wanted(writer.connection, submission, by_id):
                writer.decide([entry])
                kept.append(submission)
    _close_earlier(tenure, kept)
    return kept


def _close_earlier(tenure: Tenure, submissions: Sequence[Submission]) -> None:
    """Before these are launched: a runner of a bundle that was requeued begins no job that has a later attempt."""
    tasks = [task for submission in submissions for task in submission.manifest.tasks if task.attempt > 1]
    if not tasks:
        return
    with tenure.store.read() as connection:
        before = bundled.before(connection, [task.job for task in tasks])
    for task in tasks:
        if task.job in before:
            folder = tenure.store.layout.attempt(task.job, task.attempt)
            try:
                make_folder(folder)
                fsync_folder(folder.parent)
            except OSError as error:
                raise StoreError(f"cannot make {folder}: {error.strerror}; make room or mend the folder") from None


def _still_wanted(connection: Connection, submission: Submission, read: Mapping[int, StoredJob]) -> bool:
    """Whether nobody cancelled one, changed how it is to be run, or gave its study less room, since they were read."""
    found = jobs.get_many(connection, [task.job for task in submission.manifest.tasks])
    room = {one.study: one.room for one in limits.limited(connection) if one.room is not None}
    return within(found, room) == found and all(
        job.state is JobState.QUEUED and job.behind is None and _sent_as(job) == _sent_as(read[job.id]) for job in found
    )


def _sent_as(job: StoredJob) -> tuple[object, ...]:
    return job.launch, job.memory_mb, job.generation, job.attempts, job.resume


def _submission(
    connection: Connection,
    layout: Layout,
    backend: BackendName,
    batch: Batch,
    by_id: Mapping[int, StoredJob],
    exclude: frozenset[str],
    at: datetime,
) -> Submission:
    token = f"orch-{secrets.token_hex(8)}"
    folder = layout.submission(token)
    tasks, terms = [], list[Terms]()
    known = rhythms.known(connection, [item.job for item in batch.jobs])
    for item in batch.jobs:
        job = by_id[item.job]
        _write_job_file(layout, job)
        how = msgspec.structs.replace(job.launching.terms(), options=dict(item.options))
        if how not in terms:
            terms.append(how)
        inputs = {}
        for needed in job.needs:
            accepted = results.accepted_execution(connection, needed)
            if accepted is not None:
                path = layout.attempt(needed, accepted[0]) / accepted[1]
                inputs[str(needed)] = layout.relative(path)
        tasks.append(
            Task(
                job=job.id,
                attempt=job.attempts + 1,
                generation=job.generation,
                resources=item.resources,
                inputs=inputs,
                terms=terms.index(how),
                resume=job.resume,
                rhythms=known.get(job.id, ()),
                anew=sealing.begins_anew(connection, job),
                pieces=item.pieces,
            )
        )
    manifest = Manifest(
        token=token,
        backend=backend,
        tasks=tuple(tasks),
        terms=tuple(terms),
        created_at=at,
        bundle=batch.bundle,
        at_once=batch.at_once,
        learnt_seconds=batch.learnt_seconds,
    )
    try:
        make_folder(folder, exist_ok=False)
        write_json(layout.manifest(token), manifest)
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror}; make room or mend the folder") from None
    return Submission(token=token, folder=folder, manifest=manifest, batch=batch, exclude=exclude)


def _write_job_file(layout: Layout, job: StoredJob) -> None:
    folder = layout.job(job.id)
    path = folder / "job.json"
    if job.attempts == 0 or not path.exists():
        try:
            make_folder(folder)
            write_json(path, job_file(job))
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}; make room or mend the folder") from None
