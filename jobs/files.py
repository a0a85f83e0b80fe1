"""Durable files: written to a temporary name, fsynced, renamed, folder fsynced; JSON by msgspec, never pickle."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
R = TypeVar("R")
PATIENCE_SECONDS = 1800.0
"""How long a worker waits for room on a full disk before it gives up its work."""


def now() -> datetime:
    """The present in UTC, to the microsecond."""
    return datetime.now(UTC)


def fsync_folder(folder: Path) -> None:
    """Make a rename or a new name in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write the whole file or nothing. With `durable`, it has reached the disk when this returns. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as handle:
            handle.write(data)
            if durable:
                handle.flush()
                os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        fsync_folder(path.parent)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write `value` (a Struct or plain data) as JSON, whole or not at all."""
    write_bytes(path, msgspec.json.encode(value) + b"\n", durable=durable)


def read_json(path: Path, kind: type[T]) -> T | None:
    """The file's content, or None where it is absent, torn or of another shape."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):  # ValidationError is a DecodeError
        return None


def append_json(path: Path, value: Any) -> None:
    """Append one line in one write, so that only the last line can ever be torn; nothing where it fails."""
    line = msgspec.json.encode(value) + b"\n"
    with path.open("ab", buffering=0) as handle:
        before = handle.tell()
        try:
            while line:
                line = line[handle.write(line) :]
        except OSError:
            handle.truncate(before)
            raise


def is_full(error: OSError) -> bool:
    """Whether a write failed for want of room, or of quota."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def patiently(write: Callable[[], R], seconds: float = PATIENCE_SECONDS) -> R:
    """Do a write again while the disk is full: hours of work are not lost for want of room. Raises OSError."""
    end = time.monotonic() + seconds
    pause = 0.5
    while True:
        try:
            return write()
        except OSError as error:
            if not is_full(error) or time.monotonic() + pause > end:
                raise
            if pause == 0.5:
                with contextlib.suppress(OSError):
                    print(f"orch: {error.strerror}: waiting for room", file=sys.stderr, flush=True)
        time.sleep(pause)
        pause = min(pause * 1.5, 5.0)


def read_lines(path: Path, kind: type[T]) -> Iterator[T]:
    """Every whole line; a torn or odd one is skipped."""
    try:
        data = path.read_bytes()
    except OSError:
        return
    for line in data.split(b"\n"):
        if line.strip():
            try:
                yield msgspec.json.decode(line, type=kind)
            except msgspec.DecodeError:
                continue


def names(folder: Path) -> list[str]:
    """The names in a folder, sorted; none where it does not exist.

    Listing refreshes a network file system's cached folder, where asking for one name may answer from a stale cache
    (batchtools #85): so files are found by listing.
    """
    try:
        return sorted(entry.name for entry in os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
