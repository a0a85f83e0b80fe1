"""Reading a store for the views: the I/O around them. Nothing here writes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from db import canaries, holdups, jobs, lease, sealing, status, usage
from db.canaries import OpenCanary
from db.details import Detail
from db.launching import Launching
from db.limits import StudyLimits, limited
from db.status import StatusRow
from db.store import Store
from db.text import parse_time
from jobs import files
from jobs.errors import BadInput, OrchError
from jobs.tails import newest_metrics
from jobs.words import BackendName, JobState
from orchestrator import resuming, room
from orchestrator.mirroring import ages
from orchestrator.settings import Settings
from orchestrator.stopping import told
from orchestrator.supervision import notices
from orchestrator.tables.varying import is_house, varying
from orchestrator.views import idle, restraints
from orchestrator.views import status as view
from orchestrator.views.notes import code_note, collapse_notes, studies_note
from orchestrator.views.progress import Progress, progress
from orchestrator.views.words import plural
from slurm.pools import Pools

if TYPE_CHECKING:
    from sqlalchemy import Connection

FIRST_FEW = 5
WAITING_LOOKED_AT = 1000
"""Jobs that have not started, of which is asked whether another orch submitted them."""
QUEUE_LOOKED_AT = 5000
CONFIGS_LOOKED_AT = 2000
"""Of each state: enough to see what varies, and few enough for a look at a million jobs."""
NEWEST_FIRST = (JobState.FAILED, JobState.SUCCEEDED)


def study_of(connection: Connection, explicit: str | None, settings: Settings) -> str:
    """The study that a command is about. Raises BadInput for one that was named and does not exist.

    Where nobody names one and the usual one does not exist, it is the only one that does.
    """
    if explicit is not None and not jobs.study_exists(connection, explicit):
        raise BadInput(view.near_study(explicit, jobs.studies(connection)))
    if explicit is None and not jobs.study_exists(connection, settings.study):
        there = jobs.studies(connection)
        if len(there) == 1:
            return there[0]
    return explicit or settings.study


def supervisor(connection: Connection) -> view.SupervisorView | None:
    """Who holds the lease."""
    holder = lease.holder(connection)
    if holder is None:
        return None
    return view.SupervisorView(
        host=holder.host, pid=holder.pid, alive=holder.alive(), renewed_at=holder.renewed_at, late=holder.late()
    )


def status_view(
    store: Store, settings: Settings, study: str | None, *, limit: int | None, size: tuple[int, int]
) -> view.StatusView:
    """What `orch status` shows: so many jobs, or as many as fit in (columns, lines) of a terminal. Raises BadInput."""
    from orchestrator.supervision.machines import lab_trouble

    now = files.now()
    space = room.look(store.root, settings.store.quota)
    lab = lab_trouble(store.root, settings)
    mirror = ages.of_store(store, settings)
    with store.read() as connection:
        name = study_of(connection, study, settings)
        counts = jobs.counts(connection, name)
        blocked = jobs.blocked(connection, name) if counts[JobState.WAITING] + counts[JobState.QUEUED] else {}
        limits, flocks, vain = held_back(connection, name, counts)
        held = supervisor(connection)
        kinds = status.kind_counts(connection, name)
        alive = held is not None and held.alive
        failed = {canary.job for canary in flocks if canary.failed}
        notes = [
            *(told_by_supervisor(store, counts) if alive else ()),
            *_silent_hosts(store, settings, counts, now),
            lab if counts[JobState.QUEUED] + counts[JobState.SUBMITTED] + counts[JobState.RUNNING] else "",
            view.supervisor_note(counts, len(blocked) - sum(one.behind for one in flocks if one.failed) + vain, held),
            view.blocked_note(blocked, {job for job, roots in blocked.items() if set(roots) <= failed}),
            *(restraints.flock_note(canary) for canary in flocks),
            restraints.study_note(limits, counts[JobState.QUEUED]),
            *told.lines(connection, name),
            *collapse_notes(status.searches(connection, name) if "search" in kinds else ()),
            code_note(*status.code_changed(connection, name, FIRST_FEW)),
            view.live_note(*status.live_code(connection, name, FIRST_FEW)),
            *_upgrades(connection, name),
            idle.note(usage.running(connection, name), now) if counts[JobState.RUNNING] else "",
            studies_note(name, status.study_counts(connection)),
            space.warning(),
            mirror.warning(now) if mirror is not None else None,
        ]
        shown = tuple(note for note in notes if note)
        given = view.allocate(counts, limit or view.fitting(size, kinds, counts, shown))
        found = {
            state: status.some(connection, name, state, _with(kinds, state), n, newest=state in NEWEST_FIRST)
            for state, n in given.items()
            if n
        }
        sealed = sealing.of_study(connection, name)
        others = [kind for kind in kinds if not is_house(kind)]
        different = tuple(
            dict.fromkeys(one for kind in others for one in varying_in(connection, name, kind, kinds[kind]))
        )
    return view.StatusView(
        study=name,
        counts=counts,
        kinds=kinds,
        sections=tuple(_section(store, state, rows, counts[state], blocked, now) for state, rows in found.items()),
        supervisor=held,
        notes=shown,
        now=now,
        dense=view.is_dense(size[1]),
        full=restraints.of_study(limits),
        in_vain=vain,
        varying=tuple(different),
        seals=resuming.line(resuming.counted(sealed)),
        room=space.line(now),
        mirror=mirror.line(now) if mirror is not None else "",
    )


def _silent_hosts(store: Store, settings: Settings, counts: Mapping[JobState, int], now: datetime) -> Sequence[str]:
    """Which hosts of local jobs nobody has heard of for a minute."""
    if not counts[JobState.RUNNING] + counts[JobState.SUBMITTED]:
        return ()
    from orchestrator.supervision import hosts
    from orchestrator.views.hosts import notes

    found = hosts.others(store)
    return notes(found, now, hosts.asked(found, settings))


def held_back(
    connection: Connection, study: str, counts: Mapping[JobState, int]
) -> tuple[StudyLimits | None, list[OpenCanary], int]:
    """What holds queued jobs of a study back: its limits, its canaries; how many wait until a person does something."""
    if not counts[JobState.QUEUED]:
        return None, [], 0
    found = next(iter(limited(connection, study)), None)
    return found, canaries.opened(connection, study), holdups.in_vain(connection, study=study)


def varying_in(connection: Connection, study: str, kind: str, states: Collection[JobState]) -> tuple[str, ...]:
    """The names of what jobs of a kind are given that is not the same in all of a study."""
    found = status.configs(connection, study, kind, states, CONFIGS_LOOKED_AT)
    return varying(msgspec.json.decode(text) for text in found)


def _upgrades(connection: Connection, study: str) -> list[str]:
    """Which jobs wait that another orch submitted."""
    from orchestrator.code import upgrades

    found: dict[str, list[int]] = {}
    for text, n, first in status.waiting_launches(connection, study, WAITING_LOOKED_AT):
        said = upgrades.of_orch(msgspec.json.decode(text, type=Launching))
        if said:
            counted = found.setdefault(said, [0, first])
            counted[0] += n
    return [
        f"{plural(n, 'waiting job')} (the first is {first}) {'was' if n == 1 else 'were'} {said}: "
        f"{'it runs' if n == 1 else 'they run'} with that"
        for said, (n, first) in found.items()
    ]


def _with(kinds: Mapping[str, Mapping[JobState, int]], state: JobState) -> list[str]:
    return [kind for kind, counts in kinds.items() if counts.get(state)]


def status_json(store: Store, settings: Settings, study: str | None) -> dict[str, object]:
    """The JSON contract of `orch status`. Raises BadInput."""
    with store.read() as connection:
        name = study_of(connection, study, settings)
        counts = jobs.counts(connection, name)
        blocked = jobs.blocked(connection, name) if counts[JobState.WAITING] + counts[JobState.QUEUED] else {}
        limits, _, _ = held_back(connection, name, counts)
        held = supervisor(connection)
        rows = status.rows(connection, name)
        sealed = sealing.of_study(connection, name)
        rule = told.contract(connection, name)
    mirror, now = ages.of_store(store, settings), files.now()
    return {
        "study": name,
        "counts": counts,
        "supervisor": None if held is None else held.as_json(),
        "jobs": [
            {**view.as_json(row, blocked, restraints.of_study(limits)), "gpu_idle_seconds": _idle(row, now)}
            for row in rows
        ],
        **({"resume": resuming.counted(sealed)} if sealed else {}),
        **({"rule": rule} if rule else {}),
        "room": room.look(store.root, settings.store.quota).as_json(),
        "mirror": None if mirror is None else mirror.as_json(now),
    }


def _idle(row: StatusRow, now: datetime) -> Sequence[float] | None:
    """For how long each GPU of a running job has been idle; None where nobody knows."""
    return idle.seconds(idle.told(row.usage), now) if row.state == JobState.RUNNING else None


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
        runs = state is JobState.RUNNING
        fresh = running_progress(store, row, now) if runs else None
        lines.append(view.line(row, blocked, fresh))
        if runs:
            lines[-1] = replace(lines[-1], idle=idle.sentence(idle.told(row.usage), now))
    return view.Section(state=state, lines=tuple(lines), n=n)


def running_progress(store: Store, row: StatusRow, now: datetime) -> Progress | None:
    """Epoch, rate and time left of a running job, from its execution's own file."""
    if row.attempt is None or row.execution is None:
        return None
    folder = store.layout.attempt(row.id, row.attempt) / row.execution
    began = row.ready_at or row.started_at
    return progress(newest_metrics(folder), parse_time(began) if began else None, now)


def pools(store: Store, settings: Settings, name: BackendName) -> Pools:
    """The pools of nodes of a backend; none where its machines do not answer."""
    from orchestrator.supervision.machines import makers

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
    from orchestrator.supervision.handover import live_attempt, queued_job
    from slurm.local.backend import LocalBackend

    own = settings.local
    backend = LocalBackend(store.layout, jobs_per_gpu=own.jobs_per_gpu, cpu_slots=own.cpu_slots, gpus=own.gpus)
    with store.read() as connection:
        live = attempts.live_on(connection, BackendName.LOCAL)
        queued = jobs.dispatchable(connection, BackendName.LOCAL, now, QUEUE_LOOKED_AT)
        alone = attempts.crowded_out(connection)
    wanted = [queued_job(job, frozenset(), alone=job.id in alone) for job in queued if job.id <= detail.job.id]
    if not any(job.job == detail.job.id for job in wanted):
        return None
    with suppress(OrchError):
        return backend.waiting(wanted, [live_attempt(attempt) for attempt in live], exclude).get(detail.job.id)
    return None
