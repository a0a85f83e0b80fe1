"""Opening a store, and its transactions: the only place that locks, retries and replays the journal.

Reads are deferred transactions on a consistent snapshot; writes are BEGIN IMMEDIATE, so that a writer waits in the
lock's queue instead of failing in the middle (a deferred BEGIN that upgrades gets "locked" at once).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from db import journal
from db.admission import admit, check_inside, set_openness
from db.place import NETWORK_FILE_SYSTEMS, file_system, make_folders
from db.reading import Reader
from db.refusals import disk_refuses, patiently, told
from db.shares import gpu_parts
from db.writer import Writer
from jobs.errors import StoreError
from jobs.files import fsync_folder, names
from jobs.layout import Layout

VERSION = "0017"
BUSY_MILLISECONDS = 200
"""SQLite's own patience, which is part of ours: its waiting takes turns less fairly, and hears no signal."""


ROOT = "root"
"""Of a connection's `info`: the store's folder, where something may be left in it; else None."""


class LeaseLost(StoreError):
    """Another supervisor took over: this one must stop without writing."""


class NoStore(StoreError):
    """There is no store where one was looked for."""


def _writable(root: Path) -> bool:
    return bool(os.access(root, os.W_OK, effective_ids=True))


class Store:
    """An open store. Cheap to make; connections are opened per transaction (safe over fork and over threads)."""

    def __init__(
        self,
        root: Path,
        *,
        create: bool = False,
        rebuilding: bool = False,
        looking: bool = False,
        group: bool | None = None,
    ) -> None:
        """Open the store in `root`. Raises NoStore where there is none (and not `create`), StoreError otherwise.

        `rebuilding`: an empty database may be made beside a journal, which it is about to catch up with. `looking`:
        another user's store, or one on a read-only disk, is opened too, for reading only. `group`: whether the group
        may look at a store of one's own; None leaves that as it is.
        """
        found = admit(root, looking=looking)
        self.root = root = root if found is None else found.root
        self.layout = Layout(root)
        self.network = file_system(root) in NETWORK_FILE_SYSTEMS
        self.read_only = found is not None and (not found.mine or (looking and not _writable(root)))
        """Nothing may be written: `write` refuses."""
        if not self.layout.database.exists():
            if not rebuilding:
                self._refuse_journal("missing")
            if not create:
                raise NoStore(f"there is no store in {root}: submit a job first, or name one with --store")
            make_folders(self.layout, group=bool(group))
            found = admit(root, looking=False)
        assert found is not None
        if group is not None and not self.read_only:
            found = set_openness(found, group=group)
        self._looking = looking
        self._reader = Reader(self.layout.database) if self.read_only else None
        self._engine = self._make_engine()
        self._check_version(rebuilding)
        untold = self._modes_untold()
        check_inside(found, untold=untold)
        if untold and not self.read_only:
            self._tell_modes()

    def _refuse_journal(self, what: str) -> None:
        """Without its database, a store that has decided things is not an empty one."""
        if names(self.layout.journal) or self.layout.jobs():
            raise StoreError(f"{self.layout.database} is {what} but its runs are there: run 'orch rebuild'")

    def _connect(self) -> sqlite3.Connection:
        # by its path and not by a URL, in which '?', '%' and '#' mean something
        return self._reader.connect() if self._reader else sqlite3.connect(self.layout.database)

    def _make_engine(self) -> Engine:
        engine = create_engine("sqlite://", creator=self._connect, poolclass=NullPool)

        @event.listens_for(engine, "connect")
        def on_connect(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
            record.info[ROOT] = None if self.read_only else self.root
            connection.isolation_level = None  # BEGIN is ours (see "begin" below)
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
            connection.create_function("gpu_parts", 1, gpu_parts, deterministic=True)

        @event.listens_for(engine, "begin")
        def on_begin(connection: Connection) -> None:
            connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

        return engine

    def _check_version(self, rebuilding: bool) -> None:
        version = self._version()
        if version == VERSION:
            return
        if self._reader is not None:
            self._upgrade_copy(self._reader, version)
            return
        from db.migrate import upgrade

        with self._raw() as raw:
            # refused at once, whatever the time-out, while another process that makes the store writes
            patiently(lambda: raw.execute(f"PRAGMA journal_mode = {'DELETE' if self.network else 'WAL'}"))
        with self._transaction("BEGIN IMMEDIATE") as connection:
            version = self._version_in(connection)
            if version is None and not rebuilding:
                self._refuse_journal("empty")
            if version != VERSION:
                upgrade(connection, self.layout.database, version)

    def _upgrade_copy(self, reader: Reader, version: str | None) -> None:
        """Bring a private copy of one's own store up to date, where the store itself cannot be written."""
        if self.root.stat().st_uid != os.geteuid():
            raise StoreError(
                f"the store {self.root} has schema {version} and this orch wants {VERSION}: its owner brings it up to "
                "date with any command of theirs, such as 'orch status'"
            )
        from db.migrate import upgrade

        copy = reader.keep()
        with self._transaction("BEGIN IMMEDIATE") as connection:
            upgrade(connection, copy, version)

    def _modes_untold(self) -> bool:
        """Whether the store was made by an orch that left the modes of files to the umask."""
        with self._transaction("BEGIN") as connection:
            return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one()) == 0

    def _tell_modes(self) -> None:
        with self._raw() as raw:
            patiently(lambda: raw.execute("PRAGMA user_version = 1"))

    def _version(self) -> str | None:
        with self._transaction("BEGIN") as connection:
            return self._version_in(connection)

    @staticmethod
    def _version_in(connection: Connection) -> str | None:
        there = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'")
        if not there.scalar_one():
            return None
        return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())

    @contextmanager
    def _raw(self) -> Iterator[sqlite3.Connection]:
        try:
            busy = BUSY_MILLISECONDS / 1000
            with closing(sqlite3.connect(self.layout.database, timeout=busy, isolation_level=None)) as raw:
                yield raw
        except sqlite3.DatabaseError as error:
            raise told(error, self.layout) from None

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        """One transaction, which waits for locks (`patiently`). Driver errors become StoreError."""
        try:
            with self._begun(begin) as connection:
                yield connection
                self._commit(connection)
        except IntegrityError:
            raise
        except DatabaseError as error:
            raise told(error.orig or error, self.layout) from None

    def _begun(self, begin: str) -> Connection:
        """A connection inside a transaction that has its lock."""

        def begun() -> Connection:
            connection = self._engine.connect().execution_options(begin=begin)
            try:
                connection.begin()
                connection.exec_driver_sql("SELECT 1 FROM sqlite_master")  # a deferred BEGIN locks when it reads
            except BaseException:
                connection.close()
                raise
            return connection

        try:
            return patiently(begun)
        except OperationalError as error:
            if self.read_only or not self._looking or not disk_refuses(str(error.orig)):
                raise
            self.read_only = True  # a full disk: SQLite wants to write even to read, so a copy is read
            self._reader = Reader(self.layout.database)
            return patiently(begun)

    def _commit(self, connection: Connection) -> None:
        """Commit; with a rollback journal that has to wait for readers."""
        # connection.commit() gives the transaction up after one refusal, so it comes when all is done
        patiently(lambda: connection.exec_driver_sql("COMMIT"))
        connection.commit()

    def close(self) -> None:
        """Let go of what a pool of connections may keep."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent snapshot."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def write(self, lease: int | None = None) -> Iterator[Writer]:
        """A write transaction, conditional on the supervisor's lease number where one is given (else LeaseLost).

        Journal files that a crash left ahead of the database are applied first.
        """
        if self.read_only:
            raise StoreError(f"the store {self.root} is only looked at here: nothing is written")
        writer: Writer | None = None
        try:
            with self._transaction("BEGIN IMMEDIATE") as connection:
                writer = Writer(self.layout, connection)
                if lease is not None:
                    held = connection.exec_driver_sql("SELECT number FROM lease WHERE id = 1").scalar_one()
                    if held != lease:
                        raise LeaseLost("another supervisor has taken over this store")
                writer.catch_up()
                yield writer
                writer.seal()
        except BaseException:
            if writer is not None and writer.sealed is not None:
                self._take_back(writer.sealed)
            raise

    @contextmanager
    def rehearsal(self) -> Iterator[Writer]:
        """A write transaction that is rolled back: to see whether something would do."""
        with self._begun("BEGIN IMMEDIATE") as connection:
            try:
                yield Writer(self.layout, connection)
            finally:
                connection.rollback()

    def catch_up(self) -> None:
        """Apply the journal files that the database does not hold yet."""
        with self.write() as writer:
            writer.catch_up()

    def _take_back(self, number: int) -> None:
        """Remove journal file `number` if its transaction did not commit: its caller hears an error.

        Where the database cannot say, the file stays, and the next writer applies it: better done than lost. Under the
        write lock, since another writer may be applying it just now.
        """
        with self._raw() as raw:
            patiently(lambda: raw.execute("BEGIN IMMEDIATE"))
            (held,) = raw.execute("SELECT value FROM setting WHERE name = 'journal_seq'").fetchone()
            if int(held) < number:
                path = journal.path_of(self.layout.journal, number)
                path.unlink(missing_ok=True)
                with suppress(OSError):  # the commit failed for some reason, and its caller hears of that
                    fsync_folder(path.parent)  # else a power cut brings back what the caller was told is not done
            raw.execute("ROLLBACK")
