"""How large the store is, counted beside the supervisor's cycles: a walk over 100,000 files takes its time on NFS."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from jobs.files import now, write_json
from orchestrator.room import MEASURED, Measured

EVERY_SECONDS = 600.0
SHARE = 50
"""The pause is at least so many times as long as the counting was."""
QUICK_SECONDS = 1.0
"""A store that is counted within this time is counted once more at the end."""


def size(folder: Path) -> tuple[int, int]:
    """(bytes on the disk, files) below a folder, as du counts: no link is followed, a file with two names is one."""
    room, files = 0, 0
    seen: set[tuple[int, int]] = set()
    for facts in _facts(folder):
        if facts.st_nlink > 1:
            if (facts.st_dev, facts.st_ino) in seen:
                continue
            seen.add((facts.st_dev, facts.st_ino))
        room += facts.st_blocks * 512
        files += 1
    return room, files


def _facts(folder: Path) -> Iterator[os.stat_result]:
    left = [str(folder)]
    while left:
        with contextlib.suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    else:
                        yield entry.stat(follow_symlinks=False)


def measure(root: Path) -> Measured:
    """Count, and leave what was found beside the database."""
    began = time.monotonic()
    room, files = size(root)
    found = Measured(at=now(), bytes=room, files=files, seconds=round(time.monotonic() - began, 3))
    with contextlib.suppress(OSError):
        write_json(root / MEASURED, found, durable=False)
    return found


class Measuring:
    """At most one count at a time, in a thread that dies with the process."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._thread: threading.Thread | None = None
        self._due = float("-inf")
        self._took: float | None = None

    def look(self, *, leaving: bool = False) -> None:
        """After a cycle, and at the end."""
        if leaving:
            if self._took is not None and self._took < QUICK_SECONDS and not self._goes():
                measure(self._root)
        elif time.monotonic() >= self._due and not self._goes():
            self._due = float("inf")
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def _goes(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        self._took = measure(self._root).seconds
        self._due = time.monotonic() + max(EVERY_SECONDS, SHARE * self._took)
