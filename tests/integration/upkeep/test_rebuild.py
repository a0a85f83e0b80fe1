"""`orch rebuild`: from the run folders alone everything is as it was, to the byte."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from db import attempts, creation, executions, jobs, journal, lease, rebuild, results
from db.entries import Import, ImportedResult, Retry
from db.launching import Template
from db.store import Store
from jobs import files
from jobs.errors import StoreError
from jobs.kind import kind_named
from jobs.layout import Layout
from jobs.records import Architecture, Outcome
from jobs.words import Cause, JobState
from orchestrator.cli.main import run
from orchestrator.upkeep.rebuilding import rebuild_all
from tests.helpers.filled import Filled


def fill(root: Path) -> Filled:
    """Jobs in every final state and in every one before a start, with their history."""
    filled = Filled.make(root)
    first, second, failed, cancelled, retried, late, zombie = filled.submit(seeds=range(7))
    for job, accuracy in ((first, 81.25), (second, 83.5)):
        folder = filled.succeed(job, {"test_accuracy": accuracy, "params": 1e6 + job, "shortcuts": 7.0})
        filled.epochs(folder, [{"loss": 2.0}, {"loss": 1.0, "test_accuracy": accuracy}])
    filled.dispatch(failed)
    filled.start(failed, node="node2")
    filled.end(failed, Cause.LOST, JobState.QUEUED, decision="lost: resubmitted (1 of 8)", node="node2")
    filled.dispatch(failed)
    filled.start(failed, code_changed=True)
    filled.end(failed, Cause.ERROR, JobState.FAILED, error="ValueError: no", evidence=("outcome",), traceback="T")
    filled.strike("node2", Cause.NODE_FAILURE, failed)
    filled.dispatch(cancelled)
    folder = filled.start(cancelled)
    filled.cancel(cancelled)
    success_after_all(filled, folder, 50.0)
    filled.dispatch(retried)
    filled.start(retried)
    filled.end(retried, Cause.ERROR, JobState.FAILED, error="KeyError: 'x'")
    with filled.store.write() as writer:
        writer.decide([Retry(jobs=(retried,), resume=True, at=filled.tick())])
    filled.dispatch(late)
    given_up = filled.start(late)
    filled.end(late, Cause.LOST, JobState.QUEUED, not_before=filled.at)
    filled.succeed(late, {"test_accuracy": 77.0, "params": 2e6, "shortcuts": 3.0}, edges=((0, 2), (1, 5)))
    success_after_all(filled, given_up, 12.0)
    filled.submit(values={"epochs": 9}, needs=[first, failed])  # blocked
    filled.submit(values={"epochs": 9}, seeds=[1], needs=[first])  # released at once
    filled.submit(values={"epochs": 9}, seeds=[2], needs=[zombie])  # waits
    filled.submit(study="other", seeds=range(2), preset="report", values={"dataset": "cifar10"})
    bring_in(filled)
    with filled.store.write() as writer:  # as the local backend names its submissions: by the worker's pid
        writer.connection.exec_driver_sql("UPDATE submission SET native_id = '4000000'")
    return filled


def success_after_all(filled: Filled, folder: Path, accuracy: float) -> None:
    """An outcome that came too late to count."""
    outcome = Outcome(
        ending="success",
        cause=Cause.SUCCESS,
        result={"test_accuracy": accuracy},
        wall_seconds=5.0,
        at=filled.tick(),
    )
    files.write_json(folder / "outcome.json", outcome)
    with filled.store.write() as writer:
        executions.ended(writer.connection, filled.row(writer.connection, folder), outcome, Cause.SUCCESS)


def bring_in(filled: Filled) -> None:
    config = {"architecture": "vgg19", "preset": "demo", "dataset": "digits"}
    template = Template(kind="evaluate", kind_version=1, preset="demo", dataset="digits", config=config)
    with filled.store.write() as writer:
        following = creation.next_id(writer.connection)
        rows = tuple(
            ImportedResult(
                following + seed, 0, seed, f"k{seed}", {"test_accuracy": 70.0 + seed}, Architecture(edges=())
            )
            for seed in range(3)
        )
        writer.decide([Import(study="default", source="x.csv", templates=(template,), results=rows, at=filled.tick())])


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Filled:
    monkeypatch.chdir(tmp_path)
    for name in ("ORCH_STORE", "ORCH_STUDY", "ORCH_PRESET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ORCH_LOCK_DIR", str(tmp_path / "locks"))
    return fill(tmp_path / ".orch")


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def call(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            run(arguments)
        out, err = capfd.readouterr()
        assert ended.value.code == 0, err
        return re.sub(r"\"free\": \d+|[\d.]+ [KMGT]iB free", '"free": 0', out)  # of the disk, which others fill too

    return call


VIEWS = [
    ("status", "--json"),
    ("status", "--all"),
    ("status", "--json", "--study", "other"),
    ("table", "--json"),
    ("table", "--by", "kind,shortcuts", "--metric", "test_accuracy,params", "--json"),
    ("table",),
    ("explain", "3"),
    ("explain", "8"),
    ("export",),
    ("nodes",),
]


def test_every_view_is_equal_to_the_byte(filled: Filled, said: Callable[..., str]) -> None:
    before = {view: said(*view) for view in VIEWS}
    assert json.loads(before["status", "--json"])["counts"]["succeeded"] == 6
    assert "rebuilt" in said("rebuild")
    for view in VIEWS:
        assert said(*view) == before[view], " ".join(view)


def test_what_no_view_shows_is_equal_too(filled: Filled) -> None:
    """Every table but the lease, and every column but what only the machines say of an attempt (phase, reason, ...)."""
    root = filled.store.root
    before = dump(filled.store)
    rebuilt = rebuild_all(root, lambda done, total: None)
    after = dump(rebuilt)
    assert list(after) == list(before)
    for name, rows in before.items():
        assert after[name] == rows, name
    assert any(row[-1] for row in before["execution"]), "something superseded is among them"


def dump(store: Store) -> dict[str, list[tuple[object, ...]]]:
    named = (
        "SELECT a.job_id, a.number, x.name, {columns} FROM {table} JOIN execution x ON x.id = {key} "
        "JOIN attempt a ON a.id = x.attempt_id ORDER BY 1, 2, 3"
    )
    calm = "CASE {} WHEN 'running' THEN 'submitted' ELSE {} END"
    queries = {
        "job": "SELECT * FROM job ORDER BY id",
        "study": "SELECT * FROM study",
        "config": "SELECT * FROM config",
        "launch": "SELECT * FROM launch",
        "job_dependency": "SELECT * FROM job_dependency ORDER BY 1, 2",
        "job_count": "SELECT * FROM job_count WHERE n != 0",
        "submission": "SELECT token, backend, size, slot, native_id, created_at FROM submission",
        "attempt": "SELECT job_id, number, generation, token, position, state, cause, evidence, decision, "
        "checkpoint_step, created_at, ended_at FROM attempt ORDER BY 1, 2",
        "execution": named.format(
            table="execution e",
            key="e.id",
            columns="e.node, e.host, e.pid, e.code_changed, e.started_at, e.ready_at, e.ended_at, e.ending, e.cause, "
            "e.error, e.epoch, e.epochs, e.latest, e.wall_seconds, e.gpu_seconds, e.superseded",
        ),
        "metric": named.format(table="metric m", key="m.execution_id", columns="m.epoch, m.name, m.value") + ", 4, 5",
        "result": "SELECT job_id, config_id, generation, architecture, test_accuracy, metrics, flags, accepted_at "
        "FROM result",
        "architecture": "SELECT * FROM architecture",
        "node_health": "SELECT * FROM node_health",
        "event": f"SELECT job_id, at, {calm.format('before', 'before')}, after, generation, attempt, cause FROM event "
        "WHERE after != 'running' ORDER BY id",
        "setting": "SELECT * FROM setting",
    }
    with store.read() as connection:
        return {name: [tuple(row) for row in connection.exec_driver_sql(sql)] for name, sql in queries.items()}


def test_the_old_database_is_kept(filled: Filled) -> None:
    rebuild_all(filled.store.root, lambda done, total: None)
    (kept,) = filled.store.root.glob("orch.db.before-rebuild-*")
    assert kept.stat().st_size > 0


def test_a_rebuild_that_fails_changes_nothing(filled: Filled, said: Callable[..., str]) -> None:
    """A journal file is damaged: the database that one has is the better one."""
    before = said("status", "--json")
    path = journal.path_of(filled.store.layout.journal, 2)
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    with pytest.raises(StoreError, match="restore it from a backup"):
        rebuild_all(filled.store.root, lambda done, total: None)
    assert said("status", "--json") == before
    path.write_bytes(whole)
    path.unlink()
    with pytest.raises(StoreError, match="is missing"):
        rebuild_all(filled.store.root, lambda done, total: None)
    assert said("status", "--json") == before


def test_a_living_supervisor_is_not_pulled_the_ground_from_under(filled: Filled) -> None:
    assert lease.take(filled.store) is not None
    with pytest.raises(StoreError, match=r"is at work: end it with .orch supervise --stop"):
        rebuild_all(filled.store.root, lambda done, total: None)


def test_nothing_to_rebuild_from(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(StoreError, match="no journal"):
        rebuild.rebuild(tmp_path)


def test_work_goes_on_after_a_rebuild(filled: Filled) -> None:
    """Ids go on where they were, a repeat still creates nothing, and a generation is still open."""
    highest = max(job.id for job in all_jobs(filled.store))
    store = rebuild_all(filled.store.root, lambda done, total: None)
    again = Filled(store, filled.at)
    assert again.submit(seeds=range(7)) == [1, 2, 3, 4, 5, 6, 7]
    assert again.submit(seeds=[99]) == [highest + 1]
    again.succeed(5, {"test_accuracy": 88.0})
    with store.read() as connection:
        found = jobs.get(connection, 5)
        assert (found.state, found.generation, found.attempts) == (JobState.SUCCEEDED, 2, 2)
        assert results.accepted_execution(connection, 5) is not None
        assert [attempt.generation for attempt in attempts.of_job(connection, 5)] == [1, 2]


def all_jobs(store: Store) -> list[jobs.StoredJob]:
    with store.read() as connection:
        return jobs.select(connection)


def test_the_journal_names_every_kind_of_decision(filled: Filled) -> None:
    """What is tested here is everything that the journal can hold, but for clearing strikes."""
    layout = Layout(filled.store.root)
    last = journal.last_number(layout.journal)
    found = {
        type(entry).__name__ for n in range(1, last + 1) for entry in journal.read(journal.path_of(layout.journal, n))
    }
    assert found == {"Submit", "Import", "Cancel", "Retry", "Dispatch", "Accepted", "Ended", "Strike"}
    assert kind_named("random-baseline").version >= 1
