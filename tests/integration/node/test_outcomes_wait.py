"""A finished worker whose disk is full waits with its outcome: hours of work are not lost for want of room."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from jobs import files
from jobs.words import Cause
from tests.helpers.node import PYTHON, RESULT, Node, python

ROOT = Path(__file__).parents[3]
FULL = """
import errno, os, sys
from jobs.node.worker import Task
rename, wanted, left = os.replace, sys.argv[2], [int(sys.argv[3])] * 2
def full(source, target, **more):
    if str(target).endswith(wanted) and left:
        raise OSError(left.pop(), "no room")
    return rename(source, target, **more)
os.replace = full
Task(sys.argv[1])()
"""
"""A worker that cannot give a file its name, twice."""


@pytest.mark.parametrize("name", ["started.json", "ready.json", "outcome.json"])
def test_what_a_worker_must_say_waits_for_room(node: Node, name: str) -> None:
    node.job(python(f"print('said'); {RESULT}"))
    command = [PYTHON, "-c", FULL, str(node.submission()), name, "28"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    folder = node.execution()
    assert done.returncode == 0, done.stderr
    outcome = node.outcome(folder)
    assert (outcome.ending, outcome.cause) == ("success", Cause.SUCCESS)
    assert outcome.result == {"accuracy": 91.5, "loss": 1.0}
    assert {"started.json", "ready.json", "outcome.json"} <= set(files.names(folder))
