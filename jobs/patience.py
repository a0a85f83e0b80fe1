"""Patience with disks: what failed for a full or failing one is done again once it is well.

A file that cannot be read for a moment is none that is not there: a job that began anew for it would lose hours. After
the wait the OSError goes on, and the end of the job is its machines' fault (jobs/node/disks.py).
"""

from __future__ import annotations

import contextlib
import errno
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from jobs.files import Unreadable, load_json

R = TypeVar("R")
PATIENCE_SECONDS = 1800.0
"""How long a worker waits for room on a full disk, or for a failing one, before it gives up its work."""
READING_SECONDS = 300.0
"""How long a read is tried again: less, since what a write carries may be lost, and a read goes on elsewhere."""
LISTEN_SECONDS = 0.25
"""How often a wait asks whether it is still wanted."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
FAILING = frozenset(
    {
        *(errno.EROFS, errno.EIO, errno.ESTALE, errno.EREMOTEIO),
        *(errno.ENOTCONN, errno.ESHUTDOWN, errno.ETIMEDOUT, errno.EHOSTDOWN),
    }
)
"""A disk remounted read-only, a sick one, or a file server that is away (nfs(5), soft mounts; FUSE; Lustre)."""


def may_pass(error: OSError) -> bool:
    """Whether a write or a read failed by a disk that is full or failing, which may be well again later."""
    return error.errno in FULL or error.errno in FAILING


def never() -> bool:
    """Nobody waits to be heard."""
    return False


def patiently(write: Callable[[], R], seconds: float | None = None, *, unwanted: Callable[[], bool] = never) -> R:
    """Do a write again while the disk is full or failing: hours of work are not lost for want of room.

    `seconds`: PATIENCE_SECONDS. `unwanted`: ends the wait early (a stop was asked for). Raises OSError.
    """
    end = time.monotonic() + (PATIENCE_SECONDS if seconds is None else seconds)
    pause = 0.5
    while True:
        try:
            return write()
        except OSError as error:
            if not may_pass(error) or time.monotonic() + pause > end or unwanted():
                raise
            if pause == 0.5:
                wanted = "for room" if error.errno in FULL else "for the disk to be well again"
                with contextlib.suppress(OSError):
                    print(f"orch: {error.strerror}: waiting {wanted}", file=sys.stderr, flush=True)
        again = time.monotonic() + pause
        while time.monotonic() < again and not unwanted():
            time.sleep(LISTEN_SECONDS)
        pause = min(pause * 1.5, 5.0)


def reading(read: Callable[[], R], unwanted: Callable[[], bool] = never) -> R:
    """Do a read again while its disk fails. Raises OSError."""
    return patiently(read, READING_SECONDS, unwanted=unwanted)


def read_patiently(path: Path, kind: type[R], unwanted: Callable[[], bool] = never) -> R | None:
    """As `jobs.files.read_json`, waiting for a failing disk. Raises OSError where it does not get well."""
    return reading(lambda: read_once(path, kind), unwanted)


def read_once(path: Path, kind: type[R]) -> R | None:
    """As `jobs.files.read_json`, but raises OSError where the disk fails."""
    try:
        return load_json(path, kind)
    except Unreadable as error:
        if isinstance(error.__cause__, OSError) and may_pass(error.__cause__):
            raise error.__cause__ from None
        return None
