"""The store against the real SQLite: its rules, its locks, its journal, and what it refuses."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

import db.store
from db import attempts, executions, jobs, journal, lease
from db.entries import Cancel, Dispatch, DispatchedTask, Retry
from db.store import LeaseLost, NoStore, Store, file_system, locate
from db.text import stamp
from jobs import files
from jobs.errors import StoreError
from jobs.records import Outcome
from jobs.words import TRANSITIONS, Cause, JobState
from tests.helpers.filled import Filled


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return Filled.make(tmp_path / ".orch")


def change(filled: Filled, sql: str, *values: object) -> None:
    """A statement as some wrong program would run it."""
    with filled.store.write() as writer:
        writer.connection.exec_driver_sql(sql, values)


def brought(filled: Filled, state: JobState) -> int:
    """A job in that state, brought there by allowed ways."""
    (first,) = filled.submit(values={"epochs": 1})
    if state is JobState.QUEUED:
        return first
    if state is JobState.WAITING:
        return filled.submit(values={"epochs": 2}, needs=[first])[0]
    if state is JobState.CANCELLED:
        filled.cancel(first)
        return first
    if state is JobState.SUCCEEDED:
        filled.succeed(first, {"test_accuracy": 90.0})
        return first
    filled.dispatch(first)
    if state is not JobState.SUBMITTED:
        filled.start(first)
    if state is JobState.FAILED:
        filled.end(first, Cause.ERROR, JobState.FAILED, error="E")
    return first


@pytest.mark.parametrize(
    ("before", "after"), [(a, b) for a in JobState for b in JobState if a != b and b not in TRANSITIONS[a]]
)
def test_every_other_transition_is_refused(filled: Filled, before: JobState, after: JobState) -> None:
    """By that rule alone: the others, which would refuse most of them too, are taken away."""
    job = brought(filled, before)
    with sqlite3.connect(filled.store.layout.database) as raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            if name != "job_transition":
                raw.execute(f"DROP TRIGGER {name}")
    with pytest.raises(IntegrityError, match="transition refused"):
        change(filled, "UPDATE job SET state = ? WHERE id = ?", after, job)
    with filled.store.read() as connection:
        assert jobs.get(connection, job).state is before


@pytest.mark.parametrize(
    ("state", "sql", "rule"),
    [
        ("queued", "UPDATE job SET state = 'submitted' WHERE id = ?", "a job is submitted by an attempt"),
        ("queued", "UPDATE job SET generation = 2 WHERE id = ?", "only a retry raises the generation"),
        ("failed", "UPDATE job SET state = 'queued' WHERE id = ?", "only a retry raises the generation"),
        ("failed", "UPDATE job SET state = 'queued', generation = 3 WHERE id = ?", "and by one"),
        ("failed", "UPDATE job SET generation = 2 WHERE id = ?", "only a retry"),
        ("failed", "UPDATE job SET state = 'succeeded' WHERE id = ?", "a job succeeds by an accepted result"),
        ("running", "UPDATE job SET state = 'queued' WHERE id = ?", "its attempt is still alive"),
        ("running", "UPDATE job SET state = 'failed' WHERE id = ?", "its attempt is still alive"),
        ("submitted", "UPDATE job SET state = 'cancelled' WHERE id = ?", "its attempt is still alive"),
        ("queued", "UPDATE job SET seed = 7 WHERE id = ?", "a job never changes what it is"),
        ("queued", "UPDATE job SET key = 'x' WHERE id = ?", "a job never changes what it is"),
        ("queued", "UPDATE job SET config_id = 99 WHERE id = ?", "a job never changes what it is"),
        ("cancelled", "DELETE FROM job WHERE id = ?", "jobs are never deleted"),
        ("succeeded", "DELETE FROM result WHERE job_id = ?", "a result is never deleted"),
        ("succeeded", "UPDATE result SET test_accuracy = 99 WHERE job_id = ?", "a result never changes"),
        ("failed", "UPDATE attempt SET state = 'running' WHERE job_id = ?", "an ended attempt stays ended"),
        ("queued", "UPDATE event SET after = 'failed' WHERE job_id = ?", "events are append-only"),
        ("queued", "DELETE FROM event WHERE job_id = ?", "events are append-only"),
        ("queued", "UPDATE job SET state = 'ready' WHERE id = ?", "transition refused"),
        ("failed", "UPDATE job SET cause = 'bad luck' WHERE id = ?", "job_cause"),
    ],
)
def test_the_rules_beside_the_transitions(filled: Filled, state: str, sql: str, rule: str) -> None:
    job = brought(filled, JobState(state))
    with pytest.raises(IntegrityError, match=rule):
        change(filled, sql, job)


def test_a_second_live_attempt_is_refused(filled: Filled) -> None:
    job = brought(filled, JobState.SUBMITTED)
    sql = (
        "INSERT INTO attempt (job_id, number, generation, token, position, created_at) "
        "SELECT job_id, 2, 1, token, 0, created_at FROM attempt WHERE job_id = ?"
    )
    with pytest.raises(IntegrityError, match="on a queued job of its generation"):
        change(filled, sql, job)
    with sqlite3.connect(filled.store.layout.database) as raw:  # and where that trigger is gone, by the unique index
        raw.execute("DROP TRIGGER attempt_begins")
    with pytest.raises(IntegrityError, match=r"UNIQUE constraint failed: attempt\.job_id"):
        change(filled, sql, job)


def test_an_attempt_of_another_generation_is_refused(filled: Filled) -> None:
    job = brought(filled, JobState.QUEUED)
    task = DispatchedTask(job, 1, 2)
    with pytest.raises(IntegrityError, match="of its generation"), filled.store.write() as writer:
        writer.decide([Dispatch(token="orch-1", backend="local", tasks=(task,), at=filled.tick())])


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.CANCELLED, JobState.WAITING])
def test_a_result_of_a_closed_job_is_refused(filled: Filled, state: JobState) -> None:
    job = brought(filled, state)
    sql = (
        "INSERT INTO result (job_id, config_id, generation, metrics, flags, accepted_at) "
        "SELECT id, config_id, ?, '{}', '{}', '' FROM job WHERE id = ?"
    )
    with pytest.raises(IntegrityError, match="a result is of an open job"):
        change(filled, sql, 1, job)
    (other,) = filled.submit(values={"epochs": 9})
    with pytest.raises(IntegrityError, match="its current generation"):
        change(filled, sql, 2, other)


@pytest.mark.parametrize("state", ["submitted", "running", "succeeded", "failed", "cancelled"])
def test_a_job_begins_at_the_beginning(filled: Filled, state: str) -> None:
    job = brought(filled, JobState.QUEUED)
    sql = (
        "INSERT INTO job (id, study_id, config_id, launch_id, kind, seed, key, state, created_at, updated_at) "
        "SELECT 99, study_id, config_id, launch_id, kind, 99, 'k', ?, created_at, updated_at FROM job WHERE id = ?"
    )
    with pytest.raises(IntegrityError, match="a job begins as waiting or queued"):
        change(filled, sql, state, job)


def test_a_job_needs_jobs_that_exist(filled: Filled) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        filled.submit(needs=[77])


# ---- ensuring


def test_a_repeat_creates_nothing_and_more_seeds_only_the_new(filled: Filled) -> None:
    assert filled.submit(seeds=range(3)) == [1, 2, 3]
    assert filled.submit(seeds=range(5)) == [1, 2, 3, 4, 5]
    assert filled.submit(seeds=range(5)) == [1, 2, 3, 4, 5]
    assert filled.submit(seeds=[2, 7, 2]) == [3, 6, 3], "one wish named twice is one job"
    assert filled.submit(seeds=[0], study="other") == [7], "another study has its own"
    assert journal.last_number(filled.store.layout.journal) == 4, "what created nothing is not journaled"


# ---- opening


def test_no_store_no_folder(tmp_path: Path) -> None:
    with pytest.raises(NoStore, match="submit a job first"):
        Store(tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_a_store_is_private(filled: Filled) -> None:
    assert filled.store.root.stat().st_mode & 0o777 == 0o700
    assert filled.store.layout.database.stat().st_mode & 0o777 == 0o600


def test_a_newer_schema_is_refused_untouched(filled: Filled) -> None:
    change(filled, "UPDATE alembic_version SET version_num = '0999'")
    before = sorted(filled.store.root.rglob("*"))
    with pytest.raises(StoreError, match="has schema 0999, newer than this orch knows"):
        Store(filled.store.root)
    assert sorted(filled.store.root.rglob("*")) == before


def test_an_older_schema_is_backed_up_before_it_is_migrated(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one migration yet: a made-up second one stands for those to come."""
    (job,) = filled.submit()
    change(filled, "UPDATE alembic_version SET version_num = '0000'")
    real = ScriptDirectory.walk_revisions

    class Older:
        revision = "0000"

    monkeypatch.setattr(ScriptDirectory, "walk_revisions", lambda self: [*real(self), Older()])
    ran: list[str] = []

    def upgrade(config: object, revision: str) -> None:
        ran.append(revision)

    monkeypatch.setattr(command, "upgrade", upgrade)
    Store(filled.store.root)
    assert ran == ["head"]
    backup = filled.store.root / "orch.db.backup-0000"
    with sqlite3.connect(backup) as raw:
        assert raw.execute("SELECT id FROM job").fetchall() == [(job,)]


def test_a_store_of_somebody_else_is_refused(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(StoreError, match="belongs to user id"):
        Store(filled.store.root)


def test_a_missing_database_is_not_an_empty_one(filled: Filled) -> None:
    filled.submit()
    for path in filled.store.root.glob("orch.db*"):
        path.unlink()
    for create in (False, True):
        with pytest.raises(StoreError, match=r"is missing but its runs are there: run 'orch rebuild'"):
            Store(filled.store.root, create=create)
    assert not filled.store.layout.database.exists()


def test_where_a_store_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    monkeypatch.delenv("ORCH_STORE", raising=False)
    assert locate() == deep / ".orch"
    (tmp_path / "a" / ".orch").mkdir()
    assert locate() == tmp_path / "a" / ".orch"
    monkeypatch.setenv("ORCH_STORE", "elsewhere")
    assert locate() == deep / "elsewhere"
    assert locate(tmp_path / "named") == tmp_path / "named"


# ---- network file systems


MOUNTS = """rootfs / ext4 rw 0 0
server:/export /data nfs4 rw 0 0
tmpfs /data/fast tmpfs rw 0 0
lustre@tcp:/x /scratch\\040two lustre rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/me/.orch", "ext4"),
        ("/data/me/.orch", "nfs4"),
        ("/data/fast/.orch", "tmpfs"),
        ("/database/.orch", "ext4"),
        ("/scratch two/.orch", "lustre"),
    ],
)
def test_the_file_system_of_a_folder(folder: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self: MOUNTS)
    assert file_system(Path(folder)) == kind


@pytest.mark.parametrize(("kind", "mode"), [("ext4", "wal"), ("nfs4", "delete"), ("lustre", "delete")])
def test_network_file_systems_get_a_rollback_journal(
    tmp_path: Path, kind: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.store, "file_system", lambda path: kind)
    filled = Filled.make(tmp_path / ".orch")
    assert filled.store.network == (mode == "delete")
    filled.submit()
    with sqlite3.connect(filled.store.layout.database) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == (mode,)


# ---- locks


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
        assert jobs.next_id(connection) == 1
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
    monkeypatch.setattr(db.store, "PATIENCE_SECONDS", 0.5)
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
    monkeypatch.setattr(db.store, "PATIENCE_SECONDS", 0.5)
    holder = hold(filled.store, 30)
    try:
        with pytest.raises(StoreError, match=r"has been locked by another process.*fuser"):
            filled.submit()
    finally:
        holder.kill()
        holder.wait()
    assert filled.submit() == [1]


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


# ---- the journal


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
    cut_off(filled, monkeypatch, lambda: filled.cancel(1), kill=False)
    assert journal.last_number(filled.store.layout.journal) == 1
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
        assert jobs.next_id(connection) == 1
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


# ---- the lease


def test_one_supervisor_at_a_time(filled: Filled) -> None:
    first = lease.take(filled.store)
    assert first is not None
    assert lease.take(filled.store) is None, "its process lives"
    lease.renew(filled.store, first)
    with filled.store.write(first) as writer:
        lease.give_up(writer.connection)
    second = lease.take(filled.store)
    assert second == first + 1
    with pytest.raises(LeaseLost), filled.store.write(first):
        raise AssertionError("never reached")
    with pytest.raises(LeaseLost):
        lease.renew(filled.store, first)


@pytest.mark.parametrize("how", ["dead", "another boot", "recycled pid", "silent elsewhere"])
def test_the_lease_of_a_dead_supervisor_is_free(filled: Filled, how: str) -> None:
    first = lease.take(filled.store)
    sql = {
        "dead": "UPDATE lease SET pid = 4194303, process_start = '1'",
        "another boot": "UPDATE lease SET boot_id = 'before'",
        "recycled pid": "UPDATE lease SET process_start = '1'",
        "silent elsewhere": "UPDATE lease SET host = 'another', renewed_at = ?",
    }[how]
    long_ago = stamp(files.now() - timedelta(seconds=lease.EXPIRY_SECONDS + 1))
    change(filled, sql, *([long_ago] if "?" in sql else []))
    with filled.store.read() as connection:
        holder = lease.holder(connection)
        assert holder is not None and not holder.alive()
    assert lease.take(filled.store) == (first or 0) + 1


def test_the_lease_of_another_host_is_respected_while_it_renews(filled: Filled) -> None:
    lease.take(filled.store)
    change(filled, "UPDATE lease SET host = 'another', pid = 1")
    assert lease.take(filled.store) is None


def test_only_one_of_many_takes_the_lease(filled: Filled) -> None:
    found: list[int | None] = []
    threads = [threading.Thread(target=lambda: found.append(lease.take(filled.store))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number is not None for number in found) == [False, False, False, True]


# ---- endings


def test_superseded_is_what_another_result_or_generation_left_behind(filled: Filled) -> None:
    """Whichever way it is read: live, or after the fact."""
    (job,) = filled.submit()
    filled.dispatch(job)
    first = filled.start(job)
    filled.end(job, Cause.LOST, JobState.QUEUED)
    second = filled.succeed(job, {"test_accuracy": 90.0})
    late = success(filled)
    with filled.store.write() as writer:
        executions.ended(writer.connection, filled.row(writer.connection, first), late, Cause.SUCCESS)
        executions.ended(writer.connection, filled.row(writer.connection, second), late, Cause.SUCCESS)
    with filled.store.read() as connection:
        assert [(run.name, run.superseded) for run in executions.of_job(connection, job)] == [
            (first.name, True),
            (second.name, False),
        ]


@pytest.mark.parametrize("retried", [False, True])
def test_a_success_after_the_cancel_is_superseded(filled: Filled, retried: bool) -> None:
    (job,) = filled.submit()
    filled.dispatch(job)
    folder = filled.start(job)
    filled.cancel(job)
    if retried:
        with filled.store.write() as writer:
            writer.decide([Retry(jobs=(job,), at=filled.tick())])
    with filled.store.write() as writer:
        executions.ended(writer.connection, filled.row(writer.connection, folder), success(filled), Cause.SUCCESS)
    with filled.store.read() as connection:
        assert [run.superseded for run in executions.of_job(connection, job)] == [True]
        assert jobs.get(connection, job).state is (JobState.QUEUED if retried else JobState.CANCELLED)
        assert attempts.of_job(connection, job)[0].doomed


def success(filled: Filled) -> Outcome:
    return Outcome(ending="success", cause=Cause.SUCCESS, at=filled.tick())


def test_a_clock_set_back_holds_no_job_back(filled: Filled) -> None:
    (job,) = filled.submit()
    filled.dispatch(job)
    filled.end(job, Cause.LOST, JobState.QUEUED, not_before=filled.at + timedelta(minutes=5))
    with filled.store.read() as connection:

        def ready(minutes: float) -> list[int]:
            at = filled.at + timedelta(minutes=minutes)
            return [found.id for found in jobs.dispatchable(connection, "local", at, 10)]

        assert ready(0) == []
        assert ready(6) == [job]
        assert ready(-600) == [job]
