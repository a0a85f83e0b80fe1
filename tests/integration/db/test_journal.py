"""The journal beside the database: a decision is in both or in neither, wherever its writer dies."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from db import creation, jobs, journal
from db.entries import Cancel, Dispatch, DispatchedTask
from db.store import Store
from jobs.errors import StoreError
from jobs.files import names
from jobs.words import JobState
from tests.helpers.filled import Filled


def cut_off(filled: Filled, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], *, kill: bool) -> None:
    """The transaction's end fails after its journal file was written: by an error, or by a kill of the process."""

    def fail(self: Store, connection: Connection) -> None:
        raise KeyboardInterrupt if kill else sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_commit", fail)
        if kill:
            patch.setattr(Store, "_take_back", lambda self, number: None)
        with pytest.raises((KeyboardInterrupt, sqlite3.OperationalError)):
            act()


def test_a_journal_file_ahead_of_the_database_is_caught_up_with(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the journal and the commit: what was decided, was decided."""
    filled.submit()
    cut_off(filled, monkeypatch, lambda: filled.cancel(1), kill=True)
    assert journal.last_number(filled.store.layout.journal) == 2
    with filled.store.read() as connection:
        assert jobs.get(connection, 1).state is JobState.QUEUED
    assert filled.submit(seeds=[5]) == [2], "the next writer applies it first"
    with filled.store.read() as connection:
        assert jobs.get(connection, 1).state is JobState.CANCELLED
    assert journal.last_number(filled.store.layout.journal) == 3


def test_a_failed_commit_takes_its_journal_file_back(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller hears an error: it must not be done behind the caller's back."""
    filled.submit()
    synced: list[tuple[Path, list[str]]] = []
    monkeypatch.setattr("db.store.fsync_folder", lambda folder: synced.append((folder, names(folder))))
    cut_off(filled, monkeypatch, lambda: filled.cancel(1), kill=False)
    assert journal.last_number(filled.store.layout.journal) == 1
    ((folder, left),) = synced  # else a power cut brings it back
    assert folder == journal.path_of(filled.store.layout.journal, 2).parent and len(left) == 1
    filled.submit(seeds=[5])
    with filled.store.read() as connection:
        assert jobs.get(connection, 1).state is JobState.QUEUED


def test_a_file_that_another_writer_has_applied_is_never_taken_back(filled: Filled) -> None:
    filled.submit()
    filled.cancel(1)
    filled.store._take_back(2)
    assert journal.last_number(filled.store.layout.journal) == 2


def test_a_transaction_whose_journal_cannot_be_written_changes_nothing(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal, "write_bytes", full)
        with pytest.raises(StoreError, match="No space left on device; make room"):
            filled.submit()
    with filled.store.read() as connection:
        assert creation.next_id(connection) == 1
    assert filled.submit() == [1]


def test_a_damaged_journal_file_is_named(filled: Filled) -> None:
    filled.submit()
    filled.cancel(1)
    path = journal.path_of(filled.store.layout.journal, 1)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(StoreError, match=r"000000001\.json cannot be read"):
        journal.read(path)
    path.unlink()
    with pytest.raises(StoreError, match=r"000000001\.json is missing"):
        journal.last_number(filled.store.layout.journal)


def test_nothing_of_a_refused_decision_stays(filled: Filled) -> None:
    """Of several in one transaction, one is refused: none was made, and none is journaled."""
    (job,) = filled.submit()
    with pytest.raises(IntegrityError), filled.store.write() as writer:
        writer.decide([Cancel(jobs=(job,), at=filled.tick())])
        writer.decide([Dispatch(token="orch-1", backend="local", tasks=(DispatchedTask(job, 1, 1),), at=filled.tick())])
    with filled.store.read() as connection:
        assert jobs.get(connection, job).state is JobState.QUEUED
    assert journal.last_number(filled.store.layout.journal) == 1
