"""A power cut of the supervisor's machine: what it wrote and did not fsync is lost, in any combination.

Kept strictly (fsync(2), rename(2)): a file's content is safe after an fsync of the file, its name after an fsync of its
folder. What workers and users write is on machines that keep their power; a commit of SQLite (FULL) is durable.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from random import Random

LOST = 0.7
"""How often something that might be lost is."""


@dataclass
class Renamed:
    """A file that came to its name by a rename; `before` is what lay there."""

    path: Path
    inode: int
    before: bytes | None
    content_safe: bool
    name_safe: bool = False


class Disk:
    """What has been written and may still be lost. It lives outside the process that writes."""

    def __init__(self) -> None:
        self._renamed: list[Renamed] = []
        self._safe: set[int] = set()
        """Inodes whose content was fsynced before they got their name."""

    def synced(self, handle: int, *, by_it: bool) -> None:
        """An fsync of a file or of a folder; of a folder by whomever, so what a user's command makes durable is."""
        state = os.fstat(handle)
        if not stat.S_ISDIR(state.st_mode):
            if by_it:
                self._safe.add(state.st_ino)
            return
        folder = Path(os.readlink(f"/proc/self/fd/{handle}"))  # noqa: PTH115 (no path of ours)
        for one in self._renamed:
            one.name_safe |= one.path.parent == folder
        self._renamed = [one for one in self._renamed if not (one.name_safe and one.content_safe)]

    def renaming(self, source: Path, target: Path) -> None:
        """`source` is about to take the place of `target`."""
        inode = source.stat().st_ino
        before = target.read_bytes() if target.exists() else None
        self._renamed.append(Renamed(target, inode, before, content_safe=inode in self._safe))
        self._safe.discard(inode)

    def cut(self, random: Random) -> list[str]:
        """The power goes: the names of the files that were lost or emptied, newest first."""
        lost = []
        for one in reversed(self._renamed):
            with contextlib.suppress(FileNotFoundError):
                if one.path.stat().st_ino != one.inode or random.random() >= LOST:
                    continue  # another machine has written it since, or it had reached the disk
                if one.name_safe:
                    one.path.write_bytes(b"")
                elif one.before is None:
                    one.path.unlink()
                else:
                    one.path.write_bytes(one.before)
                lost.append(one.path.name)
        self._renamed, self._safe = [], set()
        return lost
