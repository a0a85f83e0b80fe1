"""What `--wait` does when it is interrupted, left alone, or when other jobs can still go."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec
import pytest

from db.store import Store
from jobs.files import now
from orchestrator.supervision import notices
from orchestrator.views import waiting
from tests.helpers.cli import PYTHON, Orch, alive, until


def test_an_interrupted_wait_leaves_the_jobs(orch: Orch) -> None:
    waiting = orch.popen("submit", "command", "--seeds", "2", "--wait", "--", PYTHON, "gate.py", "{seed}")
    until(lambda: orch.starts(0) and orch.starts(1), "both programs")
    os.killpg(waiting.pid, signal.SIGINT)
    _, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 130
    assert "the jobs go on" in err
    assert orch.supervisor() is not None
    assert all(alive(orch.starts(seed)[0]) for seed in (0, 1))
    orch.open_gate()
    orch.finish()
    assert orch.states() == ["succeeded"] * 2
    assert [len(orch.attempts(job)) for job in (1, 2)] == [1, 1]


def test_a_wait_ends_where_no_supervisor_stays_alive(
    orch: Orch, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It does not start one after the other for ever, and says where to look."""
    orch.submit_gate(1, "--no-start")
    started: list[Path] = []
    monkeypatch.setattr(waiting, "START_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "ensure_supervisor", lambda store: started.append(store.root) or True)
    assert waiting.wait(orch.store, "default", quiet=True) == 70
    assert f"see why in {orch.layout.root}/supervisor.log" in capfd.readouterr().err
    assert len(started) == waiting.MOST_RESTARTS + 1


def test_a_wait_goes_on_while_other_jobs_can_go(
    orch: Orch, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Dispatch to one partition has stopped, as its nodes are bad; other jobs are queued for a moment."""
    orch.submit_gate(1, "--no-start")
    bad = notices.Notices(stopped={"gpu": "all 4 nodes of 'gpu' are bad"}, others=True, at=now())
    notices.write(orch.store, bad)
    looks: list[bool] = []

    def one_more_look(store: Store, study: str, group: waiting.Group | None) -> waiting.Look:
        looks.append(True)
        if len(looks) == 5:
            notices.write(store, msgspec.structs.replace(bad, others=False))
        return counted(store, study, group)

    counted = waiting._look
    monkeypatch.setattr(waiting, "_look", one_more_look)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.01)
    assert waiting.wait(orch.store, "default", quiet=True) == 1
    assert len(looks) == 5
    assert "dispatch has stopped: all 4 nodes of 'gpu' are bad" in capfd.readouterr().err
