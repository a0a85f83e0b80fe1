"""`orch correct`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from jobs.errors import BadInput
from orchestrator.cli.options import json_option, open_store, print_json, store_option


@click.command()
@click.argument("jobs", type=int, nargs=-1)
@click.option("--undo", is_flag=True, help="Give back what was accepted: of these jobs, or of all.")
@json_option
@store_option
def command(jobs: Sequence[int], undo: bool, as_json: bool, store_path: Path | None) -> None:
    """Results that an earlier orch took wrongly, and what they were corrected to.

    They are found and corrected by the first command that opens the store with this version; a correction is an entry
    of the journal, and what was accepted is kept.

    \b
    Example:
      orch correct
      orch correct 3 --undo
    """
    from db import corrections
    from orchestrator.upkeep import correcting

    store, _ = open_store(store_path)
    if undo:
        given_back = correcting.undo(store, jobs)
        if as_json:
            print_json({"given_back": given_back})
        else:
            click.echo(f"gave back what was accepted: {_listed(given_back)}" if given_back else "nothing was corrected")
        return
    with store.read() as connection:
        found = corrections.corrected(connection)
    if missing := sorted(set(jobs) - {one.job for one in found}):
        raise BadInput(f"job {missing[0]} has no corrected result: 'orch correct' lists those that have")
    chosen = [one for one in found if not jobs or one.job in jobs]
    if as_json:
        fields = ("job", "study", "seed", "before", "metrics")
        print_json({"corrected": [{name: getattr(one, name) for name in fields} for one in chosen]})
        return
    if not chosen:
        click.echo("no result was corrected")
    for one in chosen:
        told = correcting.difference(one.before, one.metrics)
        click.echo(f"job {one.job} (study {one.study}, seed {one.seed}): {told}")


def _listed(jobs: Sequence[int]) -> str:
    return f"job{'s' if len(jobs) > 1 else ''} {', '.join(map(str, jobs))}"
