"""Reading a store for the views: the I/O around them. Nothing here writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from db import jobs, lease, status
from db.details import Detail
from db.status import StatusRow
from db.store import Store
from db.text import parse_time
from jobs import files
from jobs.errors import BadInput, OrchError
from jobs.records import MetricLine
from jobs.words import BackendName, JobState
from orchestrator import notices
from orchestrator.settings import Settings
from orchestrator.views import status as view
from orchestrator.views.progress import Progress, progress
from slurm.pools import Pools

if TYPE_CHECKING:
    from sqlalchemy import Connection

TAIL_BYTES = 16_384
"""Enough for the newest epochs' lines of any kind of ours."""
FIRST_FEW = 5
QUEUE_LOOKED_AT = 5000
NEWEST_FIRST = (JobState.FAILED, JobState.SUCCEEDED)


def study_of(connection: Connection, explicit: str | None, settings: Settings) -> str:
    """The study that a command is about. Raises BadInput for one that was named and does not exist."""
    if explicit is not None and not jobs.study_exists(connection, explicit):
        raise BadInput(view.near_study(explicit, jobs.studies(connection)))
    return explicit or settings.study


def supervisor(connection: Connection) -> view.SupervisorView | None:
    """Who holds the lease."""
    holder = lease.holder(connection)
    if holder is None:
        return None
    return view.SupervisorView(host=holder.host, pid=holder.pid, alive=holder.alive())


def status_view(
    store: Store, settings: Settings, study: str | None, *, limit: int | None, size: tuple[int, int]
) -> view.StatusView:
    """What `orch status` shows: so many jobs, or as many as fit in (columns, lines) of a terminal. Raises BadInput."""
    now = files.now()
    with store.read() as connection:
        name = study_of(connection, study, settings)
        counts = jobs.counts(connection, name)
        blocked = jobs.blocked(connection, name) if counts[JobState.WAITING] else {}
        held = supervisor(connection)
        kinds = status.kind_counts(connection, name)
        alive = held is not None and held.alive
        notes = [
            *(told_by_supervisor(store, counts) if alive else ()),
            view.supervisor_note(counts, len(blocked), held),
            view.blocked_note(blocked),
            view.code_note(*status.code_changed(connection, name, FIRST_FEW)),
            view.studies_note(name, status.study_counts(connection)),
        ]
        told = tuple(note for note in notes if note)
        given = view.allocate(counts, limit or view.fitting(size, kinds, counts, told))
        found = {
            state: status.some(connection, name, state, _with(kinds, state), n, newest=state in NEWEST_FIRST)
            for state, n in given.items()
            if n
        }
    return view.StatusView(
        study=name,
        counts=counts,
        kinds=kinds,
        sections=tuple(_section(store, state, rows, counts[state], blocked, now) for state, rows in found.items()),
        supervisor=held,
        notes=told,
        now=now,
        dense=view.is_dense(size[1]),
    )


def _with(kinds: Mapping[str, Mapping[JobState, int]], state: JobState) -> list[str]:
    return [kind for kind, counts in kinds.items() if counts.get(state)]


def status_json(store: Store, settings: Settings, study: str | None) -> dict[str, object]:
    """The JSON contract of `orch status`. Raises BadInput."""
    with store.read() as connection:
        name = study_of(connection, study, settings)
        counts = jobs.counts(connection, name)
        blocked = jobs.blocked(connection, name) if counts[JobState.WAITING] else {}
        held = supervisor(connection)
        rows = status.rows(connection, name)
    return {
        "study": name,
        "counts": counts,
        "supervisor": None if held is None else {"host": held.host, "pid": held.pid, "alive": held.alive},
        "jobs": [view.as_json(row, blocked) for row in rows],
    }


def _section(
    store: Store,
    state: JobState,
    rows: Sequence[StatusRow],
    n: int,
    blocked: Mapping[int, Sequence[int]],
    now: datetime,
) -> view.Section:
    lines = []
    for row in rows:
        fresh = running_progress(store, row, now) if state is JobState.RUNNING else None
        lines.append(view.line(row, blocked, fresh))
    return view.Section(state=state, lines=tuple(lines), n=n)


def running_progress(store: Store, row: StatusRow, now: datetime) -> Progress | None:
    """Epoch, rate and time left of a running job, from its execution's own file."""
    if row.attempt is None or row.execution is None:
        return None
    folder = store.layout.attempt(row.id, row.attempt) / row.execution
    began = row.ready_at or row.started_at
    return progress(newest_metrics(folder), parse_time(began) if began else None, now)


def newest_metrics(folder: Path) -> list[MetricLine]:
    """The newest lines of an execution's metrics.jsonl, oldest first; none where there is no file yet."""
    lines = []
    for text in tail(folder / "metrics.jsonl", TAIL_BYTES).split(b"\n"):
        with suppress(msgspec.DecodeError):
            lines.append(msgspec.json.decode(text, type=MetricLine))
    return lines


def tail(path: Path, most: int) -> bytes:
    """The end of a file; nothing where it does not exist."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - most))
            return handle.read()
    except OSError:
        return b""


def pools(store: Store, settings: Settings, name: BackendName) -> Pools:
    """The pools of nodes of a backend; none where its machines do not answer."""
    from orchestrator.machines import makers

    with suppress(OrchError):
        return makers(store.layout, settings)[name]().pools()
    return Pools()


def told_by_supervisor(store: Store, counts: Mapping[JobState, int]) -> list[str]:
    """Why it sends nothing (all nodes bad), and which machines do not answer, where that keeps some job waiting."""
    found = notices.read(store)
    if found is None:
        return []
    moving = counts[JobState.QUEUED] + counts[JobState.SUBMITTED] + counts[JobState.RUNNING]
    stops = found.stopped.values() if counts[JobState.QUEUED] else ()
    silences = [f"{name} does not answer: {text}" for name, text in found.silent.items()] if moving else ()
    return [*stops, *silences]


def progress_of(store: Store, detail: Detail, now: datetime) -> Progress | None:
    """How far the newest execution of a running job is."""
    if detail.job.state is not JobState.RUNNING or not detail.executions:
        return None
    newest = detail.executions[-1]
    folder = store.layout.attempt(detail.job.id, newest.attempt) / newest.name
    return progress(newest_metrics(folder), newest.ready_at or newest.started_at, now)


def slot_reason(store: Store, settings: Settings, detail: Detail, exclude: frozenset[str], now: datetime) -> str | None:
    """Why no local slot takes a queued job now; None where one would, or where nothing can be told."""
    from db import attempts
    from orchestrator.dispatch import live_attempt, queued_job
    from slurm.local_backend import LocalBackend

    own = settings.local
    backend = LocalBackend(store.layout, jobs_per_gpu=own.jobs_per_gpu, cpu_slots=own.cpu_slots, gpus=own.gpus)
    with store.read() as connection:
        live = [attempt for attempt in attempts.live(connection) if attempt.backend == BackendName.LOCAL]
        queued = jobs.dispatchable(connection, BackendName.LOCAL, now, QUEUE_LOOKED_AT)
        alone = attempts.crowded_out(connection)
    wanted = [queued_job(job, frozenset(), alone=job.id in alone) for job in queued if job.id <= detail.job.id]
    if not any(job.job == detail.job.id for job in wanted):
        return None
    with suppress(OrchError):
        return backend.waiting(wanted, [live_attempt(attempt) for attempt in live], exclude).get(detail.job.id)
    return None
