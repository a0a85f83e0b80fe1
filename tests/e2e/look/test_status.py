"""`status` as a person calls it, and what all commands that look have in common."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from db import jobs
from jobs.words import Cause, JobState
from orchestrator.cli.main import COMMANDS
from tests.helpers.filled import Filled
from tests.helpers.look import GOOD, Orch, process, started_by

LOOKING = (
    "status",
    "show",
    "explain",
    "logs",
    "nodes",
    "doctor",
    "import",
    "export",
    "clean",
    "plot",
    "report",
    "table",
)


@pytest.mark.parametrize("name", LOOKING)
def test_help_ends_with_an_example(orch: Orch, name: str) -> None:
    said = orch(name, "--help")
    assert said.code == 0 and f"orch {name}" in said.out.partition("Example:")[2].splitlines()[1]
    assert name in COMMANDS


def test_no_store_is_no_fault(orch: Orch, tmp_path: Path) -> None:
    empty = orch("status", "--json").json()
    assert empty == {"study": "default", "counts": dict.fromkeys(JobState, 0), "supervisor": None, "jobs": []}
    assert "orch submit" in orch("status").out
    assert not (tmp_path / ".orch").exists(), "looking makes nothing"


def test_status_json(orch: Orch, filled: Filled) -> None:
    done, failed = filled.submit(seeds=range(2))
    filled.succeed(done, GOOD)
    filled.dispatch(failed)
    filled.start(failed, node="n7")
    filled.end(failed, Cause.ERROR, JobState.FAILED, error="ValueError: x", node="n7")
    (behind,) = filled.submit("evaluate", values={"architecture": "vgg19"}, needs=[failed])
    found = orch("status", "--json").json()
    assert found["counts"] == {**dict.fromkeys(JobState, 0), "succeeded": 1, "failed": 1, "waiting": 1}
    assert found["supervisor"] is None
    one, two, three = found["jobs"]
    assert one["metrics"] == GOOD and one["architecture"] and one["state"] == "succeeded"
    assert (two["cause"], two["error"], two["node"], two["attempts"]) == ("error", "ValueError: x", "n7", 1)
    assert three["id"] == behind and three["blocked"] is True and two["blocked"] is False


def test_status_names_what_waits_and_for_what(orch: Orch, filled: Filled) -> None:
    filled.submit(seeds=range(3))
    said = orch("status")
    assert said.code == 0
    assert "no supervisor runs: 3 jobs wait for one" in said.out and "orch supervise" in said.out
    assert "random-baseline" in said.out and "queued (3)" in said.out


def test_a_pipe_gets_no_colours_and_every_line(filled: Filled, tmp_path: Path) -> None:
    for job in filled.submit(seeds=range(3))[:2]:
        filled.dispatch(job)
        filled.start(job)
        filled.end(job, Cause.ERROR, JobState.FAILED, error="ValueError: \x1b[31mred " + "x" * 200)
    said = process(tmp_path, "status", COLUMNS="80")
    assert said.returncode == 0 and "\x1b" not in said.stdout
    assert all(len(line) <= 80 for line in said.stdout.splitlines() if not line.startswith("! "))
    assert "\x1b" in process(tmp_path, "status", FORCE_COLOR="1").stdout
    assert "\x1b[3" not in process(tmp_path, "status", FORCE_COLOR="1", NO_COLOR="1").stdout


def test_limit_and_all(orch: Orch, filled: Filled) -> None:
    filled.submit(seeds=range(300))
    assert "… and 290 more" in orch("status", "--limit", 10).out
    assert "more" not in orch("status", "--all").out
    assert orch("status", "--limit", 0).code == 2


def test_an_unknown_study_is_refused(orch: Orch, filled: Filled) -> None:
    filled.submit(study="table2")
    assert orch("status", "--study", "tabel2").refused() == "there is no study 'tabel2': did you mean 'table2'?"
    assert orch("table", "--study", "nope").refused().startswith("there is no study 'nope'")
    assert orch("status").out.startswith("study table2  0 of 1 succeeded"), "the only one there is"
    filled.submit(study="t3")
    said = orch("status")
    assert said.code == 0 and "other studies here: t3 (1), table2 (1)" in said.out


def test_watch_ends_when_nothing_moves(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit()
    threading.Timer(1.0, lambda: filled.succeed(job, GOOD)).start()
    said = orch("status", "--watch")
    assert said.code == 0 and "queued (1)" in said.out and "1 of 1 succeeded" in said.out
    assert "do not go together" in orch("status", "--watch", "--json").err


def test_a_damaged_store_is_told_with_the_mend(orch: Orch, filled: Filled) -> None:
    filled.store.layout.database.write_bytes(b"no database at all" * 100)
    for name in Path(filled.store.root).glob("orch.db-*"):
        name.unlink()
    assert "orch rebuild" in orch("status").refused()


def test_looking_starts_nothing(orch: Orch, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    started = started_by(monkeypatch)
    (job,) = filled.submit()
    for command in (["status"], ["show", job], ["explain", job], ["logs", job], ["table"], ["export"], ["nodes"]):
        assert orch(*command).code == 0
    assert not started
    with filled.store.read() as connection:
        assert jobs.get(connection, job).state is JobState.QUEUED
