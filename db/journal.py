"""The journal: one fsynced file per deciding transaction, numbered without gaps. It is the store's redo log.

The file is written after its entries were applied inside the transaction and before the commit. A crash in between
leaves a file that the database does not hold: the next writer applies it first (db/writer.py). Each file carries the
hash of the one before it, so that a file which was edited, or is another store's, is seen (db/audit.py).
"""

from __future__ import annotations

import errno
import hashlib
import re
import stat
from pathlib import Path

import msgspec

from db.entries import Entry, JournalFile
from jobs import trust
from jobs.errors import StoreError
from jobs.files import Unreadable, decode, fsync_folder, make_folder, names, read_bytes, write_bytes

FILE = re.compile(r"^([0-9]{9,15})\.json\Z")
SET_ASIDE = ".set-aside"
MOST_BYTES = 4 << 30
"""A submit of millions of jobs is one file."""
NO_FILE = (errno.EISDIR, errno.EINVAL, errno.ELOOP, errno.EFBIG)
"""Something else lies there: no mended permission and no patience makes a file of it."""


class JournalDamaged(StoreError):
    """A file of the journal cannot be used, and nobody but a person may decide to go on without it."""

    def __init__(self, text: str, why: str = "") -> None:
        super().__init__(text)
        self.why = why


class Torn(Unreadable):
    """No JSON at all: its writing was cut off, or its disk lost it."""


def path_of(journal: Path, number: int) -> Path:
    """Where entry file `number` (from 1) lies; a folder holds a thousand."""
    return journal / str(number // 1000) / f"{number:09d}.json"


def write(journal: Path, number: int, file: JournalFile) -> str:
    """Make the decisions durable: the file's hash. Raises StoreError where the disk refuses."""
    path = path_of(journal, number)
    data = msgspec.json.encode(file) + b"\n"
    try:
        if not path.parent.is_dir():
            make_folder(path.parent)
            fsync_folder(journal)
        write_bytes(path, data)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; make room or mend the folder, then repeat") from None
    return hash_of(data)


def settle(journal: Path, number: int) -> None:
    """Make the name of a file durable whose writer died on the way: the database must not outlive it. Raises OSError.

    Its content was before it had the name; those before it are, since their successors came after them.
    """
    fsync_folder(path_of(journal, number).parent)
    fsync_folder(journal)


def hash_of(data: bytes) -> str:
    """What a file's successor, and the database, say that it was."""
    return hashlib.sha256(data).hexdigest()[:32]


def present_hash(journal: Path, number: int) -> str:
    """The hash of a file as it lies there; empty where there is none, or nobody can read it."""
    try:
        return hash_of(read_bytes(path_of(journal, number), MOST_BYTES)) if number else ""
    except OSError:
        return ""


def noted(number: int, digest: str) -> str:
    """What a database notes of the file that it holds last."""
    return f"{number} {digest}"


def digest_of(note: str, number: int) -> str:
    """The hash of that file by a database's note; empty where it notes another one (an earlier orch notes none)."""
    of, _, digest = note.partition(" ")
    return digest if of == str(number) else ""


def load(path: Path) -> tuple[JournalFile, str]:
    """One file and its hash. Raises OSError, or Unreadable where it is torn, of another shape or of a newer orch.

    Raises StoreError for one that somebody else than the store's user wrote, or could have.
    """
    facts = path.lstat()
    if stat.S_ISREG(facts.st_mode) and facts.st_uid != trust.ROOT:
        trust.check_file(path, path.parent.lstat().st_uid)
    try:
        data = read_bytes(path, MOST_BYTES)
    except OSError as error:
        if error.errno in NO_FILE:
            raise Unreadable(error.strerror) from None
        raise
    try:
        return decode(data, JournalFile), hash_of(data)
    except Unreadable as error:
        try:
            decode(data, msgspec.Raw)
        except Unreadable:
            raise Torn(str(error)) from None
        raise


class Verbatim(msgspec.Struct, frozen=True, kw_only=True):
    """A file with its entries as they were written, byte for byte."""

    entries: tuple[msgspec.Raw, ...]
    previous: str = ""


def verbatim(path: Path) -> tuple[Verbatim, str]:
    """One file and its hash. Raises StoreError where it is damaged."""
    try:
        data = read_bytes(path, MOST_BYTES)
        return decode(data, Verbatim), hash_of(data)
    except (OSError, Unreadable) as error:
        raise JournalDamaged(f"journal file {path} cannot be read ({error}): restore it from a backup") from None


def read(path: Path) -> tuple[Entry, ...]:
    """The decisions of one file. Raises StoreError where it is damaged or of a newer orch."""
    try:
        return load(path)[0].entries
    except (OSError, Unreadable) as error:
        raise JournalDamaged(f"journal file {path} cannot be read ({error}): restore it from a backup") from None


def numbers(journal: Path) -> tuple[list[int], list[Path]]:
    """The numbers of the files, ascending, and what lies there and is none of them. Raises OSError."""
    found, strays = [], []
    for folder in names(journal):
        there = names(journal / folder)
        if not there and not folder.startswith("."):
            strays.extend([] if (journal / folder).is_dir() else [journal / folder])
        for name in there:
            match = FILE.match(name)
            if match and path_of(journal, int(match[1])) == journal / folder / name:
                found.append(int(match[1]))
            elif not name.startswith(".") and SET_ASIDE not in name:
                strays.append(journal / folder / name)
    return sorted(found), strays


def newest(journal: Path) -> int:
    """The highest number, from two listings; 0 where there is none. Raises OSError."""
    folders = [int(name) for name in names(journal) if name.isascii() and name.isdigit()]
    for folder in sorted(folders, reverse=True):
        found = [int(match[1]) for name in names(journal / str(folder)) if (match := FILE.match(name))]
        if found:
            return max(found)
    return 0


def last_number(journal: Path) -> int:
    """The number of the last file; 0 for an empty journal. Raises StoreError where one before it is missing."""
    found, _ = numbers(journal)
    for expected, number in enumerate(found, start=1):
        if number != expected:
            raise JournalDamaged(f"journal file {path_of(journal, expected)} is missing: restore it from a backup")
    return len(found)


def set_aside(path: Path) -> Path:
    """Keep a file that cannot be used under another name: the new one. Raises OSError."""
    target = path.with_name(path.name + SET_ASIDE)
    count = 1
    while target.exists():
        count += 1
        target = path.with_name(f"{path.name}{SET_ASIDE}-{count}")
    path.rename(target)
    fsync_folder(path.parent)
    return target
