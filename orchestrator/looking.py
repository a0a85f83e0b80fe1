"""Commands that only look: where no supervisor runs, they take in what executions wrote, and start nothing."""

from __future__ import annotations

from db import lease, status
from db.store import LeaseLost, Store
from jobs.errors import StoreError
from jobs.words import BackendName
from orchestrator.settings import Settings


def look(store: Store, settings: Settings) -> None:
    """Ingest what is there, under the lease for a moment. SLURM is not asked: a look must be quick."""
    with store.read() as connection:
        holder = lease.holder(connection)
        if (holder is not None and holder.alive()) or not status.may_have_news(connection):
            return
    from orchestrator.machines import makers  # a tenth of a second that most looks can do without
    from orchestrator.supervisor import Supervisor

    try:
        number = lease.take(store)
        if number is None:
            return
        supervisor = Supervisor(store, makers(store.layout, settings), settings, number)
        supervisor.cycle(observe=[BackendName.LOCAL], dispatch=False)
        supervisor.abandon()
    except LeaseLost:
        return  # a supervisor has just started: it does the work
    except StoreError as error:
        if "readonly" in str(error) or "full" in str(error):
            return  # looking must work where writing does not
        raise
