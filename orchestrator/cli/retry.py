"""`orch retry`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from db.seals import ANYWAY
from orchestrator.cli.jobs import jobs_option, selection, study_meant
from orchestrator.cli.options import json_option, open_store, print_json, store_option, study_option
from orchestrator.cli.reported import REPORTED
from orchestrator.cli.terms import TERMS, change_of

LAST = "checkpoint"
"""What `--resume` alone means."""


class _Retry(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`--resume` stands alone, or before the one word 'anyway': job ids may follow it."""
        words = list(args)
        if "--resume" in words:
            place = words.index("--resume")
            anyway = words[place + 1 : place + 2] == [ANYWAY]
            words[place : place + 1 + anyway] = [f"--resume={ANYWAY if anyway else LAST}"]
        return super().parse_args(ctx, words)


@click.command(name="retry", cls=_Retry)
@jobs_option
@click.option(
    "--resume",
    type=click.Choice([LAST, ANYWAY]),
    metavar=f"[{ANYWAY}]",
    help="Go on from the last checkpoint (default: from the start); 'anyway': though it was found wrong after that.",
)
@click.option("--succeeded", is_flag=True, help="Finished jobs too: their numbers are in no table from now on.")
@click.option("--with-dependents", is_flag=True, help="And the jobs that rest on them.")
@click.option("--same-code", is_flag=True, help="Run the code that was submitted (default: a program's as it is now).")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="A variable of a program's environment.")
@click.option("--wait", is_flag=True, help="Show progress until nothing can move without you.")
@click.option("--no-start", is_flag=True, help="Only write it down: start no supervisor.")
@study_option
@store_option
@json_option
def command(
    jobs: tuple[str, ...],
    every: bool,
    filters: tuple[str, ...],
    resume: str | None,
    succeeded: bool,
    with_dependents: bool,
    same_code: bool,
    env: tuple[str, ...],
    wait: bool,
    no_start: bool,
    study: str | None,
    store_path: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Run failed or cancelled jobs again, as their next generation; finished ones with --succeeded.

    --all means all failed jobs of the study (with --succeeded: all finished ones too), not the cancelled ones.

    \b
    Example:
      orch retry --all
      orch retry 3-7 --mem 16G
      orch retry 3-7 --resume
      orch retry --succeeded --filter lr=0.1
    """
    from msgspec.structs import replace

    from db import canaries, sealing
    from db.changes import Change
    from jobs.words import JobState
    from orchestrator.jobids import ranges
    from orchestrator.submitting.changing import Again, retry
    from orchestrator.submitting.newterms import words
    from orchestrator.submitting.planning import assignments
    from orchestrator.submitting.program import given_environment
    from orchestrator.supervision.starting import ensure_supervisor
    from orchestrator.views.words import plural

    given["resume"] = ANYWAY if resume == ANYWAY else None
    change = replace(change_of(given), env=given_environment(assignments(env, "--env")))
    store, settings = open_store(store_path)
    name = study_meant(store, settings, study)
    states = [JobState.FAILED, *([JobState.SUCCEEDED] if succeeded else [])]
    again = Again(
        resume=resume is not None,
        succeeded=succeeded,
        with_dependents=with_dependents,
        same_code=same_code,
        change=change,
    )
    ids = retry(store, settings, selection(jobs, filters, name, every, states), again)
    if ids and not no_start:
        ensure_supervisor(store)
    if resume is not None:
        with store.read() as connection:
            anew = sealing.which_begin_anew(connection, ids)
        if anew:
            whose = f"job {ranges(anew)} {'begins' if len(anew) == 1 else 'begin'}"
            click.echo(
                f"note: {whose} from the start all the same, since 'orch rehearse' found the program wrong after "
                "resuming; 'orch set --resume anyway' lets it go on",
                err=True,
            )
    if as_json:
        print_json({"retried": ids})
    else:
        click.echo(f"retrying {plural(len(ids), 'job')}")
        with store.read() as connection:
            flocks = [one for one in canaries.opened(connection) if one.job in ids]
        code = "the code that they were submitted with" if same_code else "the code as it is now, as it does"
        terms = f", and with {words(change)}" if change != Change() else ""
        for one in flocks:
            many = f"{plural(one.behind, 'job')} {'follows' if one.behind == 1 else 'follow'}"
            click.echo(f"  canary job {one.job} goes first: {many} when it works, with {code}{terms}")
    if wait:
        from orchestrator.views.waiting import wait as wait_for

        click.get_current_context().exit(wait_for(store, name, quiet=as_json))


command.params += [*(option for option in TERMS if option.name != "resume"), *REPORTED]
