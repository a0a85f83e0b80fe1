"""`orch clean`"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.errors import BadInput, StoreError
from orchestrator.amounts import size_text
from orchestrator.cli.options import json_option, open_store, print_json, store_option

if TYPE_CHECKING:
    from orchestrator.upkeep.cleaning import Removal


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--weights", is_flag=True, help="Also the final weights of succeeded jobs.")
@json_option
@store_option
def command(dry_run: bool, yes: bool, weights: bool, as_json: bool, store_path: Path | None) -> None:
    """Remove checkpoints of succeeded jobs, and folders that nothing needs.

    Results, metrics, outcomes, logs and the journal always stay, and so does the newest checkpoint of each result,
    unless [clean] keep in orch.toml says otherwise (last, best or none).

    \b
    Example:
      orch clean --dry-run
      orch clean --yes
    """
    from orchestrator.code.snapshots import holding
    from orchestrator.upkeep.cleaning import plan, remove
    from orchestrator.views.looking import look

    store, settings = open_store(store_path)
    look(store, settings)
    store.catch_up()  # a submission that only the journal knows yet is no stray folder
    removals = plan(store, weights=weights, keep=settings.clean.keep)
    if not as_json:
        _tell(removals)
    if not dry_run and removals and not yes:
        if as_json or not sys.stdin.isatty():
            raise BadInput("nothing was removed: say --yes, or see with --dry-run what would go")
        click.confirm("Remove them?", abort=True)
    failed = []
    if not dry_run:
        with holding(store.layout.code):  # a submit may need by now what nothing needed a moment ago
            still = {one.path for one in plan(store, weights=weights, keep=settings.clean.keep)}
            removals = [one for one in removals if one.path in still]
            failed = remove(removals)
    done = [] if dry_run else [one for one in removals if one not in [bad for bad, _ in failed]]
    if as_json:
        names = [str(one.path.relative_to(store.root)) for one in removals]
        print_json({"found": names, "bytes": sum(one.bytes for one in removals), "removed": len(done)})
    elif done:
        click.echo(f"removed {sum(one.files for one in done)} files, {size_text(sum(one.bytes for one in done))}")
    if failed:
        removal, error = failed[0]
        raise StoreError(f"cannot remove {removal.path}: {error.strerror} ({len(failed)} in all); mend its permissions")


def _tell(removals: Sequence[Removal]) -> None:
    if not removals:
        click.echo("nothing to remove")
    for why in dict.fromkeys(one.why for one in removals):
        mine = [one for one in removals if one.why == why]
        click.echo(f"{why}: {sum(one.files for one in mine)} files, {size_text(sum(one.bytes for one in mine))}")
