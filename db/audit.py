"""Is the journal whole? What is missing or not what was written, and what that means for the database beside it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakKeyDictionary

from sqlalchemy import Connection

from db import journal
from db.entries import JournalFile, Lost
from db.journal import JournalDamaged, path_of
from db.store import Store
from db.writer import MEND
from jobs.files import Unreadable

SHOWN = 3
FOREIGN = "is not the one that was written there (another store's, or edited)"
RECENT = 200
"""Newest files that a quick look reads; `orch doctor` reads all of them."""
RECENT_BYTES = 4_000_000
"""So much of what the database holds is read then: a look costs the same after the import of a million results."""
MOMENT_SECONDS = 0.5
"""For so long the last quick look answers again."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """Up to where a database holds the journal; `digest` is the hash of that file, where it was noted."""

    number: int
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A journal file that cannot be used."""

    number: int
    why: str
    torn: bool = False


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was found. `faults` ascend; `strays` are none of the journal's files."""

    folder: Path
    last: int
    held: Held | None
    faults: tuple[Fault, ...] = ()
    strays: tuple[Path, ...] = ()

    @property
    def tail(self) -> Fault | None:
        """A torn last file whose transaction never committed: nothing is lost with it."""
        if self.held is None or not self.faults:
            return None
        fault = self.faults[-1]
        return fault if fault.torn and fault.number == self.last == self.held.number + 1 else None

    @property
    def losses(self) -> tuple[Fault, ...]:
        """The faults with which decisions are lost."""
        return tuple(fault for fault in self.faults if fault is not self.tail)

    def refuses(self) -> bool:
        """Whether the database cannot go on: it does not hold what is damaged."""
        ahead = [fault for fault in self.losses if self.held is not None and fault.number > self.held.number]
        return any(fault.why != FOREIGN for fault in ahead)

    def sentence(self) -> str:
        """What is wrong, and what works in spite of it; empty where nothing is."""
        if self.losses:
            named = describe(self.folder, self.losses)
            if self.refuses():
                return f"{named}: the database does not hold what it decided, so nothing can be changed"
            if self.held is not None and self.losses[-1].number > self.held.number:
                return f"{named}: all goes on with what it says, but a rebuild would refuse it"
            return f"{named}: the database holds what it decided, so all goes on, but a rebuild would lose it"
        if self.tail is not None:
            path = path_of(self.folder, self.tail.number)
            return f"{path} is torn and was never counted: its command was cut off before it was done"
        return ""

    def mend(self) -> str:
        """What to do about it."""
        return MEND if self.losses else "nothing to do: the next command that writes sets it aside" if self.tail else ""


def describe(folder: Path, faults: Sequence[Fault]) -> str:
    """Which files, and why, in words; neighbours with the same fault are named together."""
    runs: list[list[Fault]] = []
    for fault in faults:
        if runs and runs[-1][-1].number + 1 == fault.number and runs[-1][-1].why == fault.why:
            runs[-1].append(fault)
        else:
            runs.append([fault])
    said = []
    for run in runs[:SHOWN]:
        first, last = path_of(folder, run[0].number), path_of(folder, run[-1].number)
        said.append(f"{first} {run[0].why}" if first == last else f"{first} to {last.name} {run[0].why}")
    more = f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else ""
    return f"journal file {'; '.join(said)}{more}"


def held(connection: Connection) -> Held:
    """Up to where this database holds the journal."""
    rows = connection.exec_driver_sql("SELECT name, value FROM setting WHERE name IN ('journal_seq', 'journal_hash')")
    found = {str(name): str(value) for name, value in rows}
    number = int(found.get("journal_seq", "0"))
    return Held(number=number, digest=journal.digest_of(found.get("journal_hash", ""), number))


def audit(store: Store, *, recent: int | None = None) -> Audit:
    """The journal of a store beside its database: whether what lies ahead follows is tried. Raises OSError."""
    with store.read() as connection:
        database = held(connection)
    found = examine(store.layout.journal, database, recent=recent)
    if found.last <= database.number or any(fault.number > database.number for fault in found.faults):
        return found
    with store.rehearsal() as writer:
        for number in range(writer.journal_seq() + 1, found.last + 1):
            path = path_of(found.folder, number)
            try:
                writer.replay(journal.load(path)[0], path.name)
            except JournalDamaged as error:
                return replace(found, faults=(*found.faults, Fault(number=number, why=error.why)))
            except (Unreadable, FileNotFoundError):
                break  # a writer has taken it back just now
    return found


def warning(store: Store, *, refusing: bool) -> str:
    """What a person must hear of the journal whatever they do, from a quick look; empty where there is nothing.

    `refusing`: of a journal with which nothing can be changed (a command that would change something says it itself),
    else of one with which all goes on.
    """
    try:
        found = _glance(store)
    except OSError as error:
        return unreadable(store.layout.journal, error) if refusing else ""
    if not found.sentence() or found.refuses() != refusing:
        return ""
    return f"{found.sentence()}. To mend it: {found.mend()}"


_GLANCES: WeakKeyDictionary[Store, tuple[float, Audit]] = WeakKeyDictionary()


def _glance(store: Store) -> Audit:
    """A quick audit that is at most a moment old: a command asks once for what refuses and once for the rest."""
    last = _GLANCES.get(store)
    if last is not None and time.monotonic() - last[0] < MOMENT_SECONDS:
        return last[1]
    found = audit(store, recent=RECENT)
    _GLANCES[store] = (time.monotonic(), found)
    return found


def unreadable(folder: Path, error: OSError) -> str:
    """What to say where permissions or a disk stand in the way."""
    where = error.filename or folder
    return f"the journal cannot be read ({where}: {error.strerror}): mend that (chmod -R u+rwX {folder}), then repeat"


def examine(folder: Path, database: Held | None, *, recent: int | None = None) -> Audit:
    """Every file's name, and the contents of the newest `recent` (None: of all). Raises OSError.

    Of the newest ones that the database holds, so many as are `RECENT_BYTES` together.
    """
    numbers, strays = journal.numbers(folder)
    last = numbers[-1] if numbers else 0
    end = max(last, database.number if database else 0)
    first = 1 if recent is None else _oldest(folder, numbers, end - recent + 1, database.number if database else 0)
    there = frozenset(numbers)
    faults = {n: Fault(number=n, why="is missing") for n in range(1, end + 1) if n not in there}
    read: dict[int, tuple[JournalFile, str]] = {}
    for number in numbers:
        if number < first:
            continue
        try:
            file, digest = journal.load(path_of(folder, number))
        except FileNotFoundError:
            faults[number] = Fault(number=number, why="is a link that leads nowhere")
        except Unreadable as error:
            faults[number] = Fault(number=number, why=f"cannot be read ({error})", torn=isinstance(error, journal.Torn))
        else:
            is_loss = any(isinstance(entry, Lost) for entry in file.entries)
            read[number] = (JournalFile(entries=(), previous=file.previous), "" if is_loss else digest)
    faults.update(_foreign(read, database, last))
    return Audit(
        folder=folder,
        last=last,
        held=database,
        faults=tuple(faults[number] for number in sorted(faults)),
        strays=tuple(strays),
    )


def _oldest(folder: Path, numbers: Sequence[int], first: int, held: int) -> int:
    """The first file that a quick look reads, not before `first`. Raises OSError."""
    room = RECENT_BYTES
    for number in reversed(numbers):
        if number < first:
            break
        with suppress(FileNotFoundError):
            room -= path_of(folder, number).stat().st_size
        if room < 0 and number <= held:
            return number + 1
    return first


def _foreign(read: dict[int, tuple[JournalFile, str]], database: Held | None, last: int) -> dict[int, Fault]:
    """The files that are not the ones that were written there, by the hashes that their successors carry.

    From the end: the database, or a file that is trusted itself, says which file came before. Where nobody can say, a
    file's own word about the one before it is all there is. What stands for a loss (no digest) is its own witness.
    """
    found: dict[int, Fault] = {}
    for number in sorted(read, reverse=True):
        file, digest = read[number]
        if not digest:
            continue
        after = read.get(number + 1)
        said = ""
        if database is not None and number == database.number:
            said = database.digest
        elif after is not None and number + 1 not in found:
            said = after[0].previous
        if said:
            wrong = said != digest
        else:
            before = read[number - 1][1] if number - 1 in read else ""
            if number - 1 == (database.number if database else -1):
                before = database.digest if database and database.digest else before
            wrong = bool(file.previous and before) and file.previous != before
        if wrong:
            found[number] = Fault(number=number, why=FOREIGN)
    return found
