"""`orch status --watch`: the view of `orch status`, drawn anew while anything moves."""

from __future__ import annotations

import time

import click

from db.store import Store
from jobs.words import JobState
from orchestrator.settings import Settings
from orchestrator.views.collect import status_view
from orchestrator.views.looking import look
from orchestrator.views.show_status import status
from orchestrator.views.status import StatusView
from orchestrator.views.tables import console, size

SECONDS = 1.0
MOVING = (JobState.RUNNING, JobState.SUBMITTED, JobState.QUEUED)


def follow(store: Store, settings: Settings, study: str | None, limit: int | None) -> None:
    """Until nothing moves, or Ctrl-C. In a pipe: the whole view whenever a count changes."""
    try:
        if console().is_terminal:
            _draw(store, settings, study, limit)
        else:
            _print_changes(store, settings, study, limit)
    except KeyboardInterrupt:
        click.echo("stopped watching: the jobs go on", err=True)
        raise


def _draw(store: Store, settings: Settings, study: str | None, limit: int | None) -> None:
    from rich.live import Live

    out = console()
    view = _view(store, settings, study, limit)
    with Live(status(view, size()[0]), console=out, auto_refresh=False, screen=False, vertical_overflow="crop") as live:
        while moves(view):
            time.sleep(SECONDS)
            view = _view(store, settings, study, limit)
            out.width = size()[0]  # a window may have another size by now
            live.update(status(view, size()[0]), refresh=True)


def _print_changes(store: Store, settings: Settings, study: str | None, limit: int | None) -> None:
    shown = None
    while True:
        view = _view(store, settings, study, limit)
        if view.counts != shown:
            shown = view.counts
            click.echo(status(view, size()[0]).plain)
        if not moves(view):
            return
        time.sleep(SECONDS)


def moves(view: StatusView) -> bool:
    """Whether anything may still happen without a person."""
    return sum(view.counts[state] for state in MOVING) > view.in_vain


def _view(store: Store, settings: Settings, study: str | None, limit: int | None) -> StatusView:
    look(store, settings)
    return status_view(store, settings, study, limit=limit, size=size())
