"""Another host's lease that is too old, or too new, for a living one: whoever starts watches it, and then decides."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from db import lease, sighting
from db.text import stamp
from jobs import files
from orchestrator.settings import Settings, Supervision
from orchestrator.supervision import process, starting
from orchestrator.supervision.starting import ensure_supervisor
from tests.helpers.filled import Filled, change

AGES = [-3600.0, 40.0, 3600.0]


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Filled:
    monkeypatch.setattr(process, "FOLLOW_SECONDS", 0.001)
    return Filled.make(tmp_path / ".orch")


def renewed(filled: Filled, ago: float) -> int:
    """Another host's supervisor renewed so long ago, by the clock here; its lease."""
    lease.take(filled.store)
    at = stamp(files.now() - timedelta(seconds=ago))
    change(filled, "UPDATE lease SET host = 'usagi', pid = 1, process_start = '1', renewed_at = ?", at)
    return number(filled)


def number(filled: Filled) -> int:
    with filled.store.read() as connection:
        return int(connection.exec_driver_sql("SELECT number FROM lease").scalar_one())


def looks(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[float]:
    """So much time passes from each look at the lease to the next; the times of all looks."""
    at = [0.0]

    def clock() -> float:
        at.append(at[-1] + seconds)
        return at[-1]

    monkeypatch.setattr(sighting, "clock", clock)
    return at


@pytest.mark.parametrize("ago", AGES)
def test_a_dead_host_is_followed_without_a_second_command(
    filled: Filled, monkeypatch: pytest.MonkeyPatch, ago: float
) -> None:
    first, at = renewed(filled, ago), looks(monkeypatch, 4.0)
    last = process.run(filled.store, Settings(supervisor=Supervision(idle_minutes=0)))
    assert last is not None and last.idle and number(filled) == first + 1
    assert at[-1] >= (lease.WATCHED_SECONDS if ago > lease.EXPIRY_SECONDS else lease.EXPIRY_SECONDS)


@pytest.mark.parametrize("ago", AGES)
def test_a_living_host_with_a_wrong_clock_keeps_its_lease(
    filled: Filled, monkeypatch: pytest.MonkeyPatch, ago: float
) -> None:
    first, at = renewed(filled, ago), looks(monkeypatch, 1.0)

    def sleep(seconds: float) -> None:
        if at[-1] > lease.RENEW_SECONDS:
            change(filled, "UPDATE lease SET renewed_at = ?", stamp(files.now() - timedelta(seconds=ago - 10.0)))

    monkeypatch.setattr(process.time, "sleep", sleep)
    assert process.run(filled.store, Settings()) is None
    assert number(filled) == first and at[-1] < 2 * lease.RENEW_SECONDS


@pytest.mark.parametrize(("ago", "starts"), [(-3600.0, True), (5.0, False), (40.0, True), (3600.0, True)])
def test_a_command_starts_one_that_watches_only_where_that_may_help(
    filled: Filled, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], ago: float, starts: bool
) -> None:
    renewed(filled, ago)
    started: list[list[str]] = []
    monkeypatch.setattr(starting.subprocess, "Popen", lambda command, **how: started.append(command))
    assert ensure_supervisor(filled.store) is starts
    assert bool(started) is starts and ("its clock or ours is wrong" in capfd.readouterr().err) is starts
    assert subprocess.Popen is starting.subprocess.Popen
