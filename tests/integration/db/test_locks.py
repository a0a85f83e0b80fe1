"""Locks of the real SQLite: writers wait for each other and for readers, and one that never ends is named."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import db.refusals
import db.store
from db import creation, jobs, journal
from db.store import Store
from jobs.errors import StoreError
from jobs.layout import Layout
from jobs.words import JobState
from tests.helpers.filled import Filled

HOLD = """
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute(f"BEGIN {sys.argv[3]}")
if sys.argv[3] == "EXCLUSIVE":
    c.execute("UPDATE setting SET value = value")
elif sys.argv[3] == "DEFERRED":
    c.execute("SELECT value FROM setting").fetchall()
print("held", flush=True)
time.sleep(float(sys.argv[2]))
c.execute("COMMIT")
"""


def hold(store: Store, seconds: float, how: str = "EXCLUSIVE") -> subprocess.Popen[str]:
    """Another process that holds the lock for so long; returns once it has it."""
    arguments = [sys.executable, "-c", HOLD, str(store.layout.database), str(seconds), how]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("network", [False, True])
def test_a_lock_is_waited_for(tmp_path: Path, network: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than SQLite's own patience, in both journal modes, for readers and for writers."""
    monkeypatch.setattr(db.store, "file_system", lambda path: "nfs4" if network else "ext4")
    monkeypatch.setattr(db.store, "BUSY_MILLISECONDS", 200)
    filled = Filled.make(tmp_path / ".orch")
    holder = hold(filled.store, 1.5)
    began = time.monotonic()
    with filled.store.read() as connection:
        assert creation.next_id(connection) == 1
    if network:
        assert time.monotonic() - began > 1.0
    assert filled.submit() == [1]
    assert time.monotonic() - began > 1.0
    assert holder.wait(10) == 0


def test_a_commit_waits_for_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a rollback journal a reader keeps a writer from committing, though not from beginning."""
    monkeypatch.setattr(db.store, "file_system", lambda path: "nfs4")
    monkeypatch.setattr(db.store, "BUSY_MILLISECONDS", 100)
    filled = Filled.make(tmp_path / ".orch")
    holder = hold(filled.store, 1.5, "DEFERRED")
    began = time.monotonic()
    assert filled.submit() == [1]
    assert time.monotonic() - began > 1.0
    with sqlite3.connect(filled.store.layout.database) as raw:
        assert raw.execute("SELECT count(*) FROM job").fetchone() == (1,)
        assert raw.execute("SELECT value FROM setting WHERE name = 'journal_seq'").fetchone() == ("1",)
    assert holder.wait(10) == 0


def test_a_commit_that_a_reader_never_lets_through_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.store, "file_system", lambda path: "nfs4")
    monkeypatch.setattr(db.store, "BUSY_MILLISECONDS", 100)
    monkeypatch.setattr(db.refusals, "PATIENCE_SECONDS", 0.5)
    filled = Filled.make(tmp_path / ".orch")
    holder = hold(filled.store, 30, "DEFERRED")
    try:
        with pytest.raises(StoreError, match=r"has been locked by another process.*fuser"):
            filled.submit()
        assert journal.last_number(filled.store.layout.journal) == 0, "its caller heard an error"
    finally:
        holder.kill()
        holder.wait()
    assert filled.submit() == [1]


def test_a_store_is_made_while_another_process_makes_it(tmp_path: Path) -> None:
    """SQLite refuses at once, without its own patience, to change to WAL while somebody writes."""
    root = tmp_path / ".orch"
    root.mkdir(mode=0o700)
    (root / "orch.db").touch()
    code = HOLD.replace("print(", "c.execute('CREATE TABLE other (x)'); print(").replace("COMMIT", "ROLLBACK")
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(root / "orch.db"), "1.0", "IMMEDIATE"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    began = time.monotonic()
    store = Store(root, create=True)
    assert 0.5 < time.monotonic() - began < 20
    assert process.wait(10) == 0
    assert Filled(store).submit() == [1]


def test_a_lock_that_never_ends_is_named(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db.store, "BUSY_MILLISECONDS", 100)
    monkeypatch.setattr(db.refusals, "PATIENCE_SECONDS", 0.5)
    holder = hold(filled.store, 30)
    try:
        with pytest.raises(StoreError, match=r"has been locked by another process.*fuser"):
            filled.submit()
    finally:
        holder.kill()
        holder.wait()
    assert filled.submit() == [1]


def test_sqlites_own_patience_is_short_for_it_hears_no_signal(filled: Filled) -> None:
    """It was five seconds, in which neither SIGTERM nor Ctrl-C was heard."""
    with filled.store.read() as connection:
        assert 0 < connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() <= 250
    with filled.store._raw() as raw:
        assert 0 < raw.execute("PRAGMA busy_timeout").fetchone()[0] <= 250


def _submit_many(root: str, who: int, out: str) -> None:
    filled = Filled(Store(Path(root)))
    ids = [filled.submit(seeds=range(20 * round, 20 * round + 20)) for round in range(5)]
    Path(out, str(who)).write_text(json.dumps(ids))


def test_many_writers_at_once(filled: Filled, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    context = multiprocessing.get_context("spawn")
    everyone = [context.Process(target=_submit_many, args=(str(filled.store.root), n, str(out))) for n in range(4)]
    for process in everyone:
        process.start()
    for process in everyone:
        process.join(120)
    assert [process.exitcode for process in everyone] == [0] * 4
    assert len({path.read_text() for path in out.iterdir()}) == 1, "all were told the same ids"
    with filled.store.read() as connection:
        assert jobs.counts(connection)[JobState.QUEUED] == 100
    assert journal.last_number(filled.store.layout.journal) == 5


@pytest.mark.parametrize("said", ["unable to open database file", "no such savepoint: sa_savepoint_1"])
@pytest.mark.parametrize("free", [0, 10**9])
def test_what_sqlite_says_of_a_full_disk_is_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, free: int
) -> None:
    """Beside a rollback journal: the shared folder of a lab was full."""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    error = db.refusals.told(sqlite3.OperationalError(said), Layout(tmp_path))
    assert isinstance(error, db.refusals.DiskRefuses) is (free == 0)
    assert ("is full or failing" in str(error) and "make room" in str(error)) is (free == 0) and said in str(error)
