"""Cancelled and asked for again at once: the next attempt starts when the last one is gone."""

from __future__ import annotations

import json
import time

from tests.helpers.cli import PYTHON, Orch, alive, script, until

STUBBORN = """
import os, pathlib, signal, sys, time
here = pathlib.Path(os.environ["ORCH_STUDY_CWD"])


def stay(*_):
    while not (here / "leave").exists():
        time.sleep(0.05)
    os._exit(1)


signal.signal(signal.SIGTERM, stay)
with (here / "pids").open("a") as pids:
    pids.write(f"{os.getpid()}\\n")
while not (here / "go").exists():
    time.sleep(0.05)
with open(os.environ["ORCH_RESULT"], "w") as result:
    result.write('{"accuracy": 90}')
"""
"""A program that takes ten seconds to end when it is asked to."""


def pids(orch: Orch) -> list[int]:
    path = orch.folder / "pids"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_two_attempts_of_one_job_never_run_side_by_side(orch: Orch) -> None:
    script(orch, "stubborn.py", STUBBORN)
    orch("submit", "command", "--", PYTHON, "stubborn.py")
    until(lambda: pids(orch), "the first program")
    orch("cancel", "1")
    orch("retry", "1")
    said = until(lambda: (text := orch("explain", "1")) and "not yet gone" in text and text, "the reason why it waits")
    assert "the next one starts when it is" in " ".join(said.split())
    (orch.folder / "leave").touch()
    most = 1
    end = time.monotonic() + 60
    while len(pids(orch)) < 2 and time.monotonic() < end:
        most = max(most, sum(alive(pid) for pid in pids(orch)))
        time.sleep(0.02)
    first, second = pids(orch)
    assert not alive(first) and alive(second) and most == 1
    (orch.folder / "go").touch()
    orch.finish()
    assert [(one.generation, one.cause) for one in orch.attempts(1)] == [(1, "cancelled"), (2, "success")]


def test_a_submit_of_what_was_cancelled_says_how_to_run_it_again(orch: Orch) -> None:
    orch.submit_gate(3, "--no-start")
    orch("cancel", "1", "3")
    said = orch.submit_gate(3, "--no-start")
    assert "jobs 1, 3 were cancelled before: 'orch retry 1 3' runs them again" in said
    found = orch.call("submit", "command", "--seeds", "1", "--no-start", "--json", "--", PYTHON, "gate.py", "{seed}")
    assert json.loads(found.stdout) == {"created": [], "existing": [1]}
    assert "'orch retry 1' runs it again" in found.stderr
    orch("retry", "1", "3")
    assert "before" not in orch.submit_gate(3, "--no-start")
