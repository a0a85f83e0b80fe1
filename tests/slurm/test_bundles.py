"""Bundles on a real SLURM: many jobs in one task, each with its own attempt, cause, checkpoints and end."""

from __future__ import annotations

import sys
from pathlib import Path

from slurm.testcluster import Cluster
from tests.slurm.lab import Lab, lab

PROGRAM = """
import json, os, pathlib, sys, time
seed, folder = int(sys.argv[1]), pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"])
here = pathlib.Path(os.environ["ORCH_WORKDIR"])
state = folder / "state.json"
epoch = json.loads(state.read_text()) if state.exists() else 0
if seed == 2:
    sys.exit("seed 2 never works")
while epoch < 4:
    while epoch >= 2 and not (here / f"go{seed}").exists() and not (here / "go").exists():
        time.sleep(0.05)
    epoch += 1
    (folder / "draft").write_text(json.dumps(epoch))
    (folder / "draft").rename(state)
pathlib.Path(os.environ["ORCH_RESULT"]).write_text(json.dumps({"value": seed * 10 + epoch}))
"""
WORDS = (sys.executable, "train.py", "{seed}")


def submit(orch: Lab, seeds: int, bundle: int, *more: str) -> list[int]:
    (orch.folder / "train.py").write_text(PROGRAM)
    words = ("--bundle", str(bundle), "--no-canary", "--time", "60", "--mem", "300M", "--seeds", str(seeds))
    return orch.submit("command", *words, *more, "--", *WORDS)


def tasks(orch: Lab) -> list[tuple[str, int]]:
    """(id, how many) of what SLURM was given."""
    return [(str(native), int(size)) for native, size in orch.query("SELECT native_id, size FROM submission")]


def test_many_jobs_in_one_task_each_with_its_own_end(cluster: Cluster, tmp_path: Path) -> None:
    with lab(tmp_path / "w", cluster) as orch:
        jobs = submit(orch, 12, 3)
        first = orch.running(jobs[0])
        [(native, size)] = tasks(orch)
        assert size == 12
        said = orch.cluster.run("squeue", "-r", "-h", "-j", native, "-o", "%i %T %C %m").stdout.splitlines()
        assert len(said) == 4 and all(line.split()[2:] == ["3", "900M"] for line in said), "three shares a task"
        orch.until(lambda: orch.states()["running"] == 11, what="all but the one that fails run")
        failed = next(job for job in jobs if orch.jobs()[job]["seed"] == 2)
        orch.until(lambda: orch.jobs()[failed]["state"] == "failed", what="its own error is its own")
        assert "seed 2 never works" in orch.orch("show", str(failed))
        told = orch.orch("explain", str(jobs[0]))
        assert "runs" in told, told
        (orch.folder / "go").touch()
        orch.wait(code=1)
        assert orch.states() == {"succeeded": 11, "failed": 1}
        for job in jobs:
            assert job == failed or len(orch.runs(job)) == 1, "nobody else was begun again"
        assert first.started.slurm_job is not None and first.started.slurm_job.startswith(f"{native}_")


def test_the_next_one_begins_in_the_same_task_and_one_is_cancelled_alone(cluster: Cluster, tmp_path: Path) -> None:
    with lab(tmp_path / "w", cluster) as orch:
        jobs = submit(orch, 12, 2, "--exclude", "node2,node3,node4")
        seeds = {entry["seed"]: job for job, entry in orch.jobs().items()}
        orch.running(seeds[0])
        orch.until(lambda: orch.states()["running"] >= 2, what="two at a time")
        waiting = next(job for job, entry in sorted(orch.jobs().items()) if entry["state"] == "submitted")
        told = orch.orch("explain", str(waiting))
        assert "its turn comes in job" in told or "with others in one task" in told, told
        running = next(job for job, entry in orch.jobs().items() if entry["state"] == "running")
        orch.orch("cancel", str(running), str(waiting))
        orch.until(lambda: orch.runs(running)[-1].ending == "interrupted", what="the one that ran was told")
        (orch.folder / "go").touch()
        orch.wait()
        assert orch.states() == {"succeeded": 10, "cancelled": 2}, "seed 2, which fails, was the one that waited"
        assert orch.runs(waiting) == [], "a cancelled one was never begun"
        assert len({run.started.slurm_job for job in jobs for run in orch.runs(job)}) <= 4
