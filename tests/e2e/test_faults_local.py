"""Faults that really happen, one test each, on the local backend: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.helpers.cli import Orch, alive, until

PYTHON = sys.executable


def script(orch: Orch, name: str, text: str) -> None:
    (orch.folder / name).write_text(text)


def test_a_killed_worker_is_replaced(orch: Orch) -> None:
    orch.submit_gate(2)
    until(lambda: orch.starts(0) and orch.starts(1), "both programs")
    os.kill(orch.worker(1).pid, signal.SIGKILL)
    until(lambda: len(orch.starts(0)) == 2, "the second start")
    assert not alive(orch.starts(0)[0]), "what a dead worker had started never runs beside its replacement"
    orch.open_gate()
    orch.finish()
    assert orch.states() == ["succeeded"] * 2
    assert [attempt.cause for attempt in orch.attempts(1)] == ["killed", "success"]
    assert [attempt.cause for attempt in orch.attempts(2)] == ["success"]
    assert len(orch.starts(1)) == 1
    orch.check()


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


def test_pain_08_sqlite_locked_by_eight_submits_at_once(orch: Orch) -> None:
    """Into a folder without a store: one makes it, none sees 'locked', no seed twice."""
    same = [["--seeds", "6"]] * 4
    other = [["--seed-list", f"{seed},{seed + 1},{seed + 2}"] for seed in (4, 6, 8, 10)]
    all_of_them = [
        orch.popen("submit", "command", *seeds, "--no-start", "--json", "--", "true", "{seed}")
        for seeds in same + other
    ]
    created = 0
    for process in all_of_them:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        created += len(json.loads(out)["created"])
    seeds = sorted(job.seed for job in orch.jobs())
    assert seeds == list(range(13))
    assert created == 13
    orch.check()


def test_pain_08_sqlite_locked_for_ten_seconds(orch: Orch) -> None:
    orch.submit_gate(1, "--no-start")
    held = (
        "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); time.sleep(10)"
    )
    holder = subprocess.Popen([PYTHON, "-c", held, str(orch.layout.database)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    orch.submit_gate(2, "--no-start")
    assert holder.poll() == 0 or holder.wait(1) == 0, "the submit waited for the lock"
    assert [job.seed for job in orch.jobs()] == [0, 1]
