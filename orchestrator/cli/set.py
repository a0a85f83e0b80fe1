"""`orch set`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli.jobs import jobs_option, selection, study_meant
from orchestrator.cli.options import json_option, open_store, print_json, store_option, study_option
from orchestrator.cli.reported import REPORTED
from orchestrator.cli.terms import LIMITS, TERMS, change_of


@click.command(name="set")
@jobs_option
@click.option("--now", is_flag=True, help="Stop what runs at its next checkpoint, and go on under the new terms.")
@click.option("--no-canary", is_flag=True, help="What waits for a canary, or for one of these jobs, goes now.")
@click.option("--no-start", is_flag=True, help="Only write it down: start no supervisor.")
@study_option
@store_option
@json_option
def command(
    jobs: tuple[str, ...],
    every: bool,
    filters: tuple[str, ...],
    now: bool,
    no_canary: bool,
    no_start: bool,
    study: str | None,
    store_path: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Change how jobs that are not finished are run: what they are stays. It holds from their next attempt on.

    What waits in SLURM's queue keeps its place there for another time, memory, CPUs, partition or priority, and is sent
    again for anything else. What runs goes on as it is, unless you say --now. --max-running and --max-fails are of a
    whole study: name no jobs for them.

    \b
    Example:
      orch set 3-12 --time 8:00:00 --mem 32G
      orch set 7 --time 2-00:00:00 --now
      orch set --filter state=queued --partition long --priority 5
      orch set 3-12 --metric 'acc=Accuracy: ([\\d.]+)'
      orch set --study sweep --max-running 8
      orch set --all --no-canary
    """
    from db.changes import Change
    from jobs.errors import BadInput
    from orchestrator.submitting.changing import set_terms
    from orchestrator.submitting.restraints import let_go, set_limits
    from orchestrator.supervision.starting import ensure_supervisor
    from orchestrator.views.words import listed, plural

    most, fails = given.pop("max_running"), given.pop("max_fails")
    limits = most is not None or fails is not None
    if limits and (jobs or filters):
        raise BadInput("--max-running and --max-fails are of a whole study: name it with --study, and no jobs")
    change = change_of(given)
    terms = change != Change() or not (limits or no_canary)
    store, settings = open_store(store_path)
    name = study_meant(store, settings, study)
    ids: list[int] = []
    said = []
    if terms:
        given_to = set_terms(store, selection(jobs, filters, name, every), change, at_once=now)
        ids = list(given_to.jobs)
        where = given_to.where(at_once=now)
        said.append(f"changed {plural(len(ids), 'job')}" + (f" ({where})" if where else ""))
        if not ids:
            said = ["nothing to change: " + ("they are run so already" if given_to.looked_at else "no job fits")]
        if given_to.unused and not as_json:
            click.echo(f"note: without effect on jobs of this host: {listed(given_to.unused)}", err=True)
    if limits:
        said.append(set_limits(store, name, most, fails))
    if no_canary:
        gone = let_go(store, selection(jobs, filters, name, every))
        ids = sorted({*ids, *gone})
        said.append(f"{plural(len(gone), 'job')} {'waits' if len(gone) == 1 else 'wait'} for a canary no longer")
    if (ids or limits) and not no_start:
        ensure_supervisor(store)
    if as_json:
        print_json({"set": ids})
        return
    for line in said:
        click.echo(line)


command.params += [*TERMS, *REPORTED, *LIMITS]
