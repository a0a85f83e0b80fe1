"""Opening an archive: whatever lies in the file, it becomes a store to look at, or one sentence.

Nothing is unpacked but rows and records, each under a name that orch itself gives, into a folder that is removed at the
end. How much that is was said before, and each file is held against its hash.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from db import results
from db.archived import TABLES, Odd, load
from db.place import make_folders
from db.store import Store
from jobs.errors import BadInput, StoreError
from jobs.files import Unreadable, decode, open_regular
from jobs.layout import Layout
from orchestrator.archives import form
from orchestrator.archives.form import LOOKED_AT, MAGIC, Head

BLOCK = 1 << 20
LONGEST_ROW = 256 << 20
Progress = Callable[[int, int], None]


@dataclass
class Opened:
    """A study to look at; `close` removes what was unpacked."""

    store: Store
    head: Head
    folder: tempfile.TemporaryDirectory[str]

    def close(self) -> None:
        self.store.close()
        self.folder.cleanup()


class Archive:
    """A file that says that it is an archive. Every fault in it is a BadInput that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._handle = open_regular(path)
        except OSError as error:
            raise BadInput(f"cannot read '{path}': {error.strerror}; name a file that 'orch archive' wrote") from None
        with self._told():
            self._zip = zipfile.ZipFile(self._handle)
            self._members = _members(self._zip, path.stat().st_size)
            self.head = self._head()
            self._sums = form.sums_of(self.read(form.SUMS, checked=False).decode())

    def close(self) -> None:
        self._handle.close()

    def _told(self) -> _Told:
        return _Told(self.path)

    def _head(self) -> Head:
        found = decode(self.read(form.RECORD, checked=False), Head)
        if found.magic != MAGIC:
            raise Odd("it does not say that it is one")
        if found.format > form.FORMAT:
            raise BadInput(f"'{self.path}' was written by a newer orch: look into it with that one")
        return found

    def summed(self) -> list[str]:
        """Of all that have a hash."""
        return list(self._sums)

    def untold(self) -> list[str]:
        """Of files, and no links, that have none."""
        known = {*self._sums, form.SUMS}
        return [name for name, info in self._members.items() if name not in known and not _is_link(info)]

    def read(self, name: str, *, checked: bool = True) -> bytes:
        """One file, held against its hash. Raises BadInput."""
        with self._told():
            if self._member(name).file_size > form.MOST_OF_A_RECORD:
                raise Odd(f"its {name} is far too large")
            return b"".join(self._blocks(name, checked=checked))

    def check(self, name: str) -> None:
        """Read one file to its end, against its hash. Raises BadInput."""
        with self._told():
            for _ in self._blocks(name):
                pass

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self._members:
            raise Odd(f"its {name} is missing")
        return self._members[name]

    def _blocks(self, name: str, *, checked: bool = True) -> Iterator[bytes]:
        digest = hashlib.sha256()
        with self._zip.open(self._member(name)) as handle:
            while block := handle.read(BLOCK):
                digest.update(block)
                yield block
        if checked and self._sums.get(name) != digest.hexdigest():
            raise Odd(f"its {name} is not what {form.SUMS} says: it was changed")

    def unpack(self, progress: Progress = lambda done, total: None) -> Opened:
        """The study as a store that is only looked at. Raises BadInput, StoreError where there is no room for it."""
        wanted = [name for name in self._members if LOOKED_AT.match(name)]
        rows = [name for name in map(form.rows_of, TABLES) if name in self._members]
        room = sum(self._members[name].file_size for name in (*wanted, *rows))
        folder = tempfile.TemporaryDirectory(prefix="orch-archive-")
        try:
            if shutil.disk_usage(folder.name).free < 3 * room:
                raise StoreError(
                    f"no room for what is in '{self.path}' ({room >> 20} MiB) in {folder.name}: set TMPDIR to a folder "
                    "of a larger disk"
                )
            with self._told():
                store = self._store(Path(folder.name) / "store", wanted, progress)
        except BaseException:
            folder.cleanup()
            raise
        return Opened(store=store, head=self.head, folder=folder)

    def _store(self, root: Path, wanted: list[str], progress: Progress) -> Store:
        make_folders(Layout(root), group=False)
        steps = len(wanted) + 1
        for done, name in enumerate(wanted):
            target = root / name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with target.open("wb") as made:
                for block in self._blocks(name):
                    made.write(block)
            progress(done, steps)
        store = filled(root, self.head, self._tables())
        progress(steps, steps)
        return store

    def _tables(self) -> Mapping[str, Callable[[], Iterator[bytes]]]:
        def lines(name: str) -> Iterator[bytes]:
            self.check(name)  # whole before any of it is believed
            with self._zip.open(self._member(name)) as handle:
                yield from _lines(name, handle)

        there = {table: form.rows_of(table) for table in TABLES}
        return {table: partial(lines, name) for table, name in there.items() if name in self._members}


def filled(root: Path, head: Head, tables: Mapping[str, Callable[[], Iterable[bytes]]]) -> Store:
    """A store of such rows in a folder that `make_folders` made, to be looked at only. Raises Odd, BadInput."""
    load(Layout(root).database, head.schema, tables)
    store = Store(root, looking=True)
    store.read_only = True
    with store.read() as connection:
        if not results.rows(connection, head.study, cancelled=True, dropped=True):
            raise Odd(f"it has no job of its study '{head.study}'")
    return store


def _lines(name: str, handle: IO[bytes]) -> Iterator[bytes]:
    while line := handle.readline(LONGEST_ROW):
        if not line.endswith(b"\n"):
            raise Odd(f"its {name} has a line without an end")
        yield line


def _members(file: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """By name. Raises Odd for a file that nobody should unpack."""
    found: dict[str, zipfile.ZipInfo] = {}
    infos = file.infolist()
    if len(infos) > form.MOST_MEMBERS:
        raise Odd(f"it holds {len(infos)} files")
    for info in infos:
        if info.filename in found:
            raise Odd(f"it holds two files {info.filename[:100]!r}")
        if info.flag_bits & 0x1:
            raise Odd("it is encrypted")
        found[info.filename] = info
    whole = sum(info.file_size for info in infos)
    if whole > form.MOST_BYTES or whole > max(form.LEAST_SUSPECT, form.MOST_TO_ONE * size):
        raise Odd(f"it would unpack to {whole} bytes")
    if sum(info.compress_size for info in infos) > size:
        raise Odd("its files overlap")
    return found


def _is_link(info: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(info.external_attr >> 16)


class _Told:
    """Whatever goes wrong within becomes one sentence about the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        faults = (
            Odd, Unreadable, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError,
            zlib.error, struct.error, ValueError, OverflowError, KeyError, LookupError,
        )  # fmt: skip
        if isinstance(error, BadInput | StoreError):
            return
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL, errno.EOVERFLOW):  # else: an offset
            raise StoreError(
                f"cannot unpack '{self._path}': {error.strerror}; set TMPDIR to a folder with room for it"
            ) from None
        if isinstance(error, (OSError, *faults)):
            text = str(error) or type(error).__name__
            short = text if len(text) <= 200 else text[:200] + "…"
            raise BadInput(
                f"'{self._path}' is no archive that can be read: {short}; name a file that 'orch archive' wrote"
            ) from None


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip file does."""
    try:
        with open_regular(path) as handle:
            return handle.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def open_archive(path: Path, progress: Progress = lambda done, total: None) -> Opened:
    """The study in an archive, to be looked at like a store. Raises BadInput, StoreError."""
    archive = Archive(path)
    try:
        return archive.unpack(progress)
    finally:
        archive.close()
