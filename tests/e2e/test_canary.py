"""Of many new jobs of a program one goes first: a typo costs one job, and mending it lets the others go."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.helpers.cli import PYTHON, Orch, script, until

MANY = 20
"""From so many new jobs on one goes first (docs/code.md)."""
REPORTING = """
import json, os, pathlib, sys, time
here = pathlib.Path(os.environ["ORCH_STUDY_CWD"])
if (here / "reports").exists():
    with open(os.environ["ORCH_METRICS"], "a") as lines:
        lines.write(json.dumps({"epoch": 1, "accuracy": 50}) + "\\n")
while not (here / "go").exists():
    time.sleep(0.05)
with open(os.environ["ORCH_RESULT"], "w") as result:
    json.dump({"accuracy": 90 + int(sys.argv[1])}, result)
"""


def submit(orch: Orch, program: str, *more: str, **options: Any) -> str:
    return orch("submit", "command", *more, "--", PYTHON, program, "{seed}", **options)


def held_back(orch: Orch) -> set[tuple[object, ...]]:
    """Where the canary's rows stand: what waits for it, and whether it is over."""
    rows = orch.rows("SELECT id, behind, launch_id FROM job")
    return {*rows, *orch.rows("SELECT job_id, over_at IS NULL FROM canary")}


def test_a_typo_costs_one_job_and_its_mending_lets_all_go(orch: Orch) -> None:
    script(orch, "train.py", "import json, os, sys\nlosss\n")
    said = submit(orch, "train.py", "--seeds", str(MANY), "--dry-run")
    assert "job 1 would go first, as a canary" in said
    assert "go first" not in submit(orch, "train.py", "--seeds", str(MANY - 1), "--dry-run")
    done = orch.call("submit", "command", "--seeds", str(MANY), "--wait", "--", PYTHON, "train.py", "{seed}")
    assert done.returncode == 1
    assert f"job 1 goes first, as a canary: the other {MANY - 1} wait" in done.stdout
    assert f"{MANY - 1} jobs are blocked: canary job 1 failed" in done.stderr
    assert orch.rows("SELECT job_id, number FROM attempt") == [(1, 1)]
    listed = orch.json("status")["jobs"]
    assert [job["blocked"] for job in listed] == [False] + [True] * (MANY - 1)
    assert listed[1]["reason"] == "blocked: canary job 1 failed"
    assert "orch retry 1" in " ".join(orch("explain", "2").split())
    orch("supervise", "--until-idle", code=1)
    before = held_back(orch)
    orch.rebuild()
    assert held_back(orch) == before, "a rebuild knows who waits for whom"
    orch("submit", "command", "--seeds", str(MANY), "--no-start", "--", PYTHON, "train.py", "{seed}")
    said = submit(orch, "train.py", "--seed-list", "90,91", "--no-start")
    assert "2 wait for canary job 1, which failed: 'orch retry 1' after the fix" in said, "fewer than many wait too"
    assert [job["blocked"] for job in orch.json("status")["jobs"][-2:]] == [True, True]
    orch("cancel", f"{MANY + 1}-{MANY + 2}")

    script(orch, "train.py", 'import json, os, sys\njson.dump({"accuracy": 1}, open(os.environ["ORCH_RESULT"], "w"))\n')
    said = orch("retry", "1", "--mem", "3G", "--no-start")
    assert (
        f"{MANY - 1} jobs follow when it works, with the code as it is now, as it does, and with memory 3072 MB" in said
    )
    assert {job.launching.resources.memory_mb for job in orch.jobs()[:MANY]} == {3072}
    orch("submit", "command", "--seeds", str(MANY), "--wait", "--", PYTHON, "train.py", "{seed}")
    assert orch.states()[:MANY] == ["succeeded"] * MANY, "those that never ran took the mended code with the canary"
    assert orch.rows("SELECT count(*), max(number) FROM attempt") == [(MANY + 1, 2)]
    said = submit(orch, "train.py", "--seeds", str(3 * MANY), "--no-start")
    assert "goes first" not in said, "edited or not, this program has run"
    orch.check()


def test_others_follow_the_first_metric_and_outlive_a_killed_supervisor(orch: Orch) -> None:
    script(orch, "train.py", REPORTING)
    with ThreadPoolExecutor() as pool:  # two at once of one program: one canary
        halves = [f"{','.join(map(str, seeds))}" for seeds in (range(MANY), range(MANY, 2 * MANY))]
        list(pool.map(lambda seeds: submit(orch, "train.py", "--seed-list", seeds), halves))
    assert orch.rows("SELECT count(*) FROM canary") == [(1,)]
    canary = int(str(orch.rows("SELECT job_id FROM canary")[0][0]))
    orch.worker(canary)
    orch.kill_supervisor()
    waiting = next(job.id for job in orch.jobs() if job.id != canary)
    assert f"waits for canary job {canary}" in " ".join(orch("explain", str(waiting)).split())
    assert orch.rows("SELECT count(*) FROM attempt") == [(1,)]
    pid = orch.worker(canary).pid
    os.killpg(pid, signal.SIGKILL)  # lost: it is resubmitted, and holds on
    orch("submit", "command", "--seed-list", "0", "--", PYTHON, "train.py", "{seed}")
    until(lambda: len(orch.attempts(canary)) > 1, "the canary's next attempt")
    assert orch.rows(f"SELECT count(*) FROM attempt WHERE job_id != {canary}") == [(0,)]
    orch("cancel", str(canary))
    orch("set", "--max-running", "1")
    assert orch.rows("SELECT count(*) FROM canary WHERE over_at IS NULL") == [(1,)], "the next one goes first"
    (orch.folder / "reports").touch()
    until(lambda: orch.rows("SELECT count(*) FROM job WHERE behind IS NOT NULL") == [(0,)], "its first metric")
    assert orch.rows("SELECT count(*) FROM job WHERE state IN ('submitted', 'running')") == [(1,)]
    (orch.folder / "go").touch()


def test_a_study_runs_so_many_at_once_and_stops_after_so_many_failures(orch: Orch) -> None:
    orch.environment["ORCH_CPU_SLOTS"] = "4"
    orch("submit", "command", "--seeds", "4", "--max-running", "2", "--", PYTHON, "gate.py", "{seed}")
    until(lambda: orch.starts(0) and orch.starts(1), "two of them")
    said = " ".join(orch("explain", "3").split())
    assert "waits: the study runs 2 at once (--max-running)" in said
    assert orch.json("status")["jobs"][2]["reason"] == "waits: the study runs 2 at once (--max-running)"
    assert not orch.starts(2)
    orch("set", "--max-running", "3")
    until(lambda: orch.starts(2), "a third one")
    assert not orch.starts(3)
    orch("set", "--max-running", "none")
    until(lambda: orch.starts(3), "the last one")
    orch.open_gate()
    orch.finish()

    script(orch, "fails.py", "import sys\nsys.exit(3)\n")
    words = ("--study", "bad", "--max-fails", "2", "--max-running", "1")
    done = orch.call("submit", "command", "--seeds", "5", *words, "--wait", "--", PYTHON, "fails.py", "{seed}")
    assert done.returncode == 1
    assert "the study sends nothing more: 2 jobs of the study failed (--max-fails 2)" in done.stderr
    assert orch.rows("SELECT state, count(*) FROM job WHERE study_id = 2 GROUP BY 1") == [("failed", 2), ("queued", 3)]
    orch("set", "--study", "bad", "--max-fails", "3")
    orch("supervise", "--until-idle", code=1)
    assert orch.rows("SELECT state, count(*) FROM job WHERE study_id = 2 GROUP BY 1") == [("failed", 3), ("queued", 2)]
    assert "name it with --study" in orch.call("set", "1", "--max-running", "2").stderr
    assert orch.call("set", "--study", "none", "--max-running", "2").returncode == 2
    assert orch.call("set", "--max-running", "-1").returncode == 2
