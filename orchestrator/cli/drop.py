"""`orch drop`"""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.jobs import jobs_option, selection, study_meant
from orchestrator.cli.options import json_option, open_store, print_json, store_option, study_option


@click.command(name="drop")
@jobs_option
@click.option("--because", required=True, help="The reason: it stands in every footnote.")
@study_option
@store_option
@json_option
def command(
    jobs: tuple[str, ...],
    every: bool,
    filters: tuple[str, ...],
    because: str,
    study: str | None,
    store_path: Path | None,
    as_json: bool,
) -> None:
    """Take results out of every table, plot and statistic, with a reason. The jobs stay shown, and seeds count them.

    \b
    Example:
      orch drop 7 --because "diverged"
    """
    from db import canaries
    from orchestrator.jobids import ranges
    from orchestrator.submitting.changing import drop
    from orchestrator.supervision.starting import ensure_supervisor
    from orchestrator.views.words import plural

    store, settings = open_store(store_path)
    found = drop(store, selection(jobs, filters, study_meant(store, settings, study), every), because)
    before = {job: reason for job, reason in found.items() if reason is not None}
    with store.read() as connection:
        handed_on = any(not one.failed for one in canaries.opened(connection))
    if handed_on:
        ensure_supervisor(store)
    if as_json:
        print_json({"dropped": list(found)})
        return
    click.echo(f"dropped {plural(len(found), 'job')}")
    for reason in dict.fromkeys(before.values()):
        these = [job for job, one in before.items() if one == reason]
        stands = "" if reason == because.strip() else ", and has the new reason now"
        were = f"job {these[0]} was" if len(these) == 1 else f"{plural(len(these), 'job')} ({ranges(these)}) were"
        click.echo(f"  {were} dropped before: {reason}{stands}")
