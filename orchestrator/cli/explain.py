"""`orch explain`"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.jobs import is_one, shown, shown_option
from orchestrator.cli.options import json_option, open_store, print_json, store_option

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from db.details import Detail
    from db.store import Store
    from jobs.words import BackendName, JobState
    from orchestrator.settings import Settings
    from orchestrator.views.status import SupervisorView
    from orchestrator.views.surroundings import Surroundings


@click.command()
@shown_option
@json_option
@store_option
def command(
    jobs: tuple[str, ...], filters: tuple[str, ...], study: str | None, as_json: bool, store_path: Path | None
) -> None:
    """Why a job waits, or why it ended: the cause, its evidence, what orch did and will do.

    \b
    Example:
      orch explain 3
      orch explain --filter state=failed
    """
    from db import details
    from orchestrator.views import explanation
    from orchestrator.views.looking import look
    from orchestrator.views.tables import console

    store, settings = open_store(store_path, looking=True)
    look(store, settings)
    ids = shown(store, settings, jobs, filters, study)
    with store.read() as connection:
        found = [details.get(connection, job) for job in ids]
    silent = _silences(store, settings, found)
    explained = [
        explanation.explain(detail, _surroundings(store, settings, detail, silent.get(detail.job.id, "")))
        for detail in found
    ]
    if as_json:
        told = [one.contract() for one in explained]
        print_json(told[0] if is_one(jobs, filters) else told)
        return
    out = console()
    for place, one in enumerate(explained):
        if place:
            click.echo()
        out.print(explanation.render(one, out.width))


def _surroundings(store: Store, settings: Settings, detail: Detail, silent: str) -> Surroundings:
    """What matters for a job in this state; machines are asked only where it waits for them."""
    from db import canaries, details, health, limits
    from jobs.files import now
    from jobs.words import BackendName, JobState
    from orchestrator.settings import hours
    from orchestrator.supervision import oddities
    from orchestrator.supervision.placing import exclusion
    from orchestrator.views import collect, nodes
    from orchestrator.views.surroundings import Surroundings

    at = now()
    state = detail.job.state
    with store.read() as connection:
        supervisor = collect.supervisor(connection)
        before = details.queued_before(connection, detail.job.id) if state is JobState.QUEUED else 0
        concerned = detail.job.behind or detail.job.id
        canary = next((one for one in canaries.opened(connection) if one.job == concerned), None)
        limited = next(iter(limits.limited(connection, detail.job.study)), None)
        strikes = health.strikes(connection, at - hours(settings.nodes.strike_hours))
    wanted = detail.attempts[-1].backend if state is JobState.SUBMITTED else detail.job.launching.backend
    backend = BackendName(wanted) if wanted in tuple(BackendName) else None
    stopped: tuple[str, ...] = ()
    excluded: dict[str, datetime] = {}
    spared: frozenset[str] = frozenset()
    if backend and state in (JobState.QUEUED, JobState.SUBMITTED) and nodes.suspects(strikes, settings.nodes):
        found = exclusion(strikes, collect.pools(store, settings, backend), at, settings.nodes)
        stopped, excluded, spared = tuple(found.stopped.values()), dict(found.until), found.spared
    slot = None
    if state is JobState.QUEUED and backend is BackendName.LOCAL:
        slot = collect.slot_reason(store, settings, detail, frozenset(excluded) - spared, at)
    odd = oddities.of_attempts(store.layout, detail.attempts)
    return Surroundings(
        now=at,
        supervisor=supervisor,
        stopped=stopped,
        excluded=excluded,
        spared=spared,
        canary=canary,
        limits=limited,
        slot=slot,
        before=before,
        progress=collect.progress_of(store, detail, at),
        slices=_slices(store, settings, detail, at),
        silent=silent,
        odd=(
            *_lab(store, settings, state, backend),
            *(f"{one.path} is passed over: {one.why}" for one in odd),
            *_missing(store, detail),
            *_upgrades(store, detail),
            *_secrets(settings, detail, supervisor),
        ),
    )


def _slices(store: Store, settings: Settings, detail: Detail, at: datetime) -> list[str]:
    """Of a live attempt in pieces: how they stand; SLURM is asked when it would begin one piece."""
    from jobs.errors import BadInput
    from jobs.files import read_json
    from jobs.records import Manifest
    from jobs.words import AttemptState
    from orchestrator.supervision.handover import resources_of
    from orchestrator.terms import as_sent
    from orchestrator.views import slices
    from slurm.cluster import trial

    attempt = detail.attempts[-1] if detail.attempts else None
    if attempt is None or not attempt.pieces or attempt.state is AttemptState.ENDED:
        return []
    manifest = read_json(store.layout.manifest(attempt.token), Manifest)
    minutes = manifest.tasks[0].resources.minutes if manifest is not None else None
    alone = None
    with contextlib.suppress(BadInput):  # orch.toml is wrong: that is said where it holds something up
        job = replace(detail.job, launching=as_sent(detail.job.launching, settings.slurm))
        alone = trial.begins(resources_of(job), dict(job.launching.options.get("slurm") or {}))
    return slices.told(attempt, detail.executions, minutes, alone, at)


def _lab(store: Store, settings: Settings, state: JobState, backend: BackendName | None) -> list[str]:
    """What is wrong with the lab whose SLURM has the job, or shall have it."""
    from jobs.words import BackendName, JobState
    from orchestrator.supervision.machines import lab_trouble

    if backend is not BackendName.SLURM or state not in (JobState.QUEUED, JobState.SUBMITTED, JobState.RUNNING):
        return []
    wrong = lab_trouble(store.root, settings)
    return [wrong] if wrong else []


def _silences(store: Store, settings: Settings, details: Sequence[Detail]) -> dict[int, str]:
    """Job -> since when the host of its local attempt has been silent; those left out are heard of, or do not run."""
    from jobs.files import now
    from jobs.words import JobState
    from orchestrator.supervision import hosts
    from orchestrator.views.hosts import silence

    if not any(detail.job.state in (JobState.SUBMITTED, JobState.RUNNING) for detail in details):
        return {}
    found = [host for host in hosts.others(store) if host.silent]
    ssh, at = hosts.asked(found, settings), now()
    return {job: silence(host, at, ssh.get(host.name, "")) for host in found for job in host.jobs}


def _missing(store: Store, detail: Detail) -> tuple[str, ...]:
    """Secrets that its newest execution did not get."""
    from orchestrator.views import program

    if detail.job.kind != "command" or not detail.executions:
        return ()
    newest = detail.executions[-1]
    found = program.missing(program.record_of(store.layout.attempt(detail.job.id, newest.attempt) / newest.name))
    return (f"the program did not get {found}",) if found else ()


def _secrets(settings: Settings, detail: Detail, supervisor: SupervisorView | None) -> list[str]:
    """Secrets that it will not get if nothing changes."""
    from jobs.words import BackendName, JobState
    from orchestrator.views import secrets

    job = detail.job
    in_queue = job.state is JobState.SUBMITTED and detail.attempts[-1].backend == BackendName.SLURM
    if job.imported or job.kind != "command" or not (in_queue or job.state in (JobState.WAITING, JobState.QUEUED)):
        return []
    return secrets.of_job(job, settings, supervisor)


def _upgrades(store: Store, detail: Detail) -> list[str]:
    """What was upgraded while it waits."""
    from jobs.words import JobState
    from orchestrator.code import upgrades
    from orchestrator.submitting.program import KIND, place_of

    job = detail.job
    if job.imported or job.state not in (JobState.WAITING, JobState.QUEUED, JobState.SUBMITTED):
        return []
    told = [f"it was {said}: it runs with that" for said in [upgrades.of_orch(job.launching)] if said]
    if job.kind == KIND:
        place = place_of(job, store.root.parent.resolve())
        changed = upgrades.of_python(store.layout.code, job.config["argv"], job.launching, place.cwd)
        told += [f"what its Python has installed changed since the submit: {changed}"] if changed else []
    return told
