"""`orch rebuild`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import store_option, warn_of_odd_files


@click.command(name="rebuild")
@click.option("--accept-loss", is_flag=True, help="Go on without journal files that are missing or damaged.")
@store_option
def command(accept_loss: bool, store_path: Path | None) -> None:
    """Make the database anew from the journal and the run folders; the old one is kept beside it.

    Where the journal is not whole it refuses and names what would be lost: which files, which jobs.

    \b
    Example:
      orch rebuild
    """
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
    click.echo(f"rebuilt {store.layout.database}")
