"""`orch rebuild`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import store_option


@click.command(name="rebuild")
@store_option
def command(store_path: Path | None) -> None:
    """Make the database anew from the journal and the run folders; the old one is kept beside it.

    \b
    Example:
      orch rebuild
    """
    from rich.console import Console
    from rich.progress import Progress

    from orchestrator.rebuilding import rebuild_all

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading executions", total=None)
        store = rebuild_all(store_path, lambda done, total: bar.update(task, completed=done, total=total))
    click.echo(f"rebuilt {store.layout.database}")
