"""Every way in which a program, a worker or a job can end, and which ending counts."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from jobs.files import now, write_json
from jobs.records import Outcome
from jobs.words import Cause
from tests.helpers.cli import PYTHON, Orch, alive, script, until


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


ACTS = """
import json, os, resource, sys
seed = int(sys.argv[1])
if seed == 0:
    raise ValueError("the data has a hole")
if seed == 1:
    os._exit(7)
if seed == 2:
    resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
    x = bytearray(800 << 20)
if seed == 3:
    os.kill(os.getpid(), 9)
with open(os.environ["ORCH_RESULT"], "w") as result:
    json.dump({"accuracy": 90 + seed}, result)
"""


def test_every_way_in_which_a_program_can_end(orch: Orch) -> None:
    script(orch, "acts.py", ACTS)
    done = orch.call("submit", "command", "--seeds", "5", "--wait", "--", PYTHON, "acts.py", "{seed}")
    assert done.returncode == 1
    assert "job 1" in done.stderr and "the data has a hole" in done.stderr
    jobs = orch.jobs()
    assert [job.state for job in jobs] == ["failed"] * 4 + ["succeeded"]
    assert [job.cause for job in jobs] == ["error", "error", "out_of_memory", "killed", "success"]
    errors = [job.error or "" for job in jobs]
    assert "ValueError: the data has a hole" in errors[0]
    assert "exit code 7" in errors[1]
    assert "requested 2000 MB" in errors[2] and "--mem" in errors[2]
    assert "killed 4 times" in errors[3]
    assert [len(orch.attempts(job.id)) for job in jobs] == [1, 1, 1, 4, 1]
    orch.check()


KIND = """
import os
from typing import Any
from jobs.kind import Config, JobKind, Resources


class Misbehaving(Config, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    how: str


def run(context: Any) -> dict[str, float]:
    context.ready()
    if context.config.how == "raise":
        raise KeyError("weights")
    if context.config.how == "exit":
        os._exit(7)
    if context.config.how == "leave":
        raise SystemExit(3)
    if context.config.how == "memory":
        raise MemoryError
    return {"accuracy": 99.0}


KIND = JobKind(
    name="misbehaving", version=1, help="Ends as it is told.", config=Misbehaving, run="misbehaving:run",
    resources=lambda config: Resources(), needs_data=False,
)
"""


def test_every_way_in_which_a_worker_can_end(orch: Orch) -> None:
    """A kind of another package, found by its entry point, does it inside the worker's own process."""
    plugins = orch.folder / "plugins"
    (plugins / "misbehaving-1.0.dist-info").mkdir(parents=True)
    (plugins / "misbehaving.py").write_text(KIND)
    (plugins / "misbehaving-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: misbehaving\nVersion: 1.0\n"
    )
    (plugins / "misbehaving-1.0.dist-info" / "entry_points.txt").write_text("[orch.jobs]\nm = misbehaving:KIND\n")
    orch.environment["PYTHONPATH"] += os.pathsep + str(plugins)
    for how in ("raise", "exit", "leave", "memory", "well"):
        orch("submit", "misbehaving", "--how", how, "--no-start")
    assert orch.call("supervise", "--until-idle").returncode == 1
    jobs = orch.jobs()
    assert [job.cause for job in jobs] == ["error", "killed", "error", "out_of_memory", "success"]
    assert jobs[0].error == "KeyError: 'weights'"
    assert "exit code 7" in " ".join(orch.attempts(2)[0].evidence)
    assert [len(orch.attempts(job.id)) for job in jobs] == [1, 4, 1, 1, 1]


FAMILY = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
child = f"import subprocess, time; subprocess.Popen({sleep!r}, start_new_session=True); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", child])
subprocess.Popen(sleep, start_new_session=True)
open("born", "w").close()
time.sleep(600)
"""


def test_cancel_ends_the_program_with_all_its_children(orch: Orch) -> None:
    """Grandchildren and those in a session of their own too; and only then is the slot free."""
    orch.environment["ORCH_CPU_SLOTS"] = "1"
    script(orch, "family.py", FAMILY)
    orch("submit", "command", "--code", "live", "--", PYTHON, "family.py")
    orch.submit_gate(1)
    until((orch.folder / "born").exists, "the family")
    worker = orch.worker(1).pid
    until(lambda: len(list(orch.processes())) >= 6, "supervisor, worker, program, two children and a grandchild")
    orch("cancel", "1")
    assert orch.job(1).state == "cancelled"
    orch.open_gate()
    orch.finish()
    assert not alive(worker)
    assert (
        len([pid for pid in orch.processes() if b"time.sleep(600)" in Path(f"/proc/{pid}/cmdline").read_bytes()]) == 0
    )
    assert orch.states() == ["cancelled", "succeeded"]
    assert orch.call("cancel", "1").returncode == 2
    orch.check()


TRIES = """
import json, os, pathlib, sys
kept = pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"]) / "tries"
tries = int(kept.read_text()) + 1 if kept.exists() else 1
kept.write_text(str(tries))
if not pathlib.Path("mended").exists():
    sys.exit("not yet mended")
with open(os.environ["ORCH_RESULT"], "w") as result:
    json.dump({"tries": tries}, result)
"""


def test_retry_begins_the_next_generation_anew_or_from_its_checkpoint(orch: Orch) -> None:
    script(orch, "tries.py", TRIES)
    assert orch.call("submit", "command", "--seeds", "2", "--wait", "--", PYTHON, "tries.py", "{seed}").returncode == 1
    assert {job.error for job in orch.jobs()} == {"the command ended with exit code 1: not yet mended"}
    (orch.folder / "mended").touch()
    assert orch.json("retry", "1") == {"retried": [1]}
    assert orch.json("retry", "2", "--resume", "--wait") == {"retried": [2]}
    assert [(job.state, job.generation, job.attempts) for job in orch.jobs()] == [("succeeded", 2, 2)] * 2
    assert [job["metrics"]["tries"] for job in orch.json("status")["jobs"]] == [1, 2]
    assert orch.call("retry", "1").returncode == 2, "what succeeded is not run again"
    orch.check()


def zombie(orch: Orch, job: int, attempt: int, accuracy: float) -> None:
    """An execution that was given up ends well after all."""
    (folder,) = orch.layout.executions(job, attempt)
    write_json(
        folder / "outcome.json", Outcome(ending="success", cause=Cause.SUCCESS, result={"accuracy": accuracy}, at=now())
    )


def test_a_late_success_of_a_failed_job_closes_it(orch: Orch) -> None:
    """Of the same generation: the work was done, and nobody needs to do it again."""
    orch.submit_gate(1)
    for attempt in range(1, 5):
        pid = orch.worker(1, attempt).pid
        os.kill(pid, signal.SIGKILL)
    until(lambda: orch.job(1).state == "failed", "the end of patience")
    until(lambda: orch.supervisor() is None, "the supervisor's leave")
    zombie(orch, 1, 2, 77.0)
    found = orch.json("status")["jobs"][0]
    assert (found["state"], found["cause"], found["metrics"]["accuracy"]) == ("succeeded", "success", 77)
    orch.check()


def test_pain_11_duplicate_attempts(orch: Orch) -> None:
    """Two copies finish: the first counts, the other is kept as superseded and stops; a third changes nothing."""
    orch.submit_gate(1)
    until(lambda: orch.starts(0), "the program")
    os.kill(orch.worker(1).pid, signal.SIGKILL)
    until(lambda: len(orch.starts(0)) == 2, "the replacement")
    orch.worker(1, 2)
    orch.kill_supervisor()
    zombie(orch, 1, 1, 55.0)
    orch.finish()
    assert orch.job(1).state == "succeeded"
    assert not any(alive(pid) for pid in orch.starts(0)), "the replacement has been ended"
    zombie(orch, 1, 2, 66.0)
    assert orch.json("status")["jobs"][0]["metrics"]["accuracy"] == 55
    orch.rebuild()
    assert orch.json("status")["jobs"][0]["metrics"]["accuracy"] == 55
    assert [(run.attempt, run.ending, run.superseded) for run in orch.executions(1)] == [
        (1, "success", False),
        (2, "success", True),
    ]
    assert orch.rows("SELECT count(*) FROM result") == [(1,)]
    orch.check()


TOLD = """
import signal, sys, time
def stop(number, frame):
    open("told", "w").close()
    sys.exit(0)
signal.signal(signal.SIGUSR1, stop)
open("up", "w").close()
time.sleep(600)
"""


def test_pain_14_code_changes_and_signals(orch: Orch) -> None:
    """Code that changed between submission and start is said; a stop reaches the program in its own words."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    script(orch, "mine.py", TOLD)
    (orch.folder / ".gitignore").write_text("*\n!mine.py\n!.gitignore\n")
    for command in (["init", "-q"], ["add", "mine.py", ".gitignore"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], cwd=orch.folder, check=True)
    orch("submit", "command", "--no-start", "--code", "live", "--set", "stop_signal=USR1", "--", PYTHON, "mine.py")
    script(orch, "same.py", "")
    orch("submit", "command", "--no-start", "--code", "live", "--", PYTHON, "same.py")
    with (orch.folder / "mine.py").open("a") as changed:
        changed.write("# another line\n")
    orch("submit", "command", "--code", "live", "--seed-list", "1", "--", PYTHON, "same.py")
    until((orch.folder / "up").exists, "the program")
    orch("cancel", "1")
    orch.finish()
    assert (orch.folder / "told").exists(), "the program was told by the signal that it named"
    found = orch.json("status")["jobs"]
    assert [(job["state"], job["code_changed"]) for job in found] == [
        ("cancelled", True),
        ("succeeded", True),
        ("succeeded", False),
    ]
