"""`orch cancel`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.jobs import jobs_option, selection, study_meant
from orchestrator.cli.options import json_option, open_store, print_json, store_option, study_option


@click.command(name="cancel")
@jobs_option
@study_option
@store_option
@json_option
def command(
    jobs: tuple[str, ...],
    every: bool,
    filters: tuple[str, ...],
    study: str | None,
    store_path: Path | None,
    as_json: bool,
) -> None:
    """Cancel jobs that have not ended. A result that comes later is kept, but not counted.

    \b
    Example:
      orch cancel 3 7-12
      orch cancel --filter lr=10
    """
    from orchestrator.submitting.changing import cancel
    from orchestrator.supervision.starting import ensure_supervisor
    from orchestrator.views.words import plural

    store, settings = open_store(store_path)
    ids = cancel(store, selection(jobs, filters, study_meant(store, settings, study), every))
    if ids:
        ensure_supervisor(store)
    if as_json:
        print_json({"cancelled": ids})
    else:
        click.echo(f"cancelled {plural(len(ids), 'job')}")
