"""`orch retry`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, open_store, print_json, store_option, study_option


@click.command(name="retry")
@click.argument("jobs", nargs=-1, type=int)
@click.option("--all", "every", is_flag=True, help="All failed jobs of the study (cancelled ones only by id).")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint (default: from the start).")
@click.option("--wait", is_flag=True, help="Show progress until nothing can move without you.")
@study_option
@store_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    jobs: tuple[int, ...],
    every: bool,
    resume: bool,
    wait: bool,
    study: str | None,
    store_path: Path | None,
    as_json: bool,
) -> None:
    """Run failed or cancelled jobs again, as their next generation.

    \b
    Example:
      orch retry --all
    """
    from jobs.words import JobState
    from orchestrator.changing import Selection, retry
    from orchestrator.starting import ensure_supervisor

    store, settings = open_store(store_path)
    name = study or settings.study
    ids = retry(store, Selection(ids=jobs, study=name, every=every, states=[JobState.FAILED]), resume=resume)
    if ids:
        ensure_supervisor(store)
    if as_json:
        print_json({"retried": ids})
    else:
        click.echo(f"retrying {len(ids)} jobs")
    if wait:
        from orchestrator.waiting import wait as wait_for

        context.exit(wait_for(store, name, quiet=as_json))
