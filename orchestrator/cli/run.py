"""`orch run`"""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import open_store, store_option


@click.command(name="run")
@click.argument("job", type=int)
@click.option("--pdb", "debugger", is_flag=True, help="Python: end in the debugger where an exception is raised.")
@store_option
def command(job: int, debugger: bool, store_path: Path | None) -> None:
    """A job in the foreground, with its code and its environment; nothing of it is recorded.

    It runs in a temporary folder, from the start, on whatever GPUs this shell sees, and writes to this terminal. Its
    exit code is the program's. What it wrote is named at the end.

    \b
    Example:
      orch run 5
      orch run 5 --pdb
    """
    from orchestrator.submitting.foreground import of_store

    store, _ = open_store(store_path)
    click.get_current_context().exit(of_store(store, job, debugger=debugger))
