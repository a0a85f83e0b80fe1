"""Stored jobs and attempts as backends and workers are told of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from db.attempts import StoredAttempt
from db.jobs import StoredJob
from jobs.bundles import at_once
from jobs.kind import kind_named
from jobs.records import JobFile
from jobs.resources import Resources
from jobs.words import BackendName
from orchestrator.supervision.alterable import SAY_TIME, nice
from orchestrator.supervision.slicing import SlicePlan
from slurm.backend import LiveAttempt, QueuedJob

_TOLD: dict[int, tuple[StoredAttempt, LiveAttempt]] = {}
"""Id → what was last made of it: of the same object the same is made again, five thousand times a cycle."""
_MOST_TOLD = 100_000


def live_attempt(attempt: StoredAttempt) -> LiveAttempt:
    """An attempt as a backend is told of it; the same object for the same object."""
    told = _TOLD.get(attempt.id)
    if told is not None and told[0] is attempt:
        return told[1]
    if len(_TOLD) >= _MOST_TOLD:
        _TOLD.clear()
    made = _made(attempt)
    _TOLD[attempt.id] = attempt, made
    return made


_LISTS: dict[str, tuple[Sequence[StoredAttempt], list[LiveAttempt]]] = {}
"""Backend → the newest list, and what was made of it."""


def told(live: Sequence[StoredAttempt], backend: str) -> list[LiveAttempt]:
    """Those that the machines of a backend may have; the same list for the same list."""
    had = _LISTS.get(backend)
    if had is not None and had[0] is live:
        return had[1]
    made = [
        live_attempt(one)
        for one in live
        if one.backend == backend and (one.native_id is not None or backend == BackendName.LOCAL)
    ]
    _LISTS[backend] = live, made
    return made


def _made(attempt: StoredAttempt) -> LiveAttempt:
    return LiveAttempt(
        job=attempt.job,
        attempt=attempt.number,
        token=attempt.token,
        index=attempt.position,
        size=attempt.size,
        native_id=attempt.native_id,
        slot=attempt.slot,
        running=attempt.state == "running",
        submitted_at=attempt.created_at,
        node=attempt.node,
        pid=attempt.pid,
        process_start=attempt.process_start,
        boot_id=attempt.boot_id,
        pieces=attempt.pieces,
        bundle=attempt.bundle,
    )


def resources_of(job: StoredJob) -> Resources:
    """What the job asks for now (memory may have been raised)."""
    wanted = job.launching.resources
    return msgspec.structs.replace(wanted, memory_mb=job.memory_mb) if job.memory_mb else wanted


def queued_job(
    job: StoredJob,
    avoid: frozenset[str],
    *,
    alone: bool,
    level: int = 0,
    plan: SlicePlan | None = None,
    learnt: float = 0.0,
) -> QueuedJob:
    """A queued job as a backend is told of it; `alone`: it shares its GPU, or its task, with no other job of ours.

    `level`: the highest priority that waits in SLURM's queue; `plan`: of a job that is run in slices; `learnt`: the
    seconds that jobs like it took.
    """
    options = job.launching.options
    if job.launching.backend == BackendName.SLURM and (back := nice(options, job.priority, level)):
        options = {**options, "slurm": {**dict(options.get("slurm") or {}), "nice": back}}
    resources, pieces = resources_of(job), 0
    if plan is not None:
        resources, pieces = msgspec.structs.replace(resources, minutes=plan.minutes), plan.pieces
        own = {name: value for name, value in dict(options.get("slurm") or {}).items() if name not in SAY_TIME}
        options = {**options, "slurm": own}
    return QueuedJob(
        job=job.id,
        resources=resources,
        pieces=pieces,
        at_once=1 if alone or pieces or job.launching.backend != BackendName.SLURM else at_once(options),
        learnt_seconds=learnt,
        device=job.launching.device,
        checkpoints=kind_named(job.kind).checkpoints,
        options={**options, "jobs_per_gpu": 1} if alone else options,
        avoid=avoid,
    )


def job_file(job: StoredJob) -> JobFile:
    """What the job is; how an attempt of it is run stands in the attempt's manifest."""
    return JobFile(
        id=job.id,
        study=job.study,
        kind=job.kind,
        kind_version=job.kind_version,
        seed=job.seed,
        config=job.config,
        preset=job.preset,
        key=job.key,
        needs=job.needs,
        created_at=job.created_at,
    )
