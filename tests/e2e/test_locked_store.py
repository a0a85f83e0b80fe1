"""Another process holds the store's lock: whoever waits for it hears a signal as soon as anybody else."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.refusals import PATIENCE_SECONDS
from tests.helpers.cli import PYTHON, Orch, until

SIGHTINGS = 10
"""Who waits for the lock has the database open nearly always, who looks at it hardly ever."""


@contextlib.contextmanager
def locked(orch: Orch) -> Iterator[None]:
    """Nobody else may write."""
    with contextlib.closing(sqlite3.connect(orch.layout.database, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.execute("ROLLBACK")


def waits(orch: Orch, process: subprocess.Popen[str]) -> None:
    """Until that process waits for the lock."""
    seen = 0

    def often() -> bool:
        nonlocal seen
        assert process.poll() is None, "it did not wait"
        for handle in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                seen += handle.readlink() == orch.layout.database
        return seen >= SIGHTINGS

    until(often, "the wait for the lock")


def ends(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """The signal ends it while it waits: the lock is held long after, and its own patience is longer still."""
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE_SECONDS / 2)
    assert process.returncode == 130 and "locked" not in said, said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_supervisor_that_waits_for_the_lock_hears_the_signal(orch: Orch, number: signal.Signals) -> None:
    """It was heard only when SQLite's own patience was over, up to five seconds later; the result is not lost."""
    (job,) = orch.json("submit", "command", "--backend", "local", "--no-start", "--", PYTHON, "gate.py", "{seed}")[
        "created"
    ]
    process = orch.popen("supervise")
    until(lambda: orch.starts(0), "the program")
    with locked(orch):
        orch.open_gate()
        until(lambda: list(orch.layout.root.glob("runs/**/outcome.json")), "the outcome")
        waits(orch, process)  # it has seen the worker's end, and is to write that down
        assert orch.job(job).state != "succeeded"
        ends(process, number)
    orch("supervise", "--until-idle")
    assert orch.job(job).state == "succeeded"


def test_a_command_that_waits_for_the_lock_hears_ctrl_c(orch: Orch) -> None:
    (job,) = orch.json("submit", "command", "--backend", "local", "--no-start", "--", PYTHON, "gate.py", "{seed}")[
        "created"
    ]
    with locked(orch):
        process = orch.popen("cancel", str(job))
        waits(orch, process)
        ends(process, signal.SIGINT)
    assert orch.job(job).state == "queued", "what was broken off has not happened"
