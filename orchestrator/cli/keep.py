"""`orch keep`"""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.jobs import jobs_option, selection, study_meant
from orchestrator.cli.options import json_option, open_store, print_json, store_option, study_option


@click.command(name="keep")
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
    """Take a drop back: the jobs count again.

    \b
    Example:
      orch keep 7
    """
    from orchestrator.submitting.changing import keep
    from orchestrator.views.words import plural

    store, settings = open_store(store_path)
    ids = keep(store, selection(jobs, filters, study_meant(store, settings, study), every))
    if as_json:
        print_json({"kept": ids})
    else:
        click.echo(f"kept {plural(len(ids), 'job')}")
