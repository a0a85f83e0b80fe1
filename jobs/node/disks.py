"""Whether a disk was full or failing when a job failed: then the machines failed it, and it is worth another try."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from jobs.patience import FAILING, FULL

TEXT = re.compile(
    r"No space left on device|disk quota exceeded|Read-only file system|Input/output error"
    r"|Stale (?:NFS )?file handle|Transport endpoint is not connected|disk is full|disk I/O error"
    r"|\b(?:ENOSPC|EDQUOT|EROFS|ESTALE)\b|(?:\[Errno|\(os error) (?:5|28|30|116|122)[\])]",
    re.IGNORECASE,
)
"""How a program says so (strerror(3), which Go and Node.js write in small letters, Rust with its number; SQLite's own
words)."""
OF_THE_NODE = "temporary folder"
"""The one disk that every node has for itself: a node is struck for it."""
LOOK_SECONDS = 1.0
RECENT_SECONDS = 30.0
"""A disk that was full so shortly before a program failed may have failed it, though its tidying made room since."""
PROBE_BYTES = 64 * 1024
"""A quota says no only to who writes."""
CHAIN = 20
"""Causes of causes of an exception that are looked at."""


class Disks:
    """The disks that a program writes to: the run folder's, its working folder's, the temporary files'."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """`folders`: what each is called."""
        self.folders = dict(folders)
        self._seen: tuple[float, str, str] | None = None
        self._next = 0.0

    def look(self) -> None:
        """Remember a full disk; at most once a second, and without writing."""
        at = time.monotonic()
        if at >= self._next:
            self._next = at + LOOK_SECONDS
            found = next((item for item in self.folders.items() if _is_full(item[1])), None)
            if found is not None:
                self._seen = (at, found[0], f"the disk of the {found[0]} ({found[1]}) was full")

    def held_up(self) -> bool:
        """Whether a disk was full just now, so that a program may wait for room."""
        return self._seen is not None and time.monotonic() - self._seen[0] < RECENT_SECONDS

    def trouble(self, said: str = "") -> tuple[str, str] | None:
        """(which folder, a sentence) where a disk is full or failing now, was just now, or the program said so last."""
        for name, folder in self.folders.items():
            why = _refuses(folder, writing=name != "working folder")
            if why:
                return name, f"the disk of the {name} ({folder}) refuses to be written: {why}"
        if self._seen is not None and time.monotonic() - self._seen[0] < RECENT_SECONDS:
            return self._seen[1:]
        found = TEXT.search(said)
        return ("disk", f"a disk failed it: {found.group()}") if found else None


def _is_full(folder: Path) -> bool:
    """Hardly a block or no file is left for us (statvfs(3)); a file system that counts no files says 0 of 0.

    A full disk has some pages free now and then, whenever somebody replaces a file.
    """
    try:
        state = os.statvfs(folder)
    except OSError:
        return False
    mine = state.f_bfree if os.geteuid() == 0 else state.f_bavail
    return (state.f_blocks > 0 and mine * state.f_frsize < PROBE_BYTES) or (state.f_files > 0 and state.f_favail == 0)


def _refuses(folder: Path, *, writing: bool) -> str:
    """Why nothing can be written there, '' where it can. `writing`: also by writing, and being read-only counts: a
    working folder may well be read-only."""
    if _is_full(folder):
        return os.strerror(errno.ENOSPC)
    if not (writing or os.access(folder, os.W_OK)):
        return ""
    try:
        with tempfile.TemporaryFile(dir=folder) as handle:
            handle.write(b"\0" * PROBE_BYTES)
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        return str(error.strerror) if error.errno in FULL | FAILING else ""
    return ""


def of_exception(error: BaseException) -> str | None:
    """What an exception, or one that led to it, says of a disk; None where it says nothing."""
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno in FULL | FAILING:
            return f"a disk failed it: {one.strerror}"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(CHAIN):
        if one is None:
            return
        yield one
        one = one.__cause__ or one.__context__


def of_job(run_folder: Path, working: Path) -> Disks:
    """The disks of a job; the one of temporary files where it is known."""
    folders = {"run folder": run_folder, "working folder": working}
    with contextlib.suppress(OSError):
        folders[OF_THE_NODE] = Path(tempfile.gettempdir())
    return Disks(folders)
