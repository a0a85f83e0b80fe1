"""`orch rebuild`: the journal makes the database, then ingestion reads what all executions wrote."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from db import attempts, executions, lease
from db.rebuild import rebuild
from db.store import NoStore, Store, locate
from jobs.errors import StoreError
from jobs.layout import Layout
from orchestrator import ingestion
from orchestrator.ingestion import Ingestion

BATCH = 500
STILL_LEAVING = timedelta(days=1)
"""The machines may still hold what ended so lately: the next supervisor looks, and ends it."""


def rebuild_all(explicit: Path | None, progress: Callable[[int, int], None]) -> Store:
    """Make `orch.db` anew. Raises StoreError where a supervisor is alive, or there is nothing to rebuild from."""
    root = locate(explicit)
    if not Layout(root).runs.is_dir():
        raise NoStore(f"there is no store in {root}: name one with --store")
    try:
        with Store(root).read() as connection:
            holder = lease.holder(connection)
    except StoreError:
        holder = None  # a damaged database is why one rebuilds
    if holder is not None and holder.alive():
        raise StoreError(f"a supervisor (pid {holder.pid} on {holder.host}) is at work: stop it first")
    store = rebuild(root)
    ingest_everything(store, progress)
    with store.write() as writer:
        attempts.undoom_old(writer.connection, STILL_LEAVING)
    return store


def ingest_everything(store: Store, progress: Callable[[int, int], None]) -> None:
    """Read the executions of every attempt; decides nothing."""
    with store.read() as connection:
        everything = attempts.everything(connection)
    reader = Ingestion(store.layout)
    for start in range(0, len(everything), BATCH):
        part = everything[start : start + BATCH]
        found = reader.look(part)
        with store.write() as writer:
            for attempt in part:
                ingestion.store(writer.connection, attempt.id, found.get((attempt.job, attempt.number), ()))
        reader.forget([])
        progress(min(start + BATCH, len(everything)), len(everything))
    with store.write() as writer:
        executions.vanished(writer.connection)
        attempts.named_by_their_executions(writer.connection)
