"""Which supervisor runs, also where the database cannot say, and ending it politely."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

from db import lease
from db.lease import Holder
from db.store import Store
from jobs.errors import BadInput, OrchError
from jobs.files import read_json, write_json

NAME = "supervisor.json"
"""The holder of the lease once more, beside the database: `rebuild` must not miss it where that is lost."""
PATIENCE_SECONDS = 15.0
LOOK_SECONDS = 0.05


def note(store: Store) -> None:
    """Leave word of who took the lease; a full disk is no reason not to begin."""
    with store.read() as connection:
        holder = lease.holder(connection)
    if holder is not None:
        with contextlib.suppress(OSError):
            write_json(store.root / NAME, holder, durable=False)


def forget(store: Store) -> None:
    """Take that word back, where it is this process's own: it has left in good order."""
    found = read_json(store.root / NAME, Holder)
    if found is not None and found.pid == os.getpid():
        with contextlib.suppress(OSError):
            (store.root / NAME).unlink(missing_ok=True)


def running(root: Path) -> Holder | None:
    """The living supervisor of the store in that folder."""
    try:
        with Store(root).read() as connection:
            holder = lease.holder(connection)
    except OrchError:  # the database is damaged or gone
        holder = read_json(root / NAME, Holder)
    return holder if holder is not None and holder.alive() else None


def stop(root: Path) -> Holder:
    """End the supervisor of this host, and wait until it is gone. Raises BadInput where that cannot be done."""
    holder = running(root)
    if holder is None:
        raise BadInput(f"no supervisor runs for {root}: there is nothing to stop")
    if holder.host != socket.gethostname():
        raise BadInput(
            f"the supervisor (pid {holder.pid}) runs on {holder.host}, not here: run 'orch supervise --stop' there"
        )
    try:
        process = os.pidfd_open(holder.pid)  # it stays this very process, whoever gets its pid later
    except ProcessLookupError:
        return holder
    try:
        if holder.alive():
            signal.pidfd_send_signal(process, signal.SIGTERM)
            signal.pidfd_send_signal(process, signal.SIGCONT)  # a stopped one hears nothing before it goes on
        end = time.monotonic() + PATIENCE_SECONDS
        while holder.alive():
            if time.monotonic() >= end:
                raise BadInput(
                    f"the supervisor (pid {holder.pid}) does not end within {PATIENCE_SECONDS:.0f} s: it may wait for "
                    f"a file system; 'kill -9 {holder.pid}' ends it, and harms no job"
                )
            time.sleep(LOOK_SECONDS)
    except ProcessLookupError:
        pass  # it ended by itself just now
    finally:
        os.close(process)
    return holder
