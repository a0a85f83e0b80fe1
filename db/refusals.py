"""What SQLite refuses: a lock that another process holds is waited for, and everything else is told with its mend."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from jobs.errors import StoreError
from jobs.layout import Layout

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
"""How long a command waits for a lock that somebody else holds."""

NO_ROOM = 256 * 1024
"""Bytes that a disk has free which is as good as full."""


def patiently(act: Callable[[], T]) -> T:
    """What `act` returns; while the database is locked it is tried again, with jitter, up to PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return act()
        except (OperationalError, sqlite3.OperationalError) as error:
            if "locked" not in str(getattr(error, "orig", error)) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.01, 0.2))


class DiskRefuses(StoreError):
    """The store's disk is full or failing, which may pass."""


def disk_refuses(text: str) -> bool:
    """Whether SQLite says that the disk is full, failing or read-only."""
    return any(words in text for words in ("disk is full", "disk I/O", "readonly", "unable to open"))


def _no_room(layout: Layout) -> bool:
    try:
        return shutil.disk_usage(layout.root).free < NO_ROOM
    except OSError:
        return False


def told(error: BaseException, layout: Layout) -> StoreError:
    """What the driver says of a store, in a sentence with the mend."""
    text = str(error)
    if "locked" in text:
        return StoreError(
            f"the store {layout.root} has been locked by another process for {PATIENCE_SECONDS:.0f} s: "
            f"see who with 'fuser {layout.database}', then repeat"
        )
    # Where no rollback journal can be made beside it, SQLite says "unable to open database file", whatever the reason;
    # and after such an error the transaction is gone, savepoint and all (sqlite.org/lang_transaction.html, 2.4).
    hidden = "unable to open" in text or "no such savepoint" in text
    if "disk is full" in text or "disk I/O" in text or (hidden and _no_room(layout)):
        return DiskRefuses(f"the disk of the store {layout.root} is full or failing ({text}): make room, then repeat")
    if "malformed" in text or "not a database" in text:
        return StoreError(f"{layout.database} is damaged ({text}): run 'orch rebuild', which makes it anew from runs/")
    if "readonly" in text or "unable to open" in text:
        return StoreError(f"{layout.database} cannot be written ({text}): mend its permissions")
    return StoreError(f"{layout.database}: {text}")
