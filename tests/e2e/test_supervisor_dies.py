"""A supervisor that dies, is followed, is overtaken or is told to end: the jobs go on and nothing counts twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from db import lease
from jobs.files import now
from jobs.words import BackendName
from orchestrator.settings import Resubmission, Settings
from orchestrator.supervision.supervisor import Supervisor
from slurm.local.backend import LocalBackend
from tests.helpers.cli import PYTHON, Orch, alive, until


def test_jobs_go_on_without_their_supervisor_and_are_taken_in_by_a_look(orch: Orch) -> None:
    orch.submit_gate(2)
    until(lambda: orch.starts(0) and orch.starts(1), "both programs")
    orch.kill_supervisor()
    orch.open_gate()
    until(lambda: not list(orch.processes()), "the workers' own end")
    found = orch.json("status")
    assert found["counts"]["succeeded"] == 2
    assert [job["metrics"]["accuracy"] for job in found["jobs"]] == [90, 91]
    assert [len(orch.attempts(job)) for job in (1, 2)] == [1, 1]
    assert orch.supervisor() is None, "a look starts nothing"
    orch.check()


def test_a_new_supervisor_adopts_running_workers(orch: Orch) -> None:
    orch.submit_gate(3)
    until(lambda: orch.starts(0) and orch.starts(1), "both programs")
    orch.kill_supervisor()
    again = orch.json("submit", "command", "--seeds", "3", "--", PYTHON, "gate.py", "{seed}")
    assert again == {"created": [], "existing": [1, 2, 3]}
    until(orch.supervisor, "the new supervisor")
    orch.open_gate()
    orch.finish()
    assert [len(orch.starts(seed)) for seed in range(3)] == [1, 1, 1]
    assert [attempt.cause for job in (1, 2, 3) for attempt in orch.attempts(job)] == ["success"] * 3
    orch.check()


def test_supervisor_and_worker_killed_together(orch: Orch) -> None:
    orch.submit_gate(2)
    until(lambda: orch.starts(0) and orch.starts(1), "both programs")
    worker = orch.worker(1).pid
    orch.kill_supervisor()
    os.kill(worker, signal.SIGKILL)
    until(lambda: not alive(worker), "the worker's end")
    text = orch("status")
    assert "orch supervise" in text, "status names the command that goes on"
    orch.open_gate()
    orch("submit", "command", "--seeds", "2", "--wait", "--", PYTHON, "gate.py", "{seed}")
    assert orch.states() == ["succeeded"] * 2
    assert [attempt.cause for attempt in orch.attempts(1)] == ["killed", "success"]
    assert len(orch.starts(1)) == 1
    orch.check()


def reboot(orch: Orch) -> None:
    """Kill everything, and have all that was written tell of another boot."""
    orch.kill_everything()
    here = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    before = "0" * 8 + here[8:]
    for path in [*orch.layout.runs.rglob("local.json"), *orch.layout.runs.rglob("started.json")]:
        path.write_text(path.read_text().replace(here, before))
    with orch.store.write() as writer:
        for table in ("lease", "execution"):
            writer.connection.exec_driver_sql(f"UPDATE {table} SET boot_id = ? WHERE boot_id = ?", (before, here))


def test_pain_09_zombie_running_after_crash(orch: Orch) -> None:
    """After a reboot nothing is shown as running that does not run, and one command brings all back."""
    orch.environment["ORCH_CPU_SLOTS"] = "4"
    orch.submit_gate(6)
    until(lambda: all(orch.starts(seed) for seed in range(4)), "four programs")
    orch.open_gate(3)
    until(lambda: orch.job(4).state == "succeeded", "one result before the reboot")
    reboot(orch)
    found = orch.json("status")
    assert found["counts"]["running"] == 0
    assert found["counts"]["queued"] + found["counts"]["submitted"] == 5
    assert found["supervisor"] is None or not found["supervisor"]["alive"]
    text = orch("status")
    assert "orch supervise" in text
    orch.open_gate()
    orch.finish()
    assert orch.states() == ["succeeded"] * 6
    assert [attempt.cause for attempt in orch.attempts(1)] == ["node_failure", "success"]
    assert len(orch.attempts(4)) == 1
    assert [job["metrics"]["accuracy"] for job in orch.json("status")["jobs"]] == [90 + seed for seed in range(6)]
    orch.check()


def test_two_supervisors_at_once(orch: Orch) -> None:
    orch.submit_gate(4, "--no-start")
    orch.open_gate()
    both = [orch.popen("supervise", "--until-idle") for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
    assert orch.states() == ["succeeded"] * 4
    assert [len(orch.starts(seed)) for seed in range(4)] == [1] * 4
    orch.check()


def test_a_clock_that_was_set_back(orch: Orch) -> None:
    """The supervisor's clock steps back a day in the middle: backoffs end, results are taken in, nothing hangs."""
    orch.submit_gate(2, "--no-start")

    @dataclass
    class Stepping:
        back: timedelta = timedelta()

        def now(self) -> datetime:
            return now() - self.back

        def monotonic(self) -> float:
            return time.monotonic()

    clock, store = Stepping(), orch.store
    number = lease.take(store)
    assert number is not None
    backend = LocalBackend(orch.layout, cpu_slots=2, environ=orch.environment)
    settings = Settings(resubmission=Resubmission(backoff_seconds=30.0))
    supervisor = Supervisor(store, {BackendName.LOCAL: lambda: backend}, settings, number, clock)

    def cycle(question: Callable[[], object]) -> bool:
        supervisor.cycle(observe=[BackendName.LOCAL])
        return bool(question())

    until(lambda: cycle(lambda: orch.starts(0) and orch.starts(1)), "both programs")
    os.kill(orch.worker(1).pid, signal.SIGKILL)
    until(lambda: cycle(lambda: orch.job(1).not_before is not None), "the backoff of 30 s")
    clock.back = timedelta(days=1)
    until(lambda: cycle(lambda: len(orch.starts(0)) == 2), "the second start", 20)
    orch.open_gate()
    until(lambda: cycle(lambda: orch.states() == ["succeeded"] * 2), "both results")
    assert [len(orch.attempts(job)) for job in (1, 2)] == [2, 1]
    orch.check()


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether that process has a handler of its own for a signal (proc_pid_status(5), SigCgt)."""
    status = Path(f"/proc/{pid}/status").read_text()
    [mask] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_supervisor_in_the_foreground_is_ended_in_peace(orch: Orch, number: signal.Signals) -> None:
    """The running one, and one that follows it: neither prints a traceback, and the jobs go on."""
    orch.submit_gate(1, "--no-start")
    first = orch.popen("supervise")
    until(lambda: orch.starts(0), "the program")
    second = orch.popen("supervise")
    until(lambda: catches(second.pid, signal.SIGTERM), "the second supervisor to mind signals")
    for process in (second, first):
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert (out, err) == ("", "supervisor stopped: the jobs go on; 'orch supervise' takes them up again\n")
    assert orch.supervisor() is None and alive(orch.starts(0)[0])
    orch.open_gate()
    orch.finish()
    assert len(orch.attempts(1)) == 1
