"""Reading the database of a store that is not to be written: another user's, or one on a read-only disk.

Nothing is made beside it. A write-ahead log that is there is read in place; without one (nobody has the store open),
or without its index, SQLite would have to make it, so then a copy is read, taken while nothing changed; on a read-only
file system nothing does (sqlite.org/wal.html#readonly, #read_only_databases).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from jobs.errors import StoreError
from jobs.patience import may_pass

COPY_SECONDS = 30.0
WAL_VERSION = 2
"""The number in the header of a database with a write-ahead log (sqlite.org/fileformat.html, 1.3.3)."""


PLACES = (None, "/dev/shm")
"""Where a copy may lie: among the temporary files, or, where their disk is full too, in memory."""


class Reader:
    """Opens connections that never write to the store."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.log = Path(f"{database}-wal")
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._of: tuple[tuple[int, int, int] | None, ...] = ()
        self._kept: Path | None = None

    def connect(self) -> sqlite3.Connection:
        """A connection to the database as it is now. Raises StoreError, sqlite3.Error."""
        if self._kept is not None:
            return sqlite3.connect(self._kept, isolation_level=None)
        how = "mode=ro&readonly_shm=1"
        try:
            if self._has_log_mode():
                if not self.log.exists() and os.statvfs(self.database).f_flag & os.ST_RDONLY:
                    how = "immutable=1"
                elif not (self.log.exists() and Path(f"{self.database}-shm").exists()):
                    return sqlite3.connect(self._copied(), isolation_level=None)
        except OSError as error:
            raise StoreError(f"{self.database} cannot be read ({error.strerror}): mend its permissions") from None
        text = quote(bytes(self.database))
        return sqlite3.connect(f"file:{text}?{how}", uri=True, isolation_level=None)

    def keep(self) -> Path:
        """Read a private copy from now on, which may be changed: an older schema is brought up to date in it.

        Raises StoreError.
        """
        try:
            self._kept = self._copied()
        except OSError as error:
            raise StoreError(f"{self.database} cannot be copied: {error.strerror}") from None
        return self._kept

    def _has_log_mode(self) -> bool:
        with self.database.open("rb") as handle:
            return handle.read(20)[18:19] == bytes([WAL_VERSION])

    def _stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        found: list[tuple[int, int, int] | None] = []
        for path in (self.database, self.log):
            try:
                facts = path.stat()
                found.append((facts.st_ino, facts.st_size, facts.st_mtime_ns))
            except FileNotFoundError:
                found.append(None)
        return tuple(found)

    def _copied(self) -> Path:
        """A private copy, the one there is where nothing has changed. Raises OSError."""
        for place in PLACES:
            try:
                return self._copied_to(place)
            except OSError as error:
                if place == PLACES[-1] or not may_pass(error):
                    raise
                self._copy = None
        raise AssertionError("there are places")

    def _copied_to(self, place: str | None) -> Path:
        end = time.monotonic() + COPY_SECONDS
        while True:
            before = self._stamp()
            if self._copy is not None and self._of == before:
                return Path(self._copy.name) / "orch.db"
            self._copy = tempfile.TemporaryDirectory(prefix="orch-look-", dir=place)
            target = Path(self._copy.name) / "orch.db"
            shutil.copyfile(self.database, target)
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(self.log, f"{target}-wal")
            if self._stamp() == before:
                self._of = before
                return target
            if time.monotonic() > end:
                raise StoreError(f"{self.database} changes all the time: look again")
            time.sleep(0.05)
