"""SLURM's commands that do not come back: everything else goes on, and the supervisor hears what it is told.

The commands are scripts on PATH that sleep for ten minutes; each is killed by its own limit, long after these tests.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from db import attempts, lease
from db.store import Store
from jobs.files import now
from tests.e2e.conftest import Orch
from tests.helpers.cli import PYTHON, alive, until
from tests.helpers.fakeslurm import HANG, calls, install, say

SOON = HEARD = 10.0
"""Seconds in which a local end is taken in and a signal ends a supervisor: about one, and more on a busy machine.
What hangs hangs for a minute."""


@dataclass
class Site:
    """A folder with orch and a SLURM made of scripts."""

    orch: Orch
    bin: Path

    def submit(self, name: str, *more: str, backend: str = "slurm") -> int:
        """One job of the gate program; its id."""
        arguments = ("--study", name, "--backend", backend, "--no-start", *more)
        (job,) = self.orch.json("submit", "command", *arguments, "--", PYTHON, "gate.py", "{seed}")["created"]
        return int(job)

    def supervise(self) -> subprocess.Popen[str]:
        return self.orch.popen("supervise")

    def native_id(self, job: int) -> str | None:
        with Store(self.orch.layout.root).read() as connection:
            found = attempts.of_job(connection, job)
        return found[-1].native_id if found else None

    def renewed_at(self) -> datetime:
        with self.orch.store.read() as connection:
            holder = lease.holder(connection)
        assert holder is not None
        return holder.renewed_at


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "work"
    folder.mkdir()
    orch = Orch(folder)
    orch.environment = install(tmp_path / "slurm", {**orch.environment, "ORCH_POLL_SECONDS": "1"})
    yield Site(orch, tmp_path / "slurm")
    orch.kill_everything()


def ended_after(process: subprocess.Popen[str], number: signal.Signals) -> float:
    """Seconds from the signal to the end."""
    at = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 130
    return time.monotonic() - at


def test_an_sbatch_that_hangs_holds_up_nobody(site: Site) -> None:
    """Four groups hang, a fifth is taken at once; a local job's end is seen; the lease is kept; SIGTERM is heard."""
    say(site.bin, "sbatch", f'grep -q "partition=quick" "$1" || exec {HANG}\necho "Submitted batch job 4711"')
    for number in range(4):
        site.submit(f"slow{number}", "--sbatch", f"partition=slow{number}")
    quick = site.submit("quick", "--sbatch", "partition=quick")
    local = site.submit("here", backend="local")
    process = site.supervise()
    until(lambda: site.orch.starts(0), "the local program, though sbatch hangs")
    until(lambda: len(calls(site.bin, "sbatch")) == 5, "every group's sbatch, though the first hangs", 30)
    assert until(lambda: site.native_id(quick), "the quick group's id", 10) == "4711"
    site.orch.open_gate()
    until(lambda: not alive(site.orch.starts(0)[0]), "the local program's end")
    at = time.monotonic()
    until(lambda: site.orch.job(local).state == "succeeded", "the local result", 30)
    assert time.monotonic() - at < SOON
    began = now()
    until(lambda: site.renewed_at() > began, "a renewal of the lease while sbatch hangs", lease.RENEW_SECONDS + 5)
    assert [site.native_id(job) for job in range(1, 5)] == [None] * 4
    assert site.orch.rows("SELECT sum(misses) FROM submission") == [(0,)], "a launch in flight is no miss"
    assert ended_after(process, signal.SIGTERM) < HEARD


@pytest.mark.parametrize("command", ["squeue", "scontrol", "scancel"])
def test_a_question_that_hangs_holds_up_nothing_local(site: Site, command: str) -> None:
    """Whatever SLURM is asked: the local side goes on meanwhile, and Ctrl-C is heard at once."""
    job = site.submit("far")
    local = site.submit("here", backend="local")
    if command == "scontrol":  # asked once an hour: how large an array may be
        say(site.bin, command, HANG)
    process = site.supervise()
    until(lambda: site.orch.starts(0), "the local program")
    if command != "scontrol":
        until(lambda: site.native_id(job), "the launch")
        say(site.bin, command, HANG)
    before = len(calls(site.bin, command)) if command != "scontrol" else 0
    if command == "scancel":
        ((token,),) = site.orch.rows("SELECT token FROM submission WHERE backend = 'slurm'")
        say(site.bin, "squeue", f'echo "{site.native_id(job)}|N/A|RUNNING|0|0|n1|None|{token}"')
        site.orch("cancel", str(job))
    until(lambda: len(calls(site.bin, command)) > before, f"a {command} that hangs", 40)
    site.orch.open_gate()
    until(lambda: not alive(site.orch.starts(0)[0]), "the local program's end")
    at = time.monotonic()
    until(lambda: site.orch.job(local).state == "succeeded", "the local result", 30)
    assert time.monotonic() - at < SOON
    assert ended_after(process, signal.SIGINT) < HEARD
