"""For how long this host has seen another host's lease unchanged, by this host's own clock, which nobody sets.

Two hosts' clocks may be hours apart, so a lease's own time proves neither life nor death. A note beside the database
tells when this host first saw the renewal that stands there: the commands of a minute share it.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

import msgspec

from jobs.files import read_json, write_json
from jobs.hosts import boot_id


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen, and when."""

    number: int
    renewed_at: str
    boot_id: str
    at: float
    """Seconds of that boot's monotonic clock."""


def clock() -> float:
    """Seconds of this boot, the same in every process (CLOCK_MONOTONIC); the host's sleep is left out."""
    return time.monotonic()


def seconds(root: Path, number: int, renewed_at: str, at: float) -> float | None:
    """How long before `at` this host first saw the lease so, and a note of it; None where none can be left."""
    path = root / f"seen-by-{socket.gethostname()}.json"
    found = read_json(path, Sighting)
    seen = Sighting(number=number, renewed_at=renewed_at, boot_id=boot_id(), at=at)
    if found is not None and found.at <= at and msgspec.structs.replace(found, at=at) == seen:
        return at - found.at
    try:
        write_json(path, seen, durable=False)
    except OSError:
        return None
    return 0.0
