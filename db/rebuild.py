"""Making the database anew from `runs/`: the journal is a redo log, so an empty database catches up with all of it."""

from __future__ import annotations

from pathlib import Path

from db import journal, lease
from db.store import Store
from jobs.errors import StoreError
from jobs.files import now
from jobs.layout import Layout


def rebuild(root: Path) -> Store:
    """Replace `orch.db` by one made from the journal; the old one is kept beside it, and is back where this fails.

    What executions wrote is read afterwards by ingestion, as in live use. Raises StoreError.
    """
    layout = Layout(root)
    if journal.last_number(layout.journal) == 0:
        raise StoreError(f"{root} has no journal to rebuild from: name another store with --store")
    kept = layout.database.with_name(f"orch.db.before-rebuild-{now():%Y%m%dT%H%M%S}")
    _move(layout.database, kept)
    try:
        store = Store(root, create=True, rebuilding=True)
        store.catch_up()
        lease.begin_beyond(store, int(now().timestamp()))
    except BaseException:
        _move(kept, layout.database)  # also where there was none: a half-made one would pass for an empty store
        raise
    return store


def _move(source: Path, target: Path) -> None:
    """A database with its write-ahead log."""
    for suffix in ("", "-wal", "-shm"):
        part = Path(f"{source}{suffix}")
        if part.exists():
            part.replace(f"{target}{suffix}")
        else:
            Path(f"{target}{suffix}").unlink(missing_ok=True)
