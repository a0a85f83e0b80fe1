"""`orch show`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.errors import BadInput
from orchestrator.cli.options import json_option, open_store, print_json, store_option

if TYPE_CHECKING:
    from db.details import Detail
    from db.store import Store


@click.command()
@click.argument("job", type=int)
@click.option("--epoch", type=click.IntRange(min=0), help="Of a search: read the architecture out after this epoch.")
@click.option("--tau", type=float, help="Of a search: read out at this threshold (default: the method's).")
@json_option
@store_option
def command(job: int, epoch: int | None, tau: float | None, as_json: bool, store_path: Path | None) -> None:
    """One job in full: config, attempts, executions, result. Times are UTC.

    Of a search job, --epoch and --tau read an architecture out of its history of α, without a new search.

    \b
    Example:
      orch show 3
      orch show 3 --epoch 100 --tau 0.6
    """
    from db import details
    from orchestrator.looking import look

    store, settings = open_store(store_path)
    look(store, settings)
    with store.read() as connection:
        detail = details.get(connection, job)
    if epoch is not None or tau is not None:
        _show_readout(store, detail, epoch, tau, as_json)
        return
    from orchestrator.views import job as view

    folder = str(store.layout.job(job))
    if as_json:
        print_json(view.as_json(detail, folder))
        return
    from jobs.files import now
    from orchestrator.views.collect import progress_of
    from orchestrator.views.tables import console

    out = console()
    at = now()
    out.print(view.job(detail, folder, progress_of(store, detail, at), at, out.width))


def _show_readout(store: Store, detail: Detail, epoch: int | None, tau: float | None, as_json: bool) -> None:
    found = _readout(store, detail, epoch, tau)
    if as_json:
        print_json(found)
        return
    click.echo(
        f"job {found['job']} (method {found['method']}) after epoch {found['epoch']} at tau {found['tau']:g}: "
        f"{found['shortcuts']} shortcuts, {found['params'] / 1e6:.2f} M parameters"
    )
    click.echo(f"architecture {found['architecture']}: {found['text']}")


def _readout(store: Store, detail: Detail, epoch: int | None, tau: float | None) -> dict[str, Any]:
    """From the α of the execution that counts. Raises BadInput."""
    from db import results
    from jobs.discretise import TAU, discretise, read_alpha
    from orchestrator.tables.keys import defaults
    from orchestrator.views.job import readout

    job = detail.job
    if job.kind != "search":
        raise BadInput(f"--epoch and --tau are for a search, and job {job.id} is of the kind {job.kind}")
    with store.read() as connection:
        place = results.execution_path(connection, job.id)
    lines = read_alpha(store.layout.attempt(job.id, place[0]) / place[1]) if place else []
    if not lines:
        raise BadInput(f"job {job.id} has no history of α yet: it is {job.state}, see 'orch explain {job.id}'")
    by_epoch = {line.epoch: line for line in lines}
    chosen = lines[-1].epoch if epoch is None else epoch
    if chosen not in by_epoch:
        raise BadInput(
            f"job {job.id} has no α after epoch {chosen}: it has epochs {lines[0].epoch} to {lines[-1].epoch}"
        )
    config = {**defaults(job.kind, job.preset), **job.config}
    method = config["method"]
    threshold = tau or TAU[method]
    architecture = discretise(by_epoch[chosen].alpha, method, threshold)
    return readout(job.id, chosen, threshold, method, architecture, float(config.get("width", 1.0)))
