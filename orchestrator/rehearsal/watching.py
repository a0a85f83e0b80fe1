"""What happens in a checkpoint folder, told by the kernel: inotify(7), through ctypes.

Polling sees no write of a millisecond. Where inotify does not answer (no Linux, out of watches), nothing is seen, and
what rests on it is said to be left out.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import select
import struct
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

_MODIFY, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE = 0x2, 0x8, 0x40, 0x80, 0x100
_IS_FOLDER = 0x40000000
_MASK = _MODIFY | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE
_HEAD = struct.Struct("iIII")
_TEMPORARY = re.compile(r"(^\.|te?mp|part(ial)?\b|\.new$|~$|\.swp$)", re.IGNORECASE)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something was written below a folder that is watched."""

    at: float
    """time.time()"""
    path: Path
    written: bool = False
    """It was closed after writing."""
    moved_here: bool = False
    moved_away: bool = False

    @property
    def whole(self) -> bool:
        """A file has its final name and its whole content."""
        return self.moved_here or (self.written and not is_temporary(self.path.name))


def is_temporary(name: str) -> bool:
    """Whether a file's name says that it is not the final one."""
    return _TEMPORARY.search(name) is not None


class Eyes:
    """Watches folders, and the folders that are made in them."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._handle = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._folders: dict[int, Path] = {}

    @property
    def handle(self) -> int:
        """The descriptor that becomes readable with news; negative where the kernel gives none."""
        return self._handle

    def close(self) -> None:
        """Watch nothing any more."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def watch(self, folder: Path) -> bool:
        """Watch a folder and those in it; False where the kernel does not do it."""
        if self._handle < 0:
            return False
        number = self._libc.inotify_add_watch(self._handle, os.fsencode(folder), _MASK)
        if number < 0:
            return False
        self._folders[number] = folder
        with contextlib.suppress(OSError):
            for inner in folder.iterdir():
                if inner.is_dir() and not inner.is_symlink():
                    self.watch(inner)
        return True

    def look(self) -> list[Event]:
        """What happened since the last look."""
        if self._handle < 0:
            return []
        try:
            data = os.read(self._handle, 65536)
        except OSError:
            return []
        at, found, place = time.time(), [], 0
        while place < len(data):
            number, mask, _, length = _HEAD.unpack_from(data, place)
            place += _HEAD.size
            name = os.fsdecode(data[place : place + length].rstrip(b"\0"))
            place += length
            folder = self._folders.get(number)
            if folder is None or not name:
                continue
            path = folder / name
            if mask & _IS_FOLDER:
                if mask & _CREATE:
                    self.watch(path)
                if not mask & _MOVED_TO:
                    continue
            found.append(
                Event(
                    at=at,
                    path=path,
                    written=bool(mask & _CLOSE_WRITE),
                    moved_here=bool(mask & _MOVED_TO),
                    moved_away=bool(mask & _MOVED_FROM),
                )
            )
        return found


def wait(eyes: Sequence[Eyes], seconds: float) -> None:
    """Sleep until something is written where any of these look, or the time is over."""
    handles = [one.handle for one in eyes if one.handle >= 0]
    if handles:
        select.select(handles, [], [], seconds)
    else:
        time.sleep(seconds)
