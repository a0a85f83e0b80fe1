"""Whole new lines of a file that a program writes, whatever it does to it meanwhile."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from jobs.files import open_regular
from jobs.patience import may_pass

CHUNK = 1 << 20
"""Bytes read at once: a stop is heard between two chunks."""
LAST = 64
"""So many of the bytes read last must still be there, or the file was written anew."""
MOST_HASHED = 256 << 20


@dataclass(frozen=True, kw_only=True)
class Before:
    """A file that was there before the program started: what it holds is nobody's result yet."""

    inode: int
    size: int
    changed: int
    digest: bytes
    """Of its content; empty where it is too large to be read for that."""


def look(path: Path) -> Before | None:
    """The file as it is now; None where there is none that can be read."""
    try:
        with open_regular(path) as handle:
            facts = os.fstat(handle.fileno())
            digest = b"" if facts.st_size > MOST_HASHED else _digest(handle, facts.st_size)
    except OSError:
        return None
    return Before(inode=facts.st_ino, size=facts.st_size, changed=facts.st_mtime_ns, digest=digest)


def _digest(handle: BinaryIO, size: int) -> bytes:
    handle.seek(0)
    found = hashlib.blake2b()
    while size > 0 and (data := handle.read(min(size, CHUNK))):
        found.update(data)
        size -= len(data)
    return found.digest()


class Tail:
    """Hands on what was added to a file. One that was written anew with the same beginning is read on from there."""

    def __init__(
        self, path: Path, *, before: Before | None = None, offset: int = 0, ends: Callable[[bytes], int] | None = None
    ) -> None:
        """`before`: as it was when the program started; `offset`: where to begin in a file of our own.

        `ends`: how much of these bytes is whole lines (default: up to the last line feed).
        """
        self.path = path
        self.before = before
        self.anew = False
        """Set when the file was begun anew with other content; whoever reads it takes it back."""
        self.old = 0
        """Bytes at the beginning that were there before the program started, and that it added to."""
        self.more = False
        self.found = False
        """Whether the program wrote it."""
        self._ends = ends or (lambda data: data.rfind(b"\n") + 1)
        self._offset = offset
        self._start = offset
        self._seen: tuple[int, int, int] | None = None
        self._hash = hashlib.blake2b()
        self._last = b""
        self._shrunk = False

    def read(self, *, closed: bool = False) -> bytes:
        """Whole lines of the next chunk; with `closed`, also a last one without its end; of a line that is longer than
        a chunk, a piece of it. What a failing disk hides is read later; with `closed`, that raises OSError."""
        self.more = False
        try:
            with open_regular(self.path) as handle:
                facts = os.fstat(handle.fileno())
                now = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
                if self.before is not None and not self._counts(handle, self.before, now):
                    return b""
                self.found = True
                if self._seen is not None and now != self._seen and not self._goes_on(handle, facts.st_size):
                    if facts.st_size < self._offset and not self._shrunk and not closed:
                        self._shrunk = True  # it may be about to be written again: seen so at one look alone
                        return b""
                    self._begin()
                self._shrunk = False
                self._seen = now
                handle.seek(self._offset)
                data = handle.read(CHUNK)
        except OSError as error:
            if closed and may_pass(error):
                raise
            return b""
        whole = data[: self._ends(data)] or (data if closed or len(data) == CHUNK else b"")
        self._offset += len(whole)
        self._hash.update(whole)
        self._last = (self._last + whole[-LAST:])[-LAST:]
        self.more = bool(whole)
        return whole

    def _counts(self, handle: BinaryIO, before: Before, now: tuple[int, int, int]) -> bool:
        """Whether the program has written the file; what was there before and still begins it is then passed over."""
        inode, size, changed = now
        if (inode, size, changed) == (before.inode, before.size, before.changed):
            return False
        self.before = None
        same = not before.digest or _digest(handle, before.size) == before.digest
        if inode == before.inode and size > before.size and same:
            self.old = before.size
        return True

    def _goes_on(self, handle: BinaryIO, size: int) -> bool:
        """Whether what was read is still the beginning of the file."""
        if size < self._offset:
            return False
        handle.seek(self._offset - len(self._last))
        if handle.read(len(self._last)) != self._last:
            return False
        inode = os.fstat(handle.fileno()).st_ino
        if self._seen is not None and inode != self._seen[0]:
            return self._start == 0 and _digest(handle, self._offset) == self._hash.digest()
        return True

    def _begin(self) -> None:
        self._offset, self._start, self._hash, self._last, self.anew = 0, 0, hashlib.blake2b(), b"", True
        self.old = 0
