"""`nodes`, `doctor` and `clean`: what is wrong is found, what nothing needs is removed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from db import health
from jobs.files import now
from jobs.words import Cause, JobState
from tests.helpers.filled import Filled
from tests.helpers.look import GOOD, Orch, Said, started_by


def test_nodes_are_shown_and_cleared(orch: Orch, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no strikes" in orch("nodes").out
    started = started_by(monkeypatch)
    (job,) = filled.submit()
    filled.strike("n1", Cause.LAUNCH_FAILURE, job)
    filled.strike("n1", Cause.NODE_FAILURE, job)
    filled.strike("n2")
    said = orch("nodes").out
    assert "n1" in said and "2 of 3" in said and "node_failure" in said
    assert [one["node"] for one in orch("nodes", "--json").json()["nodes"]] == ["n1", "n2"]
    assert [one["node"] for one in orch("nodes", "n2", "--json").json()["nodes"]] == ["n2"]
    assert "node 'n9' has no strikes" in orch("nodes", "--clear", "n9").refused()
    assert "names of nodes" in orch("nodes", "--clear").refused()
    assert "takes no names" in orch("nodes", "--clear-all", "n1").refused()
    assert not started
    assert orch("nodes", "--clear", "n1").code == 0
    with filled.store.read() as connection:
        assert {one.node for one in health.strikes(connection, now() - timedelta(hours=6))} == {"n2"}
    assert started == [filled.store.root], "a queued job may go now"
    assert orch("nodes", "--clear-all").code == 0 and "no strikes" in orch("nodes").out


def findings(said: Said) -> dict[str, tuple[str, str]]:
    return {one["subject"]: (one["level"], one["text"]) for one in json.loads(said.out)["findings"]}


def test_a_healthy_store(orch: Orch, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_CONF", raising=False)
    (job,) = filled.submit()
    filled.succeed(job, GOOD)
    said = orch("doctor", "--json")
    found = findings(said)
    for subject in ("database", "journal", "results", "supervisor", "clocks", "settings", "file system"):
        assert found[subject][0] == "ok", found[subject]
    assert said.code == int(any(level == "failure" for level, _ in found.values()))
    assert "supervisor" in orch("doctor").out


def test_doctor_finds_what_is_wrong(orch: Orch, filled: Filled, tmp_path: Path) -> None:
    job, skewed = filled.submit(seeds=range(2))
    folder = filled.succeed(job, GOOD)
    (folder / "outcome.json").unlink()
    filled.dispatch(skewed)
    filled.at -= timedelta(minutes=10)  # the node's clock is behind
    filled.start(skewed, node="late")
    filled.at += timedelta(minutes=10)
    for _ in range(3):
        filled.strike("n1")
    (tmp_path / "orch.toml").write_text("[local]\njobs_per_gpus = 2\n")
    said = orch("doctor", "--json")
    found = findings(said)
    assert said.code == 1 and found["settings"][0] == "failure" and "jobs_per_gpus" in found["settings"][1]
    assert found["results"][0] == "warning" and f"job {job}" in found["results"][1]
    assert found["clocks"][0] == "warning" and "late is at least 9 min 59 s behind" in found["clocks"][1]
    assert found["nodes"][0] == "warning" and "n1" in found["nodes"][1]
    assert found["supervisor"][0] == "warning" and "1 job waits" in found["supervisor"][1]


def test_doctor_on_a_damaged_database(orch: Orch, filled: Filled) -> None:
    filled.submit(seeds=range(50))
    path = filled.store.layout.database
    with filled.store.write() as writer:
        writer.connection.exec_driver_sql("UPDATE job_count SET n = n + 1")
    assert findings(orch("doctor", "--json"))["database"][0] == "failure"
    for name in Path(filled.store.root).glob("orch.db-*"):
        name.unlink()
    path.write_bytes(b"x" * 5000)
    said = orch("doctor", "--json")
    assert said.code == 1 and findings(said)["store"][0] == "failure" and "orch rebuild" in findings(said)["store"][1]


def checkpoints(folder: Path, steps: Sequence[int]) -> None:
    (folder / "checkpoints").mkdir()
    for step in steps:
        (folder / "checkpoints" / f"step-{step:08d}.json").write_text("{}")
        (folder / "checkpoints" / f"step-{step:08d}.pt").write_bytes(b"x" * 1000)


def test_clean_removes_what_nothing_needs(orch: Orch, filled: Filled) -> None:
    done, running, failed = filled.submit(seeds=range(3))
    filled.dispatch(done)
    lost = filled.start(done)
    filled.end(done, Cause.LOST, JobState.QUEUED)
    accepted = filled.succeed(done, GOOD)
    filled.dispatch(running)
    alive = filled.start(running)
    filled.dispatch(failed)
    broken = filled.start(failed)
    filled.end(failed, Cause.ERROR, JobState.FAILED, error="x")
    for folder in (lost, accepted, alive, broken):
        checkpoints(folder, [1, 2])
    stray = filled.store.layout.submission("orch-stray")
    stray.mkdir()
    os.utime(stray, (1, 1))
    young = filled.store.layout.submission("orch-young")
    young.mkdir()
    before = sorted(filled.store.layout.journal.rglob("*.json"))
    assert orch("clean", "--dry-run").code == 0 and (lost / "checkpoints").exists() and stray.exists()
    assert "--yes" in orch("clean").err and stray.exists()
    assert orch("clean", "--yes").code == 0
    assert not (lost / "checkpoints").exists() and not stray.exists() and young.exists()
    assert sorted(path.name for path in (accepted / "checkpoints").iterdir()) == [
        "step-00000002.json",
        "step-00000002.pt",
    ]
    for folder in (alive, broken):
        assert len(list((folder / "checkpoints").iterdir())) == 4, "they may be resumed"
    assert (accepted / "outcome.json").exists() and sorted(filled.store.layout.journal.rglob("*.json")) == before
    assert "nothing to remove" in orch("clean").out
    assert orch("clean", "--yes", "--weights").code == 0 and not (accepted / "checkpoints").exists()
