"""`[clean] keep`: the supervisor removes the checkpoints that nothing needs any more, a few folders at a time.

Nothing is decided here that a crash could lose: what was not removed is found again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from db import cleaning
from db.cleaning import EndedExecution
from db.store import Store
from jobs.files import read_json, write_json
from orchestrator.room import TIDIED, Tidied
from orchestrator.supervision.surplus import breathes, surplus

AT_ONCE = 200
"""Folders looked at in one cycle: a new supervisor of a large store goes on cycling."""
PAUSE_SECONDS = 30.0


def remove(path: Path) -> tuple[int, int]:
    """Remove a file, a link itself, or a folder with all in it: (files, bytes). Raises OSError."""
    found = measured([path])
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return found


def measured(paths: Iterable[Path]) -> tuple[int, int]:
    """(files, bytes) of them; links count as themselves, and what vanishes meanwhile as nothing."""
    files, room = 0, 0
    for path in paths:
        inside = [path]
        if path.is_dir() and not path.is_symlink():
            inside = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
        for one in inside:
            with contextlib.suppress(OSError):
                room += one.lstat().st_size
                files += 1
    return files, room


class Tidying:
    """Remembers which executions are done with."""

    def __init__(self, store: Store, keep: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._keep = keep
        self._clock = clock
        self._done: set[int] = set()
        self._left: list[EndedExecution] = []
        self._due = float("-inf")
        self._news = True

    def look(self, *, changed: bool, idle: bool) -> bool:
        """After a cycle; whether more is left to do at once."""
        if self._keep is None:
            return False
        self._news |= changed
        if not self._left and self._news and (idle or self._clock() >= self._due):
            self._due = self._clock() + PAUSE_SECONDS
            self._news = False
            with self._store.read() as connection:
                ended = cleaning.ended_executions(connection)
            self._left = [one for one in ended if one.id not in self._done]
        some, self._left = self._left[:AT_ONCE], self._left[AT_ONCE:]
        files, room = 0, 0
        for execution in some:
            with contextlib.suppress(OSError):  # a stale handle, a folder that is not ours: orch clean says it
                found = surplus(self._store, execution, self._keep)
                for path in found.paths if found else ():
                    one = remove(path)
                    files, room = files + one[0], room + one[1]
                if not execution.needed and (execution.accepted or not breathes(self._store.layout, execution)):
                    self._done.add(execution.id)
        if files:
            self._count(files, room)
        return bool(self._left)

    def _count(self, files: int, room: int) -> None:
        before = read_json(self._store.root / TIDIED, Tidied) or Tidied()
        with contextlib.suppress(OSError):
            now = Tidied(files=before.files + files, bytes=before.bytes + room)
            write_json(self._store.root / TIDIED, now, durable=False)
