"""What a fault leaves of a checkpoint folder: half a file, times the other way round."""

from __future__ import annotations

import os
from pathlib import Path

from jobs.node import progress


def newest(folder: Path) -> Path | None:
    """The newest file by its time; of those written within a tenth of a second the largest (its payload)."""
    found = [entry for entry in progress.entries(folder) if entry.link is None and entry.size]
    last = max((entry.mtime_ns for entry in found), default=0)
    late = [entry for entry in found if entry.mtime_ns > last - 100_000_000]
    return folder / max(late, key=lambda one: one.size).path if late else None


def tear(path: Path) -> tuple[int, int]:
    """Cut a file to its first half: its size before and after. Raises OSError."""
    size = path.stat().st_size
    times = path.stat()
    os.truncate(path, size // 2)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return size, size // 2


def turn_times(folder: Path) -> int:
    """Give the files of a folder each other's times, the oldest the newest one: how many there are. Raises OSError."""
    found = sorted((one for one in progress.entries(folder) if one.link is None), key=lambda one: one.mtime_ns)
    for entry, other in zip(found, reversed(found), strict=True):
        os.utime(folder / entry.path, ns=(other.mtime_ns, other.mtime_ns))
    return len(found)
