"""Durable files: written to a temporary name, fsynced, renamed, folder fsynced; JSON by msgspec, never pickle."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

T = TypeVar("T")
MOST_BYTES = 64 << 20
"""No record of ours is larger; what is, was put there by something else, and would only eat the memory."""
LONGEST_LINE = 1 << 20
"""Of a file of lines; a longer one is skipped in pieces."""


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


def file_mode(folder: Path) -> int:
    """0600 for a file in a store's folder, whatever the umask; 0640 where the folder is one that the group looks at."""
    return 0o600 | folder.stat().st_mode & 0o040


def make_folder(path: Path, *, exist_ok: bool = True) -> None:
    """Make a folder of a store, and those above it that are missing: 0700 or, below one that the group looks at, 0750.

    Whatever the umask. Raises OSError.
    """
    try:
        above = path.parent.stat().st_mode
    except FileNotFoundError:
        make_folder(path.parent)
        above = path.parent.stat().st_mode
    wanted = 0o700 | (0o050 if above & 0o040 else 0)
    try:
        path.mkdir(wanted)
    except FileExistsError:
        if not exist_ok or not path.is_dir():
            raise
        return
    mode = path.stat().st_mode & 0o7777
    if mode & 0o777 != wanted:  # the umask cut it
        path.chmod(wanted | mode & 0o7000)


def open_private(path: Path, flags: int) -> int:
    """A file of a store, made 0600 (0640 where the group looks) where it is missing: its descriptor. Raises OSError."""
    wanted = file_mode(path.parent)
    handle = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, wanted)
    facts = os.fstat(handle)
    if facts.st_mode & 0o777 != wanted and facts.st_uid == os.geteuid():
        with contextlib.suppress(OSError):
            os.fchmod(handle, wanted)
    return handle


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a store's file, whole or not at all, for its owner (and the group that looks) alone. Raises OSError.

    With `durable`, it has reached the disk when this returns.
    """
    _write(path, data, durable, file_mode(path.parent))


def publish(path: Path, data: bytes) -> None:
    """Write a file that a person asked for, outside of any store: whole or not at all, as their umask says."""
    _write(path, data, False, None)


def _write(path: Path, data: bytes, durable: bool, mode: int | None) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        handle_number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode or 0o666)
        with os.fdopen(handle_number, "wb") as handle:
            if mode is not None:
                os.fchmod(handle.fileno(), mode)  # whatever the umask
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


def encode(value: Any) -> bytes:
    """`value` (a Struct or plain data) as JSON. What no JSON can hold of a text (a lone surrogate, as Python reads the
    bytes of an odd file name) is written as its escape: a file name must not cost a run.

    Raises TypeError, OverflowError or RecursionError for what is no plain data at all.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_escaped(msgspec.to_builtins(value)))


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list | tuple) else value


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write `value` (a Struct or plain data) as JSON, whole or not at all."""
    write_bytes(path, encode(value) + b"\n", durable=durable)


class Unreadable(Exception):
    """What lies there is no such file, or holds nothing that can be used; the text says why, without the path."""


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read that anybody may have put there. Raises OSError; a FIFO or a device never blocks."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """A whole file of at most `most` bytes. Raises OSError."""
    with open_regular(path) as handle:
        # A read of n bytes sets n bytes aside first, and many login nodes bound that (ulimit -v): not more than it has.
        data = handle.read(min(most, os.fstat(handle.fileno()).st_size) + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most >> 20} MiB", str(path))
    return data


def tail(path: Path, most: int) -> bytes:
    """The end of a file; nothing where it is not there or cannot be read."""
    try:
        with open_regular(path) as handle:
            handle.seek(max(0, os.fstat(handle.fileno()).st_size - most))
            return handle.read(most)
    except OSError:
        return b""


def decode(data: bytes, kind: type[T]) -> T:
    """JSON of that shape. Raises Unreadable, whatever the bytes are."""
    try:
        return msgspec.json.decode(data, type=kind)
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise Unreadable(f"a text in it is no UTF-8 ({error.reason})") from None
    except (ValueError, ArithmeticError, MemoryError) as error:  # msgspec's own errors are ValueErrors
        if not data.strip(b" \t\r\n\0"):
            raise Unreadable("it is empty") from None
        raise Unreadable(str(error) or type(error).__name__) from None


def load_json(path: Path, kind: type[T]) -> T | None:
    """The file's content; None where there is none. Raises Unreadable, with the reason, for anything else."""
    try:
        data = read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise Unreadable("it is a link that leads nowhere") from None
        return None
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    return decode(data, kind)


def read_json(path: Path, kind: type[T]) -> T | None:
    """The file's content, or None where it is absent, torn, absurd or of another shape."""
    try:
        return load_json(path, kind)
    except Unreadable:
        return None


def append_bytes(path: Path, data: bytes) -> None:
    """Append whole lines, so that only the last one can ever be torn; nothing where it fails. Raises OSError."""
    with os.fdopen(open_private(path, os.O_WRONLY | os.O_APPEND), "ab", buffering=0) as handle:
        before = handle.tell()
        try:
            while data:
                data = data[handle.write(data) :]
        except OSError:
            handle.truncate(before)
            raise


def append_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """Append one line in one write. With `durable`, it has reached the disk when this returns. Raises OSError."""
    append_bytes(path, encode(value) + b"\n")
    if durable:
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
        fsync_folder(path.parent)


def read_lines(path: Path, kind: type[T]) -> Iterator[T]:
    """Every whole line; a torn or odd one is skipped."""
    try:
        with open_regular(path) as handle:
            yield from whole_lines(handle, kind)
    except OSError:
        return


def whole_lines(handle: BinaryIO, kind: type[T]) -> Iterator[T]:
    """The records from here on, up to the last line that has its end; others are skipped."""
    begins = True
    while line := handle.readline(LONGEST_LINE):
        ends = line.endswith(b"\n")
        if begins and ends and line.strip():
            with contextlib.suppress(Unreadable):
                yield decode(line, kind)
        begins = ends


def names(folder: Path) -> list[str]:
    """The names in a folder, sorted; none where it does not exist.

    Listing refreshes a network file system's cached folder, where asking for one name may answer from a stale cache
    (batchtools #85): so files are found by listing.
    """
    try:
        return sorted(entry.name for entry in os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link to itself: nothing is there
            return []
        raise
