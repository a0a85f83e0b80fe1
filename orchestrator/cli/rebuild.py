"""`orch rebuild`."""

from __future__ import annotations

from pathlib import Path

import click

from jobs.errors import BadInput
from orchestrator.cli.options import json_option, print_json, store_option, warn_of_odd_files


@click.command(name="rebuild")
@click.option("--accept-loss", is_flag=True, help="Go on without journal files that are missing or damaged.")
@click.option("--from", "source", metavar="MIRROR", help="Make a store of a mirror: a folder, or host:folder by ssh.")
@click.option("--really", is_flag=True, help="With --from: though another store was made of that mirror.")
@json_option
@store_option
def command(accept_loss: bool, source: str | None, really: bool, as_json: bool, store_path: Path | None) -> None:
    """Make the database anew from the journal and the run folders; the old one is kept beside it.

    Where the journal is not whole it refuses and names what would be lost: which files, which jobs.

    With --from, a store is made of the last complete round of a mirror (docs/mirror.md), on any machine: what had its
    result has it, the rest runs again. The old store is over from then on.

    \b
    Example:
      orch rebuild
      orch rebuild --from tanuki:backup/orch
    """
    if source is not None:
        if accept_loss:
            raise BadInput("--accept-loss mends the store that is here, --from makes one of a mirror: give one of them")
        _of_mirror(store_path, source, really, as_json)
        return
    if really:
        raise BadInput("--really goes with --from, like 'orch rebuild --from tanuki:backup/orch --really'")
    from rich.progress import Progress

    from orchestrator.upkeep.correcting import look_again
    from orchestrator.upkeep.rebuilding import rebuild_all
    from orchestrator.views.tables import DataConsole

    console = DataConsole(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading executions", total=None)
        store = rebuild_all(
            store_path, lambda done, total: bar.update(task, completed=done, total=total), accept_loss=accept_loss
        )
    for sentence in look_again(store).sentences():
        click.echo(f"orch: {sentence}", err=True)
    warn_of_odd_files(store)
    if as_json:
        print_json({"database": str(store.layout.database)})
    else:
        click.echo(f"rebuilt {store.layout.database}")


def _of_mirror(store_path: Path | None, source: str, really: bool, as_json: bool) -> None:
    from rich.progress import Progress

    from orchestrator.upkeep.restoring import restore
    from orchestrator.views.tables import DataConsole
    from orchestrator.views.words import listed, plural

    console = DataConsole(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading executions", total=None)
        made = restore(
            store_path,
            source,
            really=really,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            tell=lambda text: click.echo(text, err=True),
        )
    if made.aside:
        click.echo(
            f"{plural(len(made.aside), 'folder')} of what came after the round set aside: {listed(made.aside)}",
            err=True,
        )
    if made.again:
        click.echo(f"{plural(made.again, 'attempt')} that ran for the old store begin again", err=True)
    if made.cancelled:
        click.echo(
            f"cancelled SLURM's jobs of the old store that nothing here knows: {listed(made.cancelled)}", err=True
        )
    if made.marked:
        click.echo(
            f"Warning: the old store does not know that it is over, since the mirror cannot be written: {made.marked}",
            err=True,
        )
    if as_json:
        print_json(
            {
                "store": str(made.store.root),
                "complete_to": made.complete.number,
                "complete_at": made.complete.at,
                "aside": list(made.aside),
                "again": made.again,
                "cancelled": list(made.cancelled),
            }
        )
        return
    click.echo(
        f"rebuilt {made.store.root} from {source}, complete to entry {made.complete.number} of "
        f"{made.complete.at:%Y-%m-%d %H:%M:%S} UTC; 'orch supervise' goes on"
    )
