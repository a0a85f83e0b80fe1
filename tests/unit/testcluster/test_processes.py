"""Telling processes apart and killing only one's own; no SLURM needed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.hosts import boot_id
from slurm.lab import processes
from slurm.lab.daemons import Daemons
from slurm.lab.processes import Process
from slurm.testcluster import ClusterError
from slurm.testcluster.watchdog import wait_for_end


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "60"], env={"MARK": "mine"})
    # The environment is the new one only once the child has become `sleep`.
    while processes.environment(child.pid) != {"MARK": "mine"}:
        time.sleep(0.01)
    yield child
    child.kill()
    child.wait()


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    for name in ("pids", "logs"):
        (tmp_path / name).mkdir()
    group = Daemons(tmp_path / "pids", tmp_path / "logs")
    yield group
    group.kill(group.running())


def test_a_process_is_told_by_its_start_and_boot(sleeper: subprocess.Popen[bytes]) -> None:
    process = processes.find(sleeper.pid)
    assert process is not None
    assert process.is_alive()
    assert not Process(process.pid, process.start_ticks + 1, process.boot).is_alive()
    assert not Process(process.pid, process.start_ticks, "another boot").is_alive()


def test_a_reused_pid_is_never_signalled(sleeper: subprocess.Popen[bytes]) -> None:
    process = processes.find(sleeper.pid)
    assert process is not None
    assert not Process(process.pid, process.start_ticks - 1, process.boot).send(signal.SIGKILL)
    assert sleeper.poll() is None
    assert process.send(signal.SIGKILL)
    assert sleeper.wait() == -signal.SIGKILL
    assert not process.send(signal.SIGKILL)


def test_a_zombie_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    process = processes.find(sleeper.pid)
    assert process is not None
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{sleeper.pid}").exists()
    assert not process.is_alive()
    assert processes.find(sleeper.pid) is None


def test_processes_are_found_by_environment_with_their_descendants() -> None:
    mark = f"mark-{os.getpid()}"
    # A shell whose child drops the whole environment.
    parent = subprocess.Popen(["sh", "-c", "env -i sleep 61 & wait"], env={"PATH": os.environ["PATH"], "MARK": mark})
    try:
        deadline = time.monotonic() + 10
        while not (hidden := [pid for pid in _children(parent.pid) if processes.environment(pid) == {}]):
            assert time.monotonic() < deadline
            time.sleep(0.01)

        def found(descendants: bool) -> set[int]:
            return {p.pid for p in processes.matching(lambda env, _: env.get("MARK") == mark, descendants)}

        assert found(descendants=False) == {parent.pid}
        assert found(descendants=True) == {parent.pid, *hidden}
        assert processes.kill_all(lambda: processes.matching(lambda env, _: env.get("MARK") == mark, True))
        assert parent.wait() == -signal.SIGKILL
        assert not processes.find(hidden[0])
    finally:
        parent.kill()
        parent.wait()


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_this_process_is_never_among_those_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.getpid() not in {process.pid for process in processes.matching(lambda *_: True, descendants=True)}


def test_a_daemon_is_noted_found_by_others_and_stopped(daemons: Daemons, tmp_path: Path) -> None:
    daemons.start("quick", ["sleep", "60"], dict(os.environ))
    seen = Daemons(tmp_path / "pids", tmp_path / "logs").get("quick")
    assert seen is not None
    assert seen == daemons.get("quick")
    assert os.getsid(seen.pid) == seen.pid
    daemons.stop(["quick"], grace_s=10)
    assert not seen.is_alive()
    assert daemons.running() == {}


def test_a_daemon_that_ignores_sigterm_is_killed_after_the_grace(daemons: Daemons) -> None:
    daemons.start("stubborn", ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"], dict(os.environ))
    daemons.wait_until("stubborn", lambda: "deaf" in daemons.last_words("stubborn"), 10)
    began = time.monotonic()
    daemons.stop(["stubborn"], grace_s=0.3)
    assert time.monotonic() - began >= 0.3
    assert daemons.get("stubborn") is None


def test_a_note_about_another_process_stops_nobody(
    daemons: Daemons, tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    note = {"pid": sleeper.pid, "start_ticks": 1, "boot": boot_id()}
    (tmp_path / "pids" / "stale.json").write_text(json.dumps(note))
    assert daemons.get("stale") is None
    daemons.stop(["stale"], grace_s=1)
    assert sleeper.poll() is None


def test_a_daemon_that_ends_while_it_starts_is_quoted(daemons: Daemons) -> None:
    daemons.start("broken", ["sh", "-c", "sleep 0.2; echo no such plugin; exit 1"], dict(os.environ))
    with pytest.raises(ClusterError, match="broken ended while it started: no such plugin"):
        daemons.wait_until("broken", lambda: False, 10)


def test_a_daemon_that_never_gets_ready_is_an_error(daemons: Daemons) -> None:
    daemons.start("slow", ["sleep", "60"], dict(os.environ))
    with pytest.raises(ClusterError, match="slow was not ready after 0 s"):
        daemons.wait_until("slow", lambda: False, 0.1)


def test_the_watchdog_waits_for_its_owner_and_for_no_successor_of_its_pid() -> None:
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3)"])
    process = processes.find(owner.pid)
    assert process is not None
    began = time.monotonic()
    wait_for_end(process.pid, process.start_ticks + 1)
    assert time.monotonic() - began < 2.5, "it must not wait for another process of the same pid"
    wait_for_end(process.pid, process.start_ticks)
    assert owner.wait(timeout=5) == 0
    wait_for_end(process.pid, process.start_ticks)
