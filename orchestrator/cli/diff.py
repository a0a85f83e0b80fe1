"""`orch diff`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, open_store, print_json, store_option

if TYPE_CHECKING:
    from db.store import Store
    from jobs.records import Code
    from orchestrator.code.differences import Side
    from orchestrator.settings import Settings
    from orchestrator.views.difference import Seen


@click.command(name="diff")
@click.argument("before")
@click.argument("after")
@click.option("--code", "whole", is_flag=True, help="Show the whole difference of the code, as a patch.")
@json_option
@store_option
def command(before: str, after: str, whole: bool, as_json: bool, store_path: Path | None) -> None:
    """What differs between two jobs, or a job and the word 'now': parameters, code, environment, versions, metrics.

    \b
    Example:
      orch diff 3 4
      orch diff 5 now --code
    """
    from orchestrator.views import difference

    store, settings = open_store(store_path)
    if before == "now":
        from jobs.errors import BadInput

        raise BadInput("name the job first: 'orch diff 5 now'")
    first = _seen(store, settings, before, None)
    second = _seen(store, settings, after, first)
    if whole and first.code is not None and second.code is not None:
        from orchestrator.code import differences

        for line in differences.text(first.code, second.code):
            click.echo(line)
        return
    found = difference.sections(first, second)
    if as_json:
        print_json(difference.as_json(first, second, found))
        return
    for line in difference.lines(first, second, found):
        click.echo(line)


def _seen(store: Store, settings: Settings, word: str, beside: Seen | None) -> Seen:
    from db import details, results
    from jobs.errors import BadInput
    from jobs.files import read_json
    from jobs.node.interpreter import Software
    from jobs.records import Outcome
    from orchestrator.jobids import parse
    from orchestrator.views.difference import Seen
    from orchestrator.views.sent import job_as_sent

    if word == "now" and beside is not None and beside.job is not None:
        from orchestrator.submitting.program import present

        tree, installed, around = present(store, settings, beside.job)
        return Seen(name="now", job=None, code=tree, software=installed, surroundings=around)
    ids = parse([word])
    if len(ids) != 1:
        raise BadInput(f"'orch diff' compares two jobs: give one id, not '{word}'")
    with store.read() as connection:
        detail = details.get(connection, ids[0])
        path = results.execution_path(connection, ids[0])
    job, code = job_as_sent(store.layout, detail), detail.job.launching.code
    outcome = None
    if path is not None:
        outcome = read_json(store.layout.attempt(job.id, path[0]) / path[1] / "outcome.json", Outcome)
    versions = dict(outcome.versions) if outcome is not None else {}
    if job.launching.fingerprint is not None:
        versions["orch"] = job.launching.fingerprint.version
    if outcome is not None and outcome.device_name:
        versions["device"] = outcome.device_name
    software = None
    if code is not None and code.software:
        software = read_json(store.layout.code / "software" / f"{code.software}.json", Software)
    return Seen(
        name=f"job {job.id}",
        job=job,
        code=_side(store, code) if code is not None else None,
        live=code is not None and not code.snapshot,
        software=software,
        surroundings=job.launching.surroundings,
        versions=versions,
        metrics=detail.result.metrics if detail.result is not None else {},
    )


def _side(store: Store, code: Code) -> Side | None:
    """The snapshot of a job, with the commit of its own submit."""
    import msgspec

    from orchestrator.code.differences import Side, side

    found = side(store.layout.code, code.snapshot)
    if found is None or code.commit is None:
        return found
    return Side(snapshot=msgspec.structs.replace(found.snapshot, commit=code.commit, dirty=code.dirty), home=found.home)
