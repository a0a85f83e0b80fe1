"""`orch usage`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from orchestrator.cli.options import json_option, open_store, print_json, store_option, study_option


@click.command()
@click.option("--by", default="", help="One line for each cause, or for each value of a key, like lr or kind.")
@click.option("--filter", "filters", multiple=True, help="Only these jobs: lr=0.1, state=failed (repeatable).")
@study_option
@json_option
@store_option
def command(by: str, filters: Sequence[str], study: str | None, as_json: bool, store_path: Path | None) -> None:
    """What CPU and GPU hours were good for: useful, repeated after failures, spent in vain; queues; energy.

    Every second of every execution stands in exactly one line. '-' is what nobody knows.

    \b
    Example:
      orch usage
      orch usage --by cause
      orch usage --by lr --json
    """
    from jobs.files import now
    from orchestrator.usage import text
    from orchestrator.usage.gathering import account
    from orchestrator.views.collect import study_of
    from orchestrator.views.looking import look
    from orchestrator.views.tables import console

    store, settings = open_store(store_path, looking=True)
    look(store, settings)
    with store.read() as connection:
        found = account(connection, study_of(connection, study, settings), by.strip(), filters, now())
    if as_json:
        print_json(text.as_json(found))
        return
    out = console()
    out.print(text.render(found, out.width))
