"""Code snapshots: the files that a job runs, by content. Their records, their names and where they lie.

`code/<hash>/` holds the files (0444, or 0555 for programs) and is never a working folder; `code/<hash>.json` says what
it holds and is written last, so that a snapshot without it was never finished.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from jobs.errors import OrchError
from jobs.odd import from_text
from jobs.patience import read_once
from jobs.records import Record


class SnapshotError(OrchError):
    """A code snapshot cannot be taken, or is not what it was."""


class KeptFile(msgspec.Struct, frozen=True, array_like=True):
    """One file: its path below the tree (see jobs/odd.py), SHA-256 of its bytes, size, whether it is a program."""

    path: str
    sha256: str
    size: int
    executable: bool = False


class KeptLink(msgspec.Struct, frozen=True, array_like=True):
    """One symbolic link of the tree, with the target as it was written."""

    path: str
    target: str


class Snapshot(Record, frozen=True, kw_only=True):
    """`code/<hash>.json`: what a snapshot holds. The rest is of the first tree that it was taken of."""

    hash: str
    root: str
    """The tree's folder: relative to the store's project where it lies inside ('.' is the project), else absolute."""
    files: tuple[KeptFile, ...]
    links: tuple[KeptLink, ...] = ()
    outside: tuple[str, ...] = ()
    """Ignored files and folders (data, outputs): an execution's tree links to the originals. No part of the hash."""
    commit: str | None = None
    dirty: bool = False

    @property
    def paths(self) -> list[str]:
        """Of its files and links, below the tree."""
        return [*(from_text(file.path) for file in self.files), *(from_text(link.path) for link in self.links)]


class Origin(Record, frozen=True, kw_only=True):
    """`code/origins/<hash>.json`: what lay in a submitted tree besides. Two trees may hold the same code."""

    outside: tuple[str, ...] = ()
    """Ignored files and folders (data, outputs): an execution's tree links to the originals."""
    folders: tuple[str, ...] = ()
    """Folders in which nothing was kept."""
    aliases: dict[str, str] = msgspec.field(default_factory=dict)
    """Other absolute paths that led into the tree (through links, or before the project was moved) → where, in it."""


def origin_of(code: Path, snapshot: Snapshot, name: str) -> Origin | None:
    """What a submit kept of its tree; '' is one of an earlier orch. None where it is gone."""
    return read_once(origin_record(code, name), Origin) if name else Origin(outside=snapshot.outside)


def tree_hash(files: Iterable[KeptFile], links: Iterable[KeptLink]) -> str:
    """32 hex digits that name a tree by the content, names and modes of its files and links."""
    digest = hashlib.sha256()
    lines = [f"f\0{item.path}\0{int(item.executable)}\0{item.sha256}\n" for item in files]
    lines += [f"l\0{item.path}\0{item.target}\n" for item in links]
    for line in sorted(lines):
        digest.update(line.encode())
    return digest.hexdigest()[:32]


def folder_of(code: Path, name: str) -> Path:
    """Where a snapshot's files lie."""
    return code / name


def record_of(code: Path, name: str) -> Path:
    """Where a snapshot's record lies."""
    return code / f"{name}.json"


def patch_of(code: Path, name: str) -> Path:
    """Where the difference of a submit to its commit lies."""
    return code / f"{name}.patch"


def origin_record(code: Path, name: str) -> Path:
    """Where the record of a submitted tree lies."""
    return code / "origins" / f"{name}.json"


def is_whole(code: Path, snapshot: Snapshot) -> bool:
    """Whether a kept snapshot still is what it was: files touched since its record was written are read."""
    home = folder_of(code, snapshot.hash)
    try:
        written = record_of(code, snapshot.hash).stat().st_mtime_ns
        for file in snapshot.files:
            path = home / from_text(file.path)
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_size != file.size:
                return False
            if found.st_mtime_ns > written and _sha256(path) != file.sha256:
                return False
        return all(str((home / from_text(one.path)).readlink()) == from_text(one.target) for one in snapshot.links)
    except OSError:
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
