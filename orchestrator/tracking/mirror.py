"""A folder that shows the accepted results of a store to another tool, kept true by each `orch export --to`.

Each run is a folder of its own, written aside and renamed into place. What lies there is noted before it is: so a
killed export leaves nothing that the next one does not know, and nothing half written under a name that is read.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import msgspec
from filelock import FileLock, Timeout

from jobs.errors import BadInput
from jobs.files import Unreadable, encode, load_json, names, publish
from jobs.records import Record
from orchestrator.tracking.runs import Run

NOTE = "orch-export.json"
LOCK = ".orch-export.lock"
ASIDE = ".orch-export-"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is there; `digest` is empty until it is there wholly."""

    path: str
    digest: str = ""


class Note(Record, frozen=True, kw_only=True):
    """`orch-export.json`: whose folder it is."""

    to: str
    store: str
    runs: dict[str, Kept] = msgspec.field(default_factory=dict)


class Mirror:
    """The folder, under its lock."""

    def __init__(self, folder: Path, note: Note) -> None:
        self.folder = folder
        self.note = note
        self.aside = folder / f"{ASIDE}{secrets.token_hex(4)}.tmp"

    def is_current(self, run: Run, digest: str, path: str) -> bool:
        """Whether this very run lies there already."""
        kept = self.note.runs.get(run.key)
        return kept == Kept(path=path, digest=digest) and self.place(path).is_dir()

    def put(self, run: Run, digest: str, path: str, write: Callable[[Path], Path]) -> None:
        """Replace what is there of a run. `write(folder)` writes it below that folder: where. Raises OSError."""
        before = self.note.runs.get(run.key)
        self.aside.mkdir(exist_ok=True)
        made = write(self.aside)
        self._write({**self.note.runs, run.key: Kept(path=path)})
        for old in {path, before.path if before else path}:
            self._discard(old)
        place = self.place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        made.rename(place)
        self._write({**self.note.runs, run.key: Kept(path=path, digest=digest)})

    def remove(self, keys: Collection[str]) -> None:
        """Runs that are not to be there any more. Raises OSError."""
        for key in keys:
            self._discard(self.note.runs[key].path)
            self._write({name: kept for name, kept in self.note.runs.items() if name != key})

    def _discard(self, path: str) -> None:
        place = self.place(path)
        if place.is_dir() and not place.is_symlink():
            self.aside.mkdir(exist_ok=True)
            place.rename(self.aside / secrets.token_hex(4))

    def place(self, path: str) -> Path:
        """Raises BadInput for a path that leads elsewhere: somebody changed the note, or put a link there."""
        parts = PurePosixPath(path).parts
        place = self.folder.joinpath(*parts)
        above = [self.folder.joinpath(*parts[:n]) for n in range(1, len(parts))]
        if not parts or ".." in parts or path.startswith("/") or any(one.is_symlink() for one in above):
            raise BadInput(f"{self.folder / NOTE} names '{path}', which leads out of it: choose another folder")
        return place

    def _write(self, runs: dict[str, Kept]) -> None:
        self.note = msgspec.structs.replace(self.note, runs=runs)
        publish(self.folder / NOTE, encode(self.note) + b"\n")


def check(folder: Path, to: str, store: str) -> Note:
    """Whose folder it is: of this store and for this tool, or nobody's yet. Raises BadInput."""
    try:
        there = names(folder) if folder.exists() or folder.is_symlink() else []
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(20, os.strerror(20))
        note = load_json(folder / NOTE, Note)
    except OSError as error:
        raise BadInput(f"cannot export to '{folder}': {error.strerror}; choose another folder") from None
    except Unreadable as error:
        raise BadInput(f"{folder / NOTE} cannot be read ({error}): choose another folder, or remove this one") from None
    others = [name for name in there if not name.startswith(ASIDE) and name != LOCK]
    if note is None and others:
        raise BadInput(f"'{folder}' holds other things ({others[0]}): name a new or an empty folder")
    if note is not None and note.to != to:
        raise BadInput(f"'{folder}' holds an export to {note.to}: name another folder for {to}")
    if note is not None and note.store != store:
        raise BadInput(f"'{folder}' holds the results of another store: name another folder")
    return note or Note(to=to, store=store)


@contextmanager
def opened(folder: Path, to: str, store: str) -> Iterator[Mirror]:
    """The folder to write into, made where it is missing. Raises BadInput."""
    check(folder, to, store)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK, timeout=0):
            for name in names(folder):  # of an export that was killed
                if name.startswith(ASIDE) and name.endswith(".tmp"):
                    shutil.rmtree(folder / name, ignore_errors=True)
            mirror = Mirror(folder, check(folder, to, store))
            for kept in mirror.note.runs.values():
                mirror.place(kept.path)  # before anything is touched
            try:
                yield mirror
            finally:
                shutil.rmtree(mirror.aside, ignore_errors=True)
    except Timeout:
        raise BadInput(f"another export writes to '{folder}' just now: wait for its end") from None
    except OSError as error:
        raise BadInput(f"cannot write to '{folder}': {error.strerror or error}; choose another folder") from None
