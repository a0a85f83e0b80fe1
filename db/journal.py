"""The journal: one fsynced file per deciding transaction, numbered without gaps. It is the store's redo log.

The file is written after its entries were applied inside the transaction and before the commit. A crash in between
leaves a file that the database does not hold: the next writer applies it first (db/store.py).
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from db.entries import Entry, JournalFile
from jobs.errors import StoreError
from jobs.files import fsync_folder, names, write_bytes


def path_of(journal: Path, number: int) -> Path:
    """Where entry file `number` (from 1) lies; a folder holds a thousand."""
    return journal / str(number // 1000) / f"{number:09d}.json"


def write(journal: Path, number: int, entries: tuple[Entry, ...]) -> Path:
    """Make the decisions durable. Raises StoreError where the disk refuses."""
    path = path_of(journal, number)
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            fsync_folder(journal)
        write_bytes(path, msgspec.json.encode(JournalFile(entries=entries)) + b"\n")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; make room or mend the folder, then repeat") from None
    return path


def read(path: Path) -> tuple[Entry, ...]:
    """The decisions of one file. Raises StoreError where it is damaged or of a newer orch."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=JournalFile).entries
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(f"journal file {path} cannot be read ({error}): restore it from a backup") from None


def last_number(journal: Path) -> int:
    """The number of the last file; 0 for an empty journal. Raises StoreError where one before it is missing."""
    numbers = sorted(
        int(name[:-5])
        for folder in names(journal)
        for name in names(journal / folder)
        if name.endswith(".json") and name[:-5].isdigit()
    )
    for expected, number in enumerate(numbers, start=1):
        if number != expected:
            raise StoreError(f"journal file {path_of(journal, expected)} is missing: restore it from a backup")
    return len(numbers)
