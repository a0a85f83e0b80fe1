"""`orch nodes`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.errors import BadInput
from orchestrator.cli.options import json_option, open_store, print_json, store_option

if TYPE_CHECKING:
    from db.store import Store
    from orchestrator.settings import Settings
    from orchestrator.views.nodes import NodesView


@click.command()
@click.argument("names", nargs=-1)
@click.option("--clear", is_flag=True, help="Forget the strikes of the NAMES: they are used again at once.")
@click.option("--clear-all", is_flag=True, help="Forget all strikes.")
@json_option
@store_option
def command(names: tuple[str, ...], clear: bool, clear_all: bool, as_json: bool, store_path: Path | None) -> None:
    """Health of nodes and local GPUs: strikes, who is kept out until when, and clearing them.

    A node gets a strike when it fails, when a job cannot start on it or its GPU fails. Strikes expire by themselves.

    \b
    Example:
      orch nodes
      orch nodes --clear node7
    """
    if clear_all and (clear or names):
        raise BadInput("--clear-all takes no names: use --clear NAME … for some nodes")
    if clear and not names:
        raise BadInput("--clear needs the names of nodes, like 'orch nodes --clear node7' (or --clear-all)")
    store, settings = open_store(store_path)
    if clear or clear_all:
        _clear(store, settings, names)
    view = _view(store, settings)
    if names and not clear:
        view = view.only(names)
    if as_json:
        print_json(view.contract())
        return
    from orchestrator.views.nodes import render
    from orchestrator.views.tables import console

    out = console()
    out.print(render(view, out.width))


def _view(store: Store, settings: Settings) -> NodesView:
    from db import health
    from jobs.files import now
    from jobs.words import BackendName
    from orchestrator.settings import hours
    from orchestrator.views import collect, nodes
    from slurm.pools import Pools

    at = now()
    with store.read() as connection:
        strikes = health.strikes(connection, at - hours(settings.nodes.strike_hours))
    pools = Pools()
    if nodes.suspects(strikes, settings.nodes):
        local, slurm = (collect.pools(store, settings, name) for name in BackendName)
        pools = Pools(partitions={**local.partitions, **slurm.partitions}, states=slurm.states)
    return nodes.view(strikes, pools, at, settings.nodes)


def _clear(store: Store, settings: Settings, names: tuple[str, ...]) -> None:
    """Forget strikes; wake the supervisor where jobs may go now. Raises BadInput for a node without any."""
    from db import health, jobs
    from db.entries import ClearStrikes
    from jobs.files import now
    from jobs.words import JobState
    from orchestrator.settings import hours
    from orchestrator.starting import ensure_supervisor

    at = now()
    with store.write() as writer:
        strikes = health.strikes(writer.connection, at - hours(settings.nodes.strike_hours))
        struck = {one.node for one in strikes}
        for name in names:
            if name not in struck:
                have = f"there are some against {', '.join(sorted(struck))}" if struck else "no node has any"
                raise BadInput(f"node '{name}' has no strikes to clear: {have}")
        if struck:
            writer.decide([ClearStrikes(nodes=names, at=at)])
        queued = jobs.counts(writer.connection)[JobState.QUEUED]
    if struck and queued:
        ensure_supervisor(store)
    click.echo(f"cleared the strikes of {', '.join(names) if names else f'{len(struck)} nodes'}", err=True)
