"""An open write transaction: decisions are applied at once, and reach the journal as one file before the commit."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from db import acceptance as acceptance  # its entries register with `apply`, as those of the others named so
from db import canaries as canaries
from db import hosts as hosts
from db import identity as identity
from db import journal
from db import limits as limits
from db import minds as minds
from db import registered as registered
from db import sealing as sealing
from db import studytables as studytables
from db.applying import apply
from db.entries import Entry, JournalFile, Lost
from db.journal import JournalDamaged, Torn, path_of
from jobs.files import Unreadable
from jobs.layout import Layout

log = logging.getLogger(__name__)

MEND = (
    "restore it from a backup; without one, 'orch rebuild' names what is lost with it, "
    "and 'orch rebuild --accept-loss' goes on without it"
)
REFUSED = (SQLAlchemyError, LookupError, ValueError, TypeError)
"""What applying an entry raises that does not follow from those before it."""


class Writer:
    """An open write transaction. `decide` applies journal entries; they reach the journal at the end, before commit."""

    def __init__(self, layout: Layout, connection: Connection) -> None:
        self.layout = layout
        self.connection = connection
        self._entries: list[Entry] = []
        self.sealed: int | None = None
        """The number of the journal file that this transaction wrote."""

    def decide(self, entries: Sequence[Entry]) -> None:
        """Apply decisions now and journal them. Raises IntegrityError where a rule of the store refuses one."""
        for entry in entries:
            apply(entry, self.connection)
        self._entries.extend(entries)

    def journal_seq(self) -> int:
        """The number of the last journal file that the database holds."""
        return int(self._setting("journal_seq") or 0)

    def _setting(self, name: str) -> str | None:
        found = self.connection.exec_driver_sql(
            "SELECT value FROM setting WHERE name = ?", (name,)
        ).scalar_one_or_none()
        return None if found is None else str(found)

    def hold(self, number: int, digest: str) -> None:
        """The database holds that journal file from now on, and remembers which one it was."""
        self.connection.exec_driver_sql(
            "INSERT INTO setting VALUES ('journal_seq', ?), ('journal_hash', ?) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (str(number), journal.noted(number, digest)),
        )

    def catch_up(self) -> None:
        """Apply journal files that a crash left between their writing and the commit.

        A last file that is torn was never counted, since its transaction did not commit: it is set aside. Raises
        JournalDamaged for anything else that cannot be used.
        """
        folder, held = self.layout.journal, self.journal_seq()
        try:
            last = self._newest(held)
            for number in range(held + 1, last + 1):
                path = path_of(folder, number)
                try:
                    file, digest = journal.load(path)
                except FileNotFoundError:
                    raise JournalDamaged(
                        f"journal file {path} is missing, though there are later ones: {MEND}"
                    ) from None
                except Unreadable as error:
                    if number < last or not isinstance(error, Torn):
                        raise JournalDamaged(f"journal file {path} cannot be read ({error}): {MEND}") from None
                    kept = journal.set_aside(path)
                    log.warning("%s was torn and never counted (%s): set aside as %s", path, error, kept.name)
                    return
                self.replay(file, path.name)
                self.hold(number, digest)
            if last > held:
                journal.settle(folder, last)
        except OSError as error:
            where = error.filename or folder
            raise JournalDamaged(
                f"the journal cannot be read ({where}: {error.strerror}): "
                f"mend that (chmod -R u+rwX {folder}), then repeat"
            ) from None

    def _newest(self, held: int) -> int:
        """The last file's number. Where a shared folder cannot be listed now, the next file is asked for by name."""
        try:
            return journal.newest(self.layout.journal)
        except OSError:
            return held + int(path_of(self.layout.journal, held + 1).exists())

    def replay(self, file: JournalFile, name: str) -> list[Entry]:
        """Apply a file's entries; those that were skipped, which happens only after a loss that a person accepted.

        Raises JournalDamaged where one does not follow from those before it.
        """
        skipped: list[Entry] = []
        lossy = self._lossy()
        for entry in file.entries:
            try:
                with self.connection.begin_nested() if lossy else contextlib.nullcontext():
                    apply(entry, self.connection)
            except REFUSED as error:
                if not lossy:
                    why = str(getattr(error, "orig", error)) or type(error).__name__
                    why = f"does not follow from those before it ({why})"
                    raise JournalDamaged(f"journal file {name} {why}: {MEND}", why) from None
                skipped.append(entry)
            lossy = lossy or isinstance(entry, Lost)
        return skipped

    def _lossy(self) -> bool:
        return self._setting("journal_lost") is not None

    def seal(self) -> None:
        """Write the journal file: from here on the decisions are made, whatever happens to this process."""
        if self._entries:
            held = self.journal_seq()
            self.sealed = number = held + 1
            file = JournalFile(entries=tuple(self._entries), previous=self._before(held))
            self.hold(number, journal.write(self.layout.journal, number, file))

    def _before(self, held: int) -> str:
        """The hash of the file before the one that is written: as it was noted when it was written or applied, so that
        an edit since is seen. An earlier orch noted none: there the chain begins with the file as it lies there."""
        noted = journal.digest_of(self._setting("journal_hash") or "", held)
        return noted or journal.present_hash(self.layout.journal, held)
