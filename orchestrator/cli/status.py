"""`orch status`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, open_store, print_json, store_option, study_option, warn_of_odd_files

if TYPE_CHECKING:
    from db.store import Store
    from orchestrator.settings import Settings

EVERYTHING = 10**9


@click.command()
@click.option("--limit", type=click.IntRange(min=1), help="How many jobs to show (default: what fits).")
@click.option("--all", "everything", is_flag=True, help="Show every job.")
@click.option("--watch", is_flag=True, help="A live view; ends when nothing moves any more, or with Ctrl-C.")
@study_option
@json_option
@store_option
def command(
    limit: int | None, everything: bool, watch: bool, study: str | None, as_json: bool, store_path: Path | None
) -> None:
    """What runs, what waits and why, what ended and how.

    The failing and the running come first. Times are UTC.

    \b
    Example:
      orch status
      orch status --watch
      orch status --json | jq .counts
    """
    if watch and as_json:
        raise click.UsageError("--watch and --json do not go together: choose one")
    opened = _open(store_path)
    if opened is None:
        _nothing(store_path, study, as_json)
        return
    store, settings = opened
    from orchestrator.views.looking import look

    look(store, settings)
    warn_of_odd_files(store)
    if as_json:
        from orchestrator.views.collect import status_json

        print_json(status_json(store, settings, study))
    elif watch:
        from orchestrator.views.watching import follow

        follow(store, settings, study, EVERYTHING if everything else limit)
    else:
        _show(store, settings, study, EVERYTHING if everything else limit)


def _open(store_path: Path | None) -> tuple[Store, Settings] | None:
    from db.store import NoStore

    try:
        return open_store(store_path, looking=True)
    except NoStore:
        return None


def _nothing(store_path: Path | None, study: str | None, as_json: bool) -> None:
    """There is no store yet, which is no fault."""
    from db.place import locate
    from jobs.words import JobState
    from orchestrator.settings import load

    if as_json:
        name = study or load(locate(store_path, looking=True)).study
        print_json({"study": name, "counts": dict.fromkeys(JobState, 0), "supervisor": None, "jobs": []})
    else:
        from orchestrator.views.show_status import FIRST

        click.echo(f"no jobs yet, and no store: submit some, e.g. '{FIRST}'")


def _show(store: Store, settings: Settings, study: str | None, limit: int | None) -> None:
    from orchestrator.views.collect import status_view
    from orchestrator.views.show_status import status
    from orchestrator.views.tables import console, size

    view = status_view(store, settings, study, limit=limit, size=size())
    out = console()
    out.print(status(view, out.width))
