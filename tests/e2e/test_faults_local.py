"""Faults that really happen, one test each, on the local backend: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from db import lease
from db.store import Store
from jobs.files import now, read_json, write_json
from jobs.layout import Layout
from jobs.records import Outcome, Ready
from jobs.words import BackendName, Cause, JobState
from orchestrator import notices, waiting
from orchestrator.settings import Resubmission, Settings
from orchestrator.supervisor import Supervisor
from slurm.local_backend import LocalBackend
from tests.helpers.cli import GATE, Orch, alive, until

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


def test_a_wait_ends_where_no_supervisor_stays_alive(
    orch: Orch, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It does not start one after the other for ever, and says where to look."""
    orch.submit_gate(1, "--no-start")
    started: list[Path] = []
    monkeypatch.setattr(waiting, "START_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "ensure_supervisor", lambda store: started.append(store.root) or True)
    assert waiting.wait(orch.store, "default", quiet=True) == 70
    assert f"see why in {orch.layout.root}/supervisor.log" in capfd.readouterr().err
    assert len(started) == waiting.MOST_RESTARTS + 1


def test_a_wait_goes_on_while_other_jobs_can_go(
    orch: Orch, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Dispatch to one partition has stopped, as its nodes are bad; other jobs are queued for a moment."""
    orch.submit_gate(1, "--no-start")
    bad = notices.Notices(stopped={"gpu": "all 4 nodes of 'gpu' are bad"}, others=True, at=now())
    notices.write(orch.store, bad)
    looks: list[bool] = []

    def one_more_look(store: Store, study: str) -> dict[JobState, int]:
        looks.append(True)
        if len(looks) == 5:
            notices.write(store, msgspec.structs.replace(bad, others=False))
        return counted(store, study)

    counted = waiting._look
    monkeypatch.setattr(waiting, "_look", one_more_look)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.01)
    assert waiting.wait(orch.store, "default", quiet=True) == 1
    assert len(looks) == 5
    assert "dispatch has stopped: all 4 nodes of 'gpu' are bad" in capfd.readouterr().err


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
    assert [job.cause for job in jobs] == ["error", "killed", "killed", "out_of_memory", "success"]
    assert jobs[0].error == "KeyError: 'weights'"
    assert "exit code 7" in " ".join(orch.attempts(2)[0].evidence)
    assert [len(orch.attempts(job.id)) for job in jobs] == [1, 4, 4, 1, 1]


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
    orch("submit", "command", "--", PYTHON, "family.py")
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
    orch("rebuild")
    assert orch.json("status")["jobs"][0]["metrics"]["accuracy"] == 55
    assert [(run.attempt, run.ending, run.superseded) for run in orch.executions(1)] == [
        (1, "success", False),
        (2, "success", True),
    ]
    assert orch.rows("SELECT count(*) FROM result") == [(1,)]
    orch.check()


@pytest.fixture
def small_disk(orch: Orch) -> Iterator[Path]:
    """A folder on a file system of its own with 4 MB."""
    folder = orch.folder / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: a full disk needs a small tmpfs, and only root may mount one")
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"NOT TESTED: a full disk needs a small tmpfs, and mount said: {mounted.stderr}")
    yield folder
    orch.kill_everything()
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing(orch: Orch, small_disk: Path) -> None:
    """What cannot be stored is refused in words; a worker that has finished waits for room with its outcome."""
    orch.environment["ORCH_STORE"] = str(small_disk / "store")
    orch.layout = Layout(small_disk / "store")
    wait = ["sh", "-c", "while [ ! -e go ]; do sleep 0.1; done"]
    orch("submit", "command", "--", *wait)
    worker = orch.worker(1).pid
    until(lambda: orch.job(1).state == "running", "the start")
    filler = (small_disk / "filler").open("wb", buffering=0)
    with contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))
    refused = orch.call("submit", "command", "--seeds", "300", "--", *wait)
    assert refused.returncode == 2, refused.stderr
    assert "make room" in refused.stderr and len(refused.stderr.strip().splitlines()) == 1
    orch.open_gate()
    time.sleep(2.0)
    assert alive(worker), "the worker keeps its outcome until there is room"
    filler.close()
    (small_disk / "filler").unlink()
    until(lambda: orch.job(1).state == "succeeded", "the result", 90)
    assert len(orch.attempts(1)) == 1
    assert len(orch.jobs()) == 1, "the refused submit left nothing"
    assert orch.json("submit", "command", "--seeds", "2", "--wait", "--", *wait)["created"] == [2]
    orch.check()


METRICS = """
import os, sys, time
with open(os.environ["ORCH_METRICS"], "a") as metrics:
    for epoch in (1, 2):
        metrics.write('{"epoch": %d, "epochs": 3, "loss": %d}\\n' % (epoch, 10 - epoch))
    metrics.write('no json at all\\n[1, 2]\\n{"epoch": 1e400}\\n{"epoch": 99999999999999999999, "loss": 1}\\n')
    metrics.write('{"epoch": 3, "loss": NaN}\\n{"epoch": 3, "epochs": 3, "loss": 7}\\n{"epoch": 4, "lo')
"""


def test_torn_and_odd_metrics_lines_are_skipped(orch: Orch) -> None:
    script(orch, "metrics.py", METRICS + GATE)
    orch("submit", "command", "--", PYTHON, "metrics.py", "{seed}")
    until(lambda: orch.starts(0), "the program")
    until(lambda: [run.epoch for run in orch.executions(1)] == [3], "the third epoch")
    (folder,) = orch.layout.executions(1, 1)
    with (folder / "metrics.jsonl").open("a") as torn:
        torn.write('{"epoch": 4, "at": "20')
    os.kill(orch.worker(1).pid, signal.SIGKILL)
    orch.open_gate()
    orch.finish()
    first, second = orch.executions(1)
    assert (first.epoch, second.epoch, first.cause, second.cause) == (3, 3, "killed", "success")
    numbers = orch.rows(f"SELECT epoch, name, value FROM metric WHERE execution_id = {second.id} ORDER BY epoch, name")
    assert numbers == [(1, "loss", 9.0), (2, "loss", 8.0), (3, "loss", 7.0)]
    assert "no JSON object" in (orch.layout.executions(1, 2)[0] / "stderr").read_text()


def test_a_truncated_checkpoint_is_passed_over(orch: Orch) -> None:
    """Demo training, killed, its newest checkpoint torn: it goes on from the one before."""
    few = ["--set", "epochs=4", "--set", "train_images=64"]
    orch("submit", "random-baseline", "--checkpoint-every", "0", "--shortcuts", "2", *few)
    saved = orch.layout.attempt(1, 1)
    until(lambda: len(list(saved.glob("*/checkpoints/step-*.json"))) >= 2, "two checkpoints")
    os.kill(orch.worker(1).pid, signal.SIGKILL)
    newest = max(saved.glob("*/checkpoints/step-*.pt"))
    newest.write_bytes(newest.read_bytes()[:1000])
    orch.finish()
    killed, resumed = orch.executions(1)
    assert (killed.cause, resumed.cause) == ("killed", "success")
    folder = orch.layout.executions(1, 2)[0]
    assert f"skipped checkpoint {newest}" in (folder / "stderr").read_text()
    ready = read_json(folder / "ready.json", Ready)
    assert ready is not None and 0 < ready.checkpoint_step < int(newest.stem[5:])
    epochs = orch.rows(f"SELECT DISTINCT epoch FROM metric WHERE execution_id = {resumed.id} ORDER BY epoch")
    assert epochs == [(1,), (2,), (3,), (4,)], "with the history that the checkpoint carried"


def test_pain_12_local_multi_gpu_queues(orch: Orch) -> None:
    """With CUDA_VISIBLE_DEVICES=2,3 four jobs queue on the two GPUs that were given, and see one each."""
    script(orch, "gpu.py", GATE.replace("90 + int(seed)", "int(os.environ['CUDA_VISIBLE_DEVICES'])"))
    orch.environment["CUDA_VISIBLE_DEVICES"] = "2,3"
    orch("submit", "command", "--gpus", "1", "--seeds", "4", "--", PYTHON, "gpu.py", "{seed}")
    until(lambda: orch.starts(0) and orch.starts(1), "two programs")
    until(lambda: orch.states() == ["running", "running", "queued", "queued"], "two running")
    seen = [Path(f"/proc/{orch.starts(seed)[0]}/environ").read_bytes().split(b"\0") for seed in (0, 1)]
    assert {item for one in seen for item in one if item.startswith(b"CUDA_VISIBLE")} == {
        b"CUDA_VISIBLE_DEVICES=2",
        b"CUDA_VISIBLE_DEVICES=3",
    }
    orch.open_gate(0)
    until(lambda: orch.starts(2), "the third program, in the free slot")
    assert not orch.starts(3)
    orch.open_gate()
    orch.finish()
    gpus = [job["metrics"]["accuracy"] for job in orch.json("status")["jobs"]]
    assert set(gpus) == {2, 3} and gpus[2] == gpus[0]


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
    orch("submit", "command", "--no-start", "--set", "stop_signal=USR1", "--", PYTHON, "mine.py")
    script(orch, "same.py", "")
    orch("submit", "command", "--no-start", "--", PYTHON, "same.py")
    with (orch.folder / "mine.py").open("a") as changed:
        changed.write("# another line\n")
    orch("submit", "command", "--seed-list", "1", "--", PYTHON, "same.py")
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


def test_pain_15_mean_std_over_seeds(orch: Orch) -> None:
    """The mean, the sample standard deviation and n, by one command, and never over an unfinished seed."""
    orch.submit_gate(3)
    for seed in (0, 1):
        orch.open_gate(seed)
    until(lambda: orch.states()[:2] == ["succeeded"] * 2, "two results")
    (row,) = orch.json("table", "--by", "kind", "--metric", "accuracy")["rows"]
    assert (row["n"], row["expected"]) == (2, 3)
    orch.open_gate()
    orch.finish()
    (row,) = orch.json("table", "--by", "kind", "--metric", "accuracy")["rows"]
    assert (row["n"], row["expected"]) == (3, 3)
    assert (row["metrics"]["accuracy"]["mean"], row["metrics"]["accuracy"]["std"]) == (91.0, 1.0)


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
