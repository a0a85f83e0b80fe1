"""Opening a store, and its transactions: the only place that locks, retries and replays the journal.

Reads are deferred transactions on a consistent snapshot; writes are BEGIN IMMEDIATE, so that a writer waits in the
lock's queue instead of failing in the middle (a deferred BEGIN that upgrades gets "locked" at once).
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError
from sqlalchemy.pool import NullPool

from db import journal
from db.applying import apply
from db.entries import Entry
from jobs.errors import StoreError
from jobs.files import names
from jobs.layout import Layout

T = TypeVar("T")

VERSION = "0001"
PATIENCE_SECONDS = 60.0
"""How long a command waits for a lock that somebody else holds."""

BUSY_MILLISECONDS = 5000
"""SQLite's own patience, which is part of ours: its waiting takes turns less fairly."""

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "lustre", "gpfs", "beegfs", "cifs", "smb3", "smbfs", "fuse.sshfs", "ceph", "fuse.glusterfs", "9p"}
)


class LeaseLost(StoreError):
    """Another supervisor took over: this one must stop without writing."""


class NoStore(StoreError):
    """There is no store where one was looked for."""


def locate(explicit: Path | None = None) -> Path:
    """The store's folder: the one named (option or ORCH_STORE), else `.orch` here or in the nearest parent, else here.

    Absolute; it need not exist.
    """
    named = explicit or (Path(os.environ["ORCH_STORE"]) if os.environ.get("ORCH_STORE") else None)
    if named is not None:
        return named.expanduser().absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".orch").is_dir():
            return folder / ".orch"
    return here / ".orch"


def file_system(path: Path) -> str:
    """The type of the file system that holds `path`, as /proc/mounts names it ('ext4', 'nfs4', ...)."""
    best, kind = "", ""
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        words = line.split()
        mount = words[1].replace("\\040", " ")
        inside = str(path) == mount or str(path).startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, words[2]
    return kind


def _patiently(act: Callable[[], T]) -> T:
    """What `act` returns; while the database is locked it is tried again, with jitter, up to PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return act()
        except (OperationalError, sqlite3.OperationalError) as error:
            if "locked" not in str(getattr(error, "orig", error)) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.01, 0.2))


class Store:
    """An open store. Cheap to make; connections are opened per transaction (safe over fork and over threads)."""

    def __init__(self, root: Path, *, create: bool = False, rebuilding: bool = False) -> None:
        """Open the store in `root`. Raises NoStore where there is none (and not `create`), StoreError otherwise.

        `rebuilding`: an empty database may be made beside a journal, which it is about to catch up with.
        """
        self.root = root
        self.layout = Layout(root)
        self.network = file_system(root) in NETWORK_FILE_SYSTEMS
        self._check_owner()
        if not self.layout.database.exists():
            if not rebuilding:
                self._refuse_journal("missing")
            if not create:
                raise NoStore(f"there is no store in {root}: submit a job first, or name one with --store")
            self._make_folders()
        self._engine = self._make_engine()
        self._check_version(rebuilding)

    def _refuse_journal(self, what: str) -> None:
        """Without its database, a store that has decided things is not an empty one."""
        if names(self.layout.journal):
            raise StoreError(f"{self.layout.database} is {what} but its runs are there: run 'orch rebuild'")

    def _make_folders(self) -> None:
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.layout.journal.mkdir(parents=True, exist_ok=True)
            self.layout.submissions.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot make the store {self.root}: {error.strerror}; choose a folder with --store"
            ) from None

    def _check_owner(self) -> None:
        try:
            owner = self.root.stat().st_uid
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StoreError(f"cannot look into the store {self.root}: {error.strerror}") from None
        if owner != os.geteuid():
            raise StoreError(
                f"the store {self.root} belongs to user id {owner}, not to you ({os.geteuid()}): use one of your own"
            )

    def _make_engine(self) -> Engine:
        engine = create_engine(f"sqlite:///{self.layout.database}", poolclass=NullPool)

        @event.listens_for(engine, "connect")
        def on_connect(connection: sqlite3.Connection, record: object) -> None:
            connection.isolation_level = None  # BEGIN is ours (see "begin" below)
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")

        @event.listens_for(engine, "begin")
        def on_begin(connection: Connection) -> None:
            connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

        return engine

    def _check_version(self, rebuilding: bool) -> None:
        version = self._version()
        if version == VERSION:
            return
        from db.migrate import upgrade

        with self._raw() as raw:
            # refused at once, whatever the time-out, while another process that makes the store writes
            _patiently(lambda: raw.execute(f"PRAGMA journal_mode = {'DELETE' if self.network else 'WAL'}"))
        with self._transaction("BEGIN IMMEDIATE") as connection:
            version = self._version_in(connection)
            if version is None and not rebuilding:
                self._refuse_journal("empty")
            if version != VERSION:
                upgrade(connection, self.layout.database, version)
        self.layout.database.chmod(0o600)

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
            with closing(sqlite3.connect(self.layout.database, timeout=PATIENCE_SECONDS, isolation_level=None)) as raw:
                yield raw
        except sqlite3.DatabaseError as error:
            raise self._translated(error) from None

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        """One transaction; waits for locks with jitter up to PATIENCE_SECONDS. Driver errors become StoreError."""
        try:
            with self._begun(begin) as connection:
                yield connection
                self._commit(connection)
        except IntegrityError:
            raise
        except DatabaseError as error:
            raise self._translated(error.orig or error) from None

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

        return _patiently(begun)

    def _commit(self, connection: Connection) -> None:
        """Commit; with a rollback journal that has to wait for readers."""
        # connection.commit() gives the transaction up after one refusal, so it comes when all is done
        _patiently(lambda: connection.exec_driver_sql("COMMIT"))
        connection.commit()

    def _translated(self, error: BaseException) -> StoreError:
        text = str(error)
        if "locked" in text:
            return StoreError(
                f"the store {self.root} has been locked by another process for {PATIENCE_SECONDS:.0f} s: "
                f"see who with 'fuser {self.layout.database}', then repeat"
            )
        if "disk is full" in text or "disk I/O" in text:
            return StoreError(f"the disk of the store {self.root} is full or failing ({text}): make room, then repeat")
        if "malformed" in text or "not a database" in text:
            return StoreError(
                f"{self.layout.database} is damaged ({text}): run 'orch rebuild', which makes it anew from runs/"
            )
        if "readonly" in text or "unable to open" in text:
            return StoreError(f"{self.layout.database} cannot be written ({text}): mend its permissions")
        return StoreError(f"{self.layout.database}: {text}")

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
            raw.execute("BEGIN IMMEDIATE")
            (held,) = raw.execute("SELECT value FROM setting WHERE name = 'journal_seq'").fetchone()
            if int(held) < number:
                journal.path_of(self.layout.journal, number).unlink(missing_ok=True)
            raw.execute("ROLLBACK")


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
        value = self.connection.exec_driver_sql("SELECT value FROM setting WHERE name = 'journal_seq'").scalar_one()
        return int(value)

    def set_journal_seq(self, number: int) -> None:
        self.connection.exec_driver_sql("UPDATE setting SET value = ? WHERE name = 'journal_seq'", (str(number),))

    def catch_up(self) -> None:
        """Apply journal files that a crash left between their writing and the commit."""
        number = self.journal_seq() + 1
        while (path := journal.path_of(self.layout.journal, number)).exists():
            for entry in journal.read(path):
                apply(entry, self.connection)
            self.set_journal_seq(number)
            number += 1

    def seal(self) -> None:
        """Write the journal file: from here on the decisions are made, whatever happens to this process."""
        if self._entries:
            number = self.journal_seq() + 1
            self.sealed = number
            journal.write(self.layout.journal, number, tuple(self._entries))
            self.set_journal_seq(number)
