"""`orch cancel`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, open_store, print_json, store_option, study_option


@click.command(name="cancel")
@click.argument("jobs", nargs=-1, type=int)
@click.option("--all", "every", is_flag=True, help="All jobs of the study that have not ended.")
@study_option
@store_option
@json_option
def command(jobs: tuple[int, ...], every: bool, study: str | None, store_path: Path | None, as_json: bool) -> None:
    """Cancel jobs by id, or all that have not ended. A result that comes later is kept, but not counted.

    \b
    Example:
      orch cancel 3 4
    """
    from orchestrator.changing import Selection, cancel
    from orchestrator.starting import ensure_supervisor

    store, settings = open_store(store_path)
    ids = cancel(store, Selection(ids=jobs, study=study or settings.study, every=every))
    if ids:
        ensure_supervisor(store)
    if as_json:
        print_json({"cancelled": ids})
    else:
        click.echo(f"cancelled {len(ids)} jobs")
