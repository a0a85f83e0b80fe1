"""Commands that only look: where no supervisor runs, they take in what executions wrote, and start nothing."""

from __future__ import annotations

import click

from db import audit, lease, status
from db.store import LeaseLost, Store
from jobs.errors import StoreError
from jobs.words import BackendName
from orchestrator.settings import Settings


def look(store: Store, settings: Settings) -> None:
    """Ingest what is there, under the lease for a moment. SLURM is not asked: a look must be quick.

    Where the journal is damaged so that nothing can be changed, it says so, and the look shows what the database holds.
    """
    text = audit.warning(store, refusing=True)
    if text:
        click.echo(f"Warning: {text}", err=True)
        return
    if store.read_only:
        return
    with store.read() as connection:
        holder = lease.holder(connection)
        if (holder is not None and holder.alive()) or not status.may_have_news(connection):
            return
    from orchestrator.supervision.machines import makers  # a tenth of a second that most looks can do without
    from orchestrator.supervision.supervisor import Supervisor

    try:
        number = lease.take(store)
        if number is None:
            return
        supervisor = Supervisor(store, makers(store.layout, settings), settings, number)
        while (cycle := supervisor.cycle(observe=[BackendName.LOCAL], dispatch=False)).unfinished and cycle.changed:
            pass
        supervisor.abandon()
    except LeaseLost:
        return  # a supervisor has just started: it does the work
    except StoreError as error:
        if "readonly" in str(error) or "full" in str(error):
            return  # looking must work where writing does not
        raise
