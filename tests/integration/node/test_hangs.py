"""A program that hangs, on a node: found, looked at, killed; and those that only seem to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from jobs.node import autopsy, silence
from jobs.node.silence import Process, Silence
from jobs.records import Terms
from jobs.rhythm import FLOOR_SECONDS, OWN_FLOOR_SECONDS, Rhythm
from jobs.words import Cause
from tests.helpers.cli import until
from tests.helpers.node import PYTHON, RESULT, Node, python

DEADLOCK = """
import threading
print("up", flush=True)
def waits_for_ever(lock):
    lock.acquire()
    lock.acquire()
threading.Thread(target=waits_for_ever, args=(threading.Lock(),)).start()
"""
KNOWN = Rhythm(silences=100, median=1.0, spread=0.1, longest=(2.0,) * 8, first=3.0, whole=1)


@pytest.fixture
def quickly(node: Node) -> Path:
    """A submission whose program may be silent for two seconds."""
    return node.submission(terms=Terms(cwd=str(node.cwd), options={"hang_after": 2.0}))


def test_a_deadlock_is_found_and_its_threads_are_told(node: Node, quickly: Path) -> None:
    node.job(python(DEADLOCK))
    folder = node.run(quickly, PATH="/usr/bin:/bin")
    outcome = node.outcome(folder)
    assert (outcome.ending, outcome.cause, outcome.rhythm) == ("failure", Cause.HANG, None)
    assert re.match(r"it hangs: no sign of life for \d+ s \(--hang-after 2 s\); what", outcome.error or "")
    text = (folder / autopsy.NAME).read_text()
    assert "sleeping, waits in" in text and "-> " in text
    assert "stderr at SIGABRT:" in text and "waits_for_ever" in text, "every thread's stack, by Python itself"


def test_py_spy_is_asked_where_it_is_installed(node: Node, quickly: Path, tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "py-spy"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\necho "$@" > asked\nprintf "Process\\nThread 7 (idle)\\n    spied (here.py:1)\\n"\n')
    tool.chmod(0o755)
    node.job(python(DEADLOCK))
    folder = node.run(quickly, PATH=f"{tool.parent}:/usr/bin:/bin")
    text = (folder / autopsy.NAME).read_text()
    assert node.outcome(folder).cause is Cause.HANG
    assert "spied (here.py:1)" in text and "at SIGABRT" not in text, "what py-spy has told need not be told again"


def test_what_a_shell_started_is_killed_with_it(node: Node, quickly: Path) -> None:
    node.job(["sh", "-c", "sleep 1000 & echo $! > child; wait"])
    assert node.outcome(node.run(quickly)).cause is Cause.HANG
    child = silence.process(int((node.cwd / "child").read_text()))
    assert child is None or child.state == "Z", "in a container nobody may reap it"


def test_a_program_that_somebody_stopped_does_not_hang(node: Node) -> None:
    patient = node.submission(terms=Terms(cwd=str(node.cwd), options={"hang_after": 10.0}))
    text = f"import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(1)\n{RESULT}"
    node.job(python(text))
    worker = node.start(patient)
    pid = int(until(lambda: (node.cwd / "pid").exists() and (node.cwd / "pid").read_text(), "the program"))
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(14)
    os.kill(pid, signal.SIGCONT)
    assert worker.wait(60) == 0
    assert node.outcome(node.execution()).ending == "success"


def test_what_a_run_taught_stands_in_its_outcome(node: Node) -> None:
    node.job(python(f"import time\nfor n in range(3): print(n, flush=True); time.sleep(1.5)\n{RESULT}"))
    rhythm = node.outcome(node.run(node.submission())).rhythm
    assert rhythm is not None and rhythm.whole == 1 and rhythm.silences >= 2 and 1 < rhythm.longest[0] < 30
    assert rhythm.first is not None


class Watched:
    """A program of which a test says everything; each `pass_time` is so many seconds on the worker's clock."""

    def __init__(self, known: Sequence[Rhythm] = (), given: float | None = None) -> None:
        self.at, self.said, self.state, self.full = 1000.0, 0, "S", False
        self.silence = Silence(
            known,
            given,
            "",
            signs=lambda: self.said,
            processes=lambda: [Process(1, "S"), Process(2, self.state)],
            held_up=lambda: self.full,
            clock=lambda: self.at,
        )

    def pass_time(self, seconds: float, step: float = 5.0) -> str | None:
        """What was found in that time."""
        end = self.at + seconds
        while self.at < end:
            self.at += step
            if (found := self.silence.look()) is not None:
                return found
        return None

    def report(self, times: int, every: float = 5.0) -> None:
        for _ in range(times):
            self.said += 1
            assert self.pass_time(every) is None


def test_a_program_that_is_known_hangs_after_half_an_hour_of_silence() -> None:
    one = Watched([KNOWN])
    one.report(3)
    assert one.pass_time(FLOOR_SECONDS - 20) is None
    told = one.pass_time(40)
    assert told == "it hangs: no sign of life for 30 min (an earlier run was never silent for longer than 2 s)"


def test_one_that_is_not_known_by_its_own_reports_alone() -> None:
    one = Watched()
    one.report(40)
    assert one.pass_time(OWN_FLOOR_SECONDS - 20) is None and one.pass_time(40) is not None


def test_one_that_never_reports_never_hangs() -> None:
    assert Watched().pass_time(400_000) is None
    assert Watched(given=0.0).pass_time(400_000) is None, "off"


def test_another_device_says_nothing_of_this_one() -> None:
    gpu = Rhythm(silences=100, median=1.0, spread=0.1, longest=(2.0,) * 8, first=3.0, whole=1, device="H100")
    one = Watched([gpu])
    one.report(12)
    assert one.pass_time(3 * FLOOR_SECONDS) is None


@pytest.mark.parametrize("state", ["T", "t"])
def test_while_it_is_stopped_or_debugged_its_silence_does_not_grow(state: str) -> None:
    one = Watched([KNOWN])
    one.report(3)
    assert one.pass_time(FLOOR_SECONDS - 60) is None
    one.state = state
    assert one.pass_time(100_000) is None
    one.state = "S"
    assert one.pass_time(FLOOR_SECONDS - 60) is None and one.pass_time(120) is not None


def test_a_full_disk_makes_nobody_hang() -> None:
    one = Watched([KNOWN])
    one.report(3)
    one.full = True
    assert one.pass_time(100_000) is None


def test_a_worker_that_was_stopped_itself_begins_anew() -> None:
    """SLURM's suspend stops all of a step; a host that slept has told nobody."""
    one = Watched([KNOWN])
    one.report(3)
    assert one.pass_time(FLOOR_SECONDS - 60) is None
    assert one.pass_time(50_000, step=50_000) is None
    assert one.pass_time(FLOOR_SECONDS - 60) is None and one.pass_time(120) is not None


def test_a_sign_in_the_last_moment_saves_it() -> None:
    one = Watched(given=60.0)
    assert one.pass_time(100) is not None and one.silence.still()
    one.said += 1
    assert not one.silence.still()


KIND = """
import sys, threading, time
from jobs.node import worker
from jobs.node.context import Context
def evaluate(context):
    context.ready()
    print("up", flush=True)
    def stuck_in_the_loader(): threading.Event().wait()
    if MODE == "hangs": stuck_in_the_loader()
    time.sleep(1.5)
    return {"test_accuracy": 50.0}
from jobs.kind import JobKind
JobKind.function = lambda self: evaluate
worker.Task(sys.argv[1])()
"""


@pytest.mark.parametrize("mode", ["hangs", "goes on"])
def test_a_kind_that_hangs_in_the_workers_own_process(node: Node, mode: str) -> None:
    node.job(["true"])
    path = node.layout.job(1) / "job.json"
    path.write_text(path.read_text().replace('"kind":"command"', '"kind":"random-baseline"'))
    record = msgspec.json.decode(path.read_bytes())
    record.update(kind="random-baseline", config={"preset": "demo"})
    path.write_bytes(msgspec.json.encode(record))
    terms = Terms(cwd=str(node.cwd), options={"hang_after": 2.0 if mode == "hangs" else 60.0})
    given = {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin:/bin"}
    text = KIND.replace("MODE", repr(mode))
    done = subprocess.run([PYTHON, "-c", text, str(node.submission(terms=terms))], env=given, timeout=60, check=False)
    folder = node.execution()
    outcome = node.outcome(folder)
    if mode == "hangs":
        assert (done.returncode, outcome.cause) == (1, Cause.HANG)
        assert "stuck_in_the_loader" in (folder / autopsy.NAME).read_text()
        assert "stuck_in_the_loader" in (folder / "stderr").read_text()
    else:
        assert (done.returncode, outcome.ending) == (0, "success") and outcome.rhythm is not None
