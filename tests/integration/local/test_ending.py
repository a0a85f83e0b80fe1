"""How a local worker ends, and that its whole group ends with it: real sessions, real signals."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.layout import Layout
from jobs.node import endings
from jobs.words import Cause
from slurm.backend import Phase
from slurm.local import processes
from slurm.local.backend import LocalBackend
from tests.helpers.localbench import (
    Bench,
    exit_at_once,
    fail,
    first_thread_ends,
    kill_self,
    leave_child,
    note_user_signal,
    runs,
    stubborn,
    until,
)


@pytest.mark.parametrize(
    ("work", "cause", "evidence"),
    [
        (functools.partial(exit_at_once, 7), Cause.KILLED, "exit code 7"),
        (kill_self, Cause.KILLED, "ended by SIGKILL"),
        (fail, Cause.ERROR, "RuntimeError: no such mount"),
    ],
)
def test_ends_are_seen_with_their_evidence(
    bench: Bench, work: Callable[[], object], cause: Cause, evidence: str
) -> None:
    bench.task = lambda folder: work
    seen = bench.ended(bench.launch(bench.job()))
    assert seen.cause is cause
    assert evidence in "\n".join(seen.evidence)


def test_a_worker_whose_first_thread_has_ended_runs_until_the_last_one_has(bench: Bench) -> None:
    """The kernel calls it a zombie meanwhile: its slot was given away, and its exit code lost, before it had ended."""
    bench.task = lambda folder: functools.partial(first_thread_ends, folder)
    attempt = bench.launch(bench.job())
    pid = bench.said(attempt)["pid"]
    until(lambda: (found := processes.process(pid)) is not None and found.state == "Z", "the end of its first thread")
    assert bench.see(attempt).phase is Phase.RUNNING
    (bench.layout.submission(attempt.token) / "go").touch()
    assert "exit code 7" in "\n".join(bench.ended(attempt).evidence)


def test_an_end_ends_the_sleep_long_before_its_timeout(bench: Bench) -> None:
    attempt = bench.launch(bench.job())
    pid = bench.said(attempt)["pid"]
    assert bench.see(attempt).phase is Phase.RUNNING
    killer = subprocess.Popen(
        [sys.executable, "-c", f"import os, time; time.sleep(0.3); os.kill({pid}, 9); print(time.monotonic())"],
        stdout=subprocess.PIPE,
    )
    assert bench.backend.wait(20.0)
    seen = bench.see(attempt)
    at = time.monotonic()
    assert seen.phase is Phase.ENDED
    # how soon exactly is measured by `make bench`: a busy machine must not fail this
    assert at - float(killer.communicate()[0]) < 5.0
    assert bench.backend.wait(0.05) is False


def test_a_wake_up_file_ends_the_sleep(bench: Bench, tmp_path: Path) -> None:
    wake = tmp_path / "wake"
    subprocess.Popen([sys.executable, "-c", f"import time; time.sleep(0.3); open({str(wake)!r}, 'w').close()"])
    began = time.monotonic()
    assert bench.backend.wait(20.0, wake)
    assert time.monotonic() - began < 10.0
    assert bench.backend.wait(0.2, wake) is False
    wake.write_text("while nobody slept")
    began = time.monotonic()
    assert bench.backend.wait(20.0, wake)
    assert time.monotonic() - began < 10.0


def test_a_kill_for_memory_is_told_from_another_kill(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = [5]
    monkeypatch.setattr(endings, "oom_kills", lambda: counts[0])
    attempts = [bench.launch(bench.job(number), f"cpu:{number}") for number in (1, 2, 3)]
    pids = [bench.said(attempt)["pid"] for attempt in attempts]
    assert bench.see(attempts[0]).phase is Phase.RUNNING
    os.kill(pids[0], signal.SIGKILL)
    counts[0] = 6
    assert bench.ended(attempts[0]).cause is Cause.OUT_OF_MEMORY
    assert "killed 1 process(es) for memory" in bench.see(attempts[0]).evidence[1]
    monkeypatch.setattr("slurm.local.worker.MEMORY_KILL_SECONDS", 0.0)
    bench.see(attempts[1])
    bench.see(attempts[1])
    os.kill(pids[1], signal.SIGKILL)
    assert bench.ended(attempts[1]).cause is Cause.KILLED
    counts[0] = 7
    os.kill(pids[2], signal.SIGTERM)
    bench.backend.cancel([attempts[2]])
    assert bench.ended(attempts[2]).cause is Cause.CANCELLED


def test_cancel_ends_grandchildren_that_ignore_term(bench: Bench) -> None:
    bench.task = lambda folder: functools.partial(stubborn, folder)
    attempt = bench.launch(bench.job())
    bench.said(attempt)
    pid = int(attempt.native_id or 0)

    def members() -> list[processes.Process]:
        leader = processes.process(pid)
        start = leader.start if leader else 0
        return processes.members([processes.Group(attempt.token, pid, start, True)])[attempt.token]

    until(lambda: len(members()) == 3, "worker, child and grandchild")
    group = [one.pid for one in members()]
    began = time.monotonic()
    bench.backend.cancel([attempt])
    assert time.monotonic() - began < 2, "cancel must not wait for the end"
    assert bench.see(attempt).phase is Phase.RUNNING
    assert bench.ended(attempt).cause is Cause.CANCELLED
    assert not any(runs(one) for one in group)
    assert time.monotonic() - began >= 0.5


def test_what_a_killed_worker_leaves_behind_keeps_its_slot_until_it_is_ended(bench: Bench) -> None:
    bench.task = lambda folder: functools.partial(leave_child, folder)
    attempt = bench.launch(bench.job(gpus=1), "gpu:2:0")
    said = bench.said(attempt)
    assert bench.see(attempt).phase is Phase.RUNNING
    os.kill(said["pid"], signal.SIGKILL)
    until(lambda: not runs(said["pid"]), "the worker's end")
    other = LocalBackend(Layout(bench.layout.root / "other"), locks=bench.backend.locks, gpus=["2"])
    assert other.plan([bench.job(9, gpus=1)], [], frozenset()) == [], "its child still computes on the GPU"
    assert bench.see(attempt).phase is Phase.COMPLETING
    assert bench.ended(attempt).cause is Cause.KILLED
    assert not runs(said["child"])
    assert not runs(said["escaped"]), "found by its token, although it has a session of its own"
    assert len(other.plan([bench.job(9, gpus=1)], [], frozenset())) == 1


def test_a_time_limit_warns_first_and_then_ends(bench: Bench) -> None:
    bench.task = lambda folder: functools.partial(note_user_signal, folder)
    attempt = bench.launch(bench.job(minutes=1.5 / 60))
    bench.said(attempt)
    seen = bench.ended(attempt)
    assert seen.cause is Cause.TIMEOUT
    assert bench.said(attempt, "signal.json") == {"usr2": True}
    assert "SIGTERM" in seen.evidence[0]
