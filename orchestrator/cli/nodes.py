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
@click.option("--gone", is_flag=True, help="The NAMES are hosts without SLURM that are down for good.")
@click.option("--really", is_flag=True, help="With --gone: also where there is a proof of life.")
@json_option
@store_option
def command(
    names: tuple[str, ...],
    clear: bool,
    clear_all: bool,
    gone: bool,
    really: bool,
    as_json: bool,
    store_path: Path | None,
) -> None:
    """Health of nodes and local GPUs: strikes, who is kept out until when, and clearing them.

    Other hosts that run jobs on local slots are shown with their last sign of life. --gone ends their jobs as
    node_failure, and they go on here from their checkpoints; a host that lives is refused.

    A node gets a strike when it fails, when a job cannot start on it or its GPU fails. Strikes expire by themselves.

    \b
    Example:
      orch nodes
      orch nodes --clear node7
      orch nodes --gone usagi
    """
    if gone and (clear or clear_all):
        raise BadInput("--gone and --clear are two things: say one after the other")
    if really and not gone:
        raise BadInput("--really goes with --gone, like 'orch nodes --gone --really usagi'")
    if gone:
        _gone(store_path, names, really, as_json)
        return
    if clear_all and (clear or names):
        raise BadInput("--clear-all takes no names: use --clear NAME … for some nodes")
    if clear and not names:
        raise BadInput("--clear needs the names of nodes, like 'orch nodes --clear node7' (or --clear-all)")
    store, settings = open_store(store_path, looking=not (clear or clear_all))
    if clear or clear_all:
        _clear(store, settings, names)
    from jobs.files import now
    from orchestrator.supervision import hosts
    from orchestrator.views import hosts as told
    from orchestrator.views.nodes import render
    from orchestrator.views.tables import console

    view = _view(store, settings)
    others = hosts.others(store)
    if names and not clear:
        view = view.only([name for name in names if name not in {host.name for host in others}])
        others = [host for host in others if host.name in names]
    ssh = hosts.asked(others, settings)
    if as_json:
        print_json({**view.contract(), "hosts": told.contract(others, ssh)})
        return
    out = console()
    if view.nodes or not others:
        out.print(render(view, out.width))
    if others:
        out.print(told.render(others, now(), out.width, ssh))


def _gone(store_path: Path | None, names: tuple[str, ...], really: bool, as_json: bool) -> None:
    """Declare hosts dead. Raises BadInput."""
    from orchestrator.upkeep.gone import declare
    from orchestrator.views.words import listed, plural

    if not names:
        raise BadInput("--gone needs the names of hosts, like 'orch nodes --gone usagi'")
    store, settings = open_store(store_path)
    done = declare(store, settings, names, really=really, watch=lambda text: click.echo(text, err=True))
    if as_json:
        print_json([{"host": host.name, "jobs": list(host.jobs)} for host in done])
        return
    for host in done:
        jobs = f"{plural(len(host.jobs), 'job')} ({listed(host.jobs)})" if host.jobs else ""
        what = f"{jobs} of it begin again elsewhere, from their checkpoints" if jobs else "its supervisor is replaced"
        click.echo(f"{host.name} is declared gone: {what}", err=True)


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
    from orchestrator.supervision.starting import ensure_supervisor

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
