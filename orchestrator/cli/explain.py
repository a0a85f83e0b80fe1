"""`orch explain`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, open_store, print_json, store_option

if TYPE_CHECKING:
    from datetime import datetime

    from db.details import Detail
    from db.store import Store
    from orchestrator.settings import Settings
    from orchestrator.views.explanation import Surroundings


@click.command()
@click.argument("job", type=int)
@json_option
@store_option
def command(job: int, as_json: bool, store_path: Path | None) -> None:
    """Why a job waits, or why it ended: the cause, its evidence, what orch did and will do.

    \b
    Example:
      orch explain 3
    """
    from db import details
    from orchestrator.looking import look
    from orchestrator.views import explanation
    from orchestrator.views.tables import console

    store, settings = open_store(store_path)
    look(store, settings)
    with store.read() as connection:
        detail = details.get(connection, job)
    found = explanation.explain(detail, _surroundings(store, settings, detail))
    if as_json:
        print_json(found.contract())
    else:
        out = console()
        out.print(explanation.render(found, out.width))


def _surroundings(store: Store, settings: Settings, detail: Detail) -> Surroundings:
    """What matters for a job in this state; machines are asked only where it waits for them."""
    from db import details, health
    from jobs.files import now
    from jobs.words import BackendName, JobState
    from orchestrator.placing import exclusion
    from orchestrator.settings import hours
    from orchestrator.views import collect, nodes
    from orchestrator.views.explanation import Surroundings

    at = now()
    state = detail.job.state
    with store.read() as connection:
        supervisor = collect.supervisor(connection)
        before = details.queued_before(connection, detail.job.id) if state is JobState.QUEUED else 0
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
    return Surroundings(
        now=at,
        supervisor=supervisor,
        stopped=stopped,
        excluded=excluded,
        spared=spared,
        slot=slot,
        before=before,
        progress=collect.progress_of(store, detail, at),
    )
