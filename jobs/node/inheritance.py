"""Handing an earlier execution's checkpoint folder on: each execution writes in a folder of its own.

The folder may hold anything, and its writer may still be alive: links are never followed, what is neither file nor
folder is left out, what vanishes or changes is tried again, and the program goes on without what cannot be copied.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from jobs.files import make_folder, names, open_regular
from jobs.node import progress
from jobs.node.progress import Entry
from jobs.patience import may_pass, patiently, reading

PASSES = 3
"""How often a folder that changes while it is copied is looked at again."""
PAUSE_SECONDS = 0.2
NAMED = 5
"""How many of the things left out are named."""
BLOCK = 1 << 20
FICLONE = 0x40049409
"""ioctl_ficlone(2): one copy on disk until either is written to. A hard link would let the new program write into the
earlier execution's checkpoint."""


def inherit(own: Path, earlier: Sequence[Path], unwanted: Callable[[], bool] = lambda: False) -> Path | None:
    """Fill `own` with a copy of the newest of these checkpoint folders that gives any file: that folder, or None.

    The newest is the one that came furthest by its count of changes, then by its newest file. A full or failing disk is
    waited out, unless `unwanted`; raises OSError where it does not get well, for a program that began anew would lose
    what is there.
    """
    patiently(lambda: make_folder(own), unwanted=unwanted)
    filled = [folder for folder in earlier if reading(partial(_has_files, folder), unwanted)]
    ages = {folder: reading(partial(_age, folder), unwanted) for folder in filled}
    for folder in sorted(filled, key=lambda one: ages[one], reverse=True):
        if _copy(folder, own, unwanted):
            return folder
    return None


def _has_files(folder: Path) -> bool:
    """Raises OSError where a failing disk hides them."""
    try:
        return bool(names(folder))
    except OSError as error:
        if may_pass(error):
            raise
        return False


def _age(folder: Path) -> tuple[int, int]:
    return progress.reached(folder.parent), progress.newest_file(folder)


def _copy(source: Path, target: Path, unwanted: Callable[[], bool]) -> int:
    """How many files of a folder were copied. Raises OSError where a disk fails, and nobody asked to stop."""
    done: dict[str, Entry] = {}
    failed: dict[str, str] = {}
    for again in range(PASSES):
        failed = {}
        if again:
            time.sleep(PAUSE_SECONDS)
        try:
            there = reading(lambda: list(progress.entries(source)), unwanted)
        except OSError as error:
            if may_pass(error) and not unwanted():
                raise
            failed["."] = str(error.strerror)
            continue
        for entry in there:
            if done.get(entry.path) == entry or unwanted():
                continue
            try:
                _one(source, target, entry, unwanted)
                done[entry.path] = entry
            except OSError as error:
                if may_pass(error) and not unwanted():
                    raise
                failed[entry.path] = str(error.strerror)
            except Unreadable as error:
                failed[entry.path] = str(error)
        for path in done.keys() - {entry.path for entry in there}:  # renamed or removed by a writer that still lives
            with contextlib.suppress(OSError):
                (target / path).unlink()
            del done[path]
        if not failed and _same(source, done):
            break
    if failed:
        shown = ", ".join(f"{path!a} ({why})" for path, why in list(failed.items())[:NAMED])
        more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
        with contextlib.suppress(OSError):
            print(f"orch: left out of the earlier checkpoints: {shown}{more}", file=sys.stderr, flush=True)
    return sum(entry.link is None for entry in done.values())


def _same(source: Path, done: dict[str, Entry]) -> bool:
    with contextlib.suppress(OSError):
        return {entry.path: entry for entry in progress.entries(source)} == done
    return True


def _one(source: Path, target: Path, entry: Entry, unwanted: Callable[[], bool]) -> None:
    """Copy one file or link with its time. Raises OSError."""
    goal = target / entry.path
    patiently(lambda: make_folder(goal.parent), unwanted=unwanted)
    if entry.link is not None:
        goal.unlink(missing_ok=True)
        goal.symlink_to(_inside(source, entry))
        os.utime(goal, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
        return
    reading(lambda: _copied(source / entry.path, goal, unwanted), unwanted)


def _inside(source: Path, entry: Entry) -> str:
    """A link as it is to be in the copy: one that names the earlier folder by its full path is made relative."""
    assert entry.link is not None
    for root in (str(source), os.path.realpath(source)):
        if entry.link == root or entry.link.startswith(f"{root}/"):
            return os.path.relpath(entry.link, Path(root, entry.path).parent)
    return entry.link


class Unreadable(Exception):
    """A file of the earlier folder cannot be read, as __cause__ says."""


def _copied(source: Path, goal: Path, unwanted: Callable[[], bool]) -> None:
    """Copy, waiting for room; raises OSError for the disk that is read, Unreadable for a file that may not be read."""
    try:
        patiently(lambda: _file(source, goal), unwanted=unwanted)
    except Unreadable as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and may_pass(cause):
            raise OSError(cause.errno, cause.strerror, str(source)) from None
        raise


def _file(source: Path, goal: Path) -> None:
    """Copy content with its holes, rights and time; nothing is left where it fails. Raises OSError, Unreadable."""
    try:
        reading = open_regular(source)
    except OSError as error:
        raise Unreadable(error.strerror) from error
    with reading:
        state = os.fstat(reading.fileno())
        try:
            goal.unlink(missing_ok=True)
            with goal.open("xb", buffering=0) as writing:
                try:
                    fcntl.ioctl(writing.fileno(), FICLONE, reading.fileno())
                except OSError:
                    _content(reading.fileno(), writing.fileno(), state.st_size)
                os.fchmod(writing.fileno(), stat.S_IMODE(state.st_mode) | stat.S_IRUSR | stat.S_IWUSR)
            os.utime(goal, ns=(state.st_atime_ns, state.st_mtime_ns))
        except BaseException:
            with contextlib.suppress(OSError):
                goal.unlink()
            raise


def _content(source: int, goal: int, size: int) -> None:
    """Raises OSError for the copy, Unreadable for the source."""
    for start, end in _data(source, size):
        while start < end:
            try:
                block = os.pread(source, min(BLOCK, end - start), start)
            except OSError as error:
                raise Unreadable(error.strerror) from error
            if not block:
                break  # it was cut meanwhile: the next pass sees another size
            start += os.pwrite(goal, block, start)
    os.ftruncate(goal, size)


def _data(source: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file has data, from and to: a hole is copied as a hole (lseek(2))."""
    end = 0
    while end < size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                yield end, size  # it does not know holes
            return
        end = os.lseek(source, start, os.SEEK_HOLE)
        yield start, end
