"""`orch rebuild`: the journal makes the database, then ingestion reads what all executions wrote."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from db import attempts, executions
from db.admission import admit
from db.attempts import StoredAttempt
from db.place import locate
from db.rebuild import rebuild
from db.store import NoStore, Store
from db.submissions import named_by_their_executions
from jobs.errors import StoreError
from jobs.layout import Layout
from orchestrator.supervision import ingestion
from orchestrator.supervision.ending import running
from orchestrator.supervision.ingestion import Ingestion
from orchestrator.supervision.seen import Seen

BATCH, LINES = 500, 200_000
"""Attempts, and lines of their histories, that one transaction stores."""
STILL_LEAVING = timedelta(days=1)
"""The machines may still hold what ended so lately: the next supervisor looks, and ends it."""


def rebuild_all(explicit: Path | None, progress: Callable[[int, int], None], *, accept_loss: bool = False) -> Store:
    """Make `orch.db` anew. Raises StoreError where a supervisor is alive, there is nothing to rebuild from, or
    something would be lost that is not accepted."""
    root = locate(explicit)
    admit(root, looking=False)
    if not Layout(root).runs.is_dir():
        raise NoStore(f"there is no store in {root}: name one with --store")
    holder = running(root)
    if holder is not None:
        where = "" if holder.host == socket.gethostname() else f" on {holder.host}"
        raise StoreError(
            holder.late()
            or f"a supervisor (pid {holder.pid} on {holder.host}) is at work: "
            f"end it with 'orch supervise --stop'{where}, then rebuild"
        )
    store = rebuild(root, accept_loss=accept_loss)
    ingest_everything(store, progress)
    with store.write() as writer:
        attempts.undoom_old(writer.connection, STILL_LEAVING)
        executions.left_behind(writer.connection)
    return store


def ingest_everything(store: Store, progress: Callable[[int, int], None]) -> None:
    """Read the executions of every attempt; decides nothing."""
    with store.read() as connection:
        everything = attempts.everything(connection)
    reader = Ingestion(store.layout)
    found: dict[tuple[int, int], list[Seen]] = {}
    done = 0
    for number, attempt in enumerate(everything, start=1):
        found.update(reader.look([attempt]))
        lines = sum(len(seen.lines) for items in found.values() for seen in items)
        if number - done >= BATCH or lines >= LINES or number == len(everything):
            _store(store, reader, everything[done:number], found)
            reader.forget([])
            found, done = {}, number
            progress(number, len(everything))
    with store.write() as writer:
        executions.vanished(writer.connection)
        named_by_their_executions(writer.connection)


def _store(
    store: Store, reader: Ingestion, part: Sequence[StoredAttempt], found: dict[tuple[int, int], list[Seen]]
) -> None:
    """Store what these attempts left, long histories piece by piece."""
    going = list(part)
    while going:
        with store.write() as writer:
            for attempt in going:
                ingestion.store(writer.connection, attempt.id, found.get((attempt.job, attempt.number), ()))
        ingestion.stored(found)
        going = [a for a in going if ingestion.unfinished(found.get((a.job, a.number), ()))]
        found.update(reader.look(going))
        going = [a for a in going if any(seen.changed for seen in found.get((a.job, a.number), ()))]
