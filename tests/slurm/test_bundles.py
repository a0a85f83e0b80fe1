"""Bundles on a real SLURM: many jobs in one task, each with its own attempt, cause, checkpoints and end."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import psutil

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


def submit(orch: Lab, seeds: str, bundle: int, *more: str) -> list[int]:
    (orch.folder / "train.py").write_text(PROGRAM)
    words = ("--bundle", str(bundle), "--no-canary", "--time", "60", "--mem", "300M", "--seed-list", seeds)
    return orch.submit("command", *words, *more, "--", *WORDS)


def tasks(orch: Lab) -> list[tuple[str, int]]:
    """(id, how many) of what SLURM was given."""
    return [(str(native), int(size)) for native, size in orch.query("SELECT native_id, size FROM submission")]


def saved(orch: Lab, job: int) -> int:
    """The epoch of its newest checkpoint; 0 without."""
    found = orch.layout.job(job).glob("*/e*/checkpoints/state.json")
    return max((int(json.loads(path.read_text())) for path in found), default=0)


def test_many_jobs_in_one_task_each_with_its_own_end(cluster: Cluster, tmp_path: Path) -> None:
    with lab(tmp_path / "w", cluster) as orch:
        jobs = submit(orch, "0,1,2,3,4,5,6,7,8,9,10,11", 3)
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
        jobs = submit(orch, "0,1,2,3,4,5,6,7,8,9,10,11", 2, "--exclude", "node2,node3,node4")
        seeds = {entry["seed"]: job for job, entry in orch.jobs().items()}
        orch.running(seeds[0])
        orch.until(lambda: orch.states()["running"] >= 2, what="two at a time")
        waiting = next(job for job, entry in sorted(orch.jobs().items()) if entry["state"] == "submitted")
        told = orch.orch("explain", str(waiting))
        assert "in the list of job" in told or "with others in one task" in told, told
        running = next(job for job, entry in orch.jobs().items() if entry["state"] == "running")
        orch.orch("cancel", str(running), str(waiting))
        orch.until(lambda: orch.runs(running)[-1].ending == "interrupted", what="the one that ran was told")
        (orch.folder / "go").touch()
        orch.wait()
        assert orch.states() == {"succeeded": 10, "cancelled": 2}, "seed 2, which fails, was the one that waited"
        assert orch.runs(waiting) == [], "a cancelled one was never begun"
        assert len({run.started.slurm_job for job in jobs for run in orch.runs(job)}) <= 4


def test_a_dead_node_takes_all_of_them_once_and_a_warned_task_goes_on_without_orch(
    cluster: Cluster, tmp_path: Path
) -> None:
    with lab(tmp_path / "w", cluster) as orch:
        jobs = submit(orch, "0,1,3,4,5,6,7,8,9,10", 2, "--cpus", "2")
        seeds = {entry["seed"]: job for job, entry in orch.jobs().items()}
        struck, warned = seeds[0], seeds[10]
        for job in (struck, warned):
            orch.running(job)
            orch.until(lambda job=job: saved(orch, job) == 2, what="two epochs")
        assert orch.runs(struck)[0].node != orch.runs(warned)[0].node
        dead = orch.runs(struck)[0].node
        orch.power_cut(dead)
        orch.until(lambda: orch.strikes()[dead], timeout=90, what="the node is struck")
        orch.running(struck, 2)
        assert orch.strikes() == {dead: 1}, "one death of a node is one strike, however many jobs it takes along"
        orch.kill_supervisor()
        task = orch.runs(warned)[0].started.slurm_job
        assert task is not None
        orch.cluster.run("scancel", "--signal=USR2", task, check=False)  # 22.05 sends it, and ends with 229 in silence
        orch.running(warned, 2)
        assert orch.runs(warned)[0].ending == "interrupted"
        (orch.folder / "go").touch()
        for job in jobs:
            orch.until(
                lambda job=job: any(run.ending == "success" for run in orch.runs(job)), timeout=120, what=f"{job}"
            )
        assert orch.states()["succeeded"] == 0, "somebody looked"
        orch.wait(timeout=120)
        orch.check_each_once(10)
        for job in jobs:
            runs = orch.runs(job)
            assert {run.started.attempt for run in runs} == {1}, "SLURM began them again, in one attempt each"
            assert sum(run.ending == "success" for run in runs) == 1
        assert len(orch.runs(warned)) == 2, "begun again once"


def test_a_killed_runner_costs_those_alone_that_it_ran(cluster: Cluster, tmp_path: Path) -> None:
    with lab(tmp_path / "w", cluster) as orch:
        submit(orch, "0,1,3,4,5,6,7,8", 2, "--exclude", "node2,node3,node4", "--sbatch", "no-requeue")
        seeds = {entry["seed"]: job for job, entry in orch.jobs().items()}
        ran = orch.running(seeds[0])
        orch.until(lambda: saved(orch, seeds[0]) == 2 and saved(orch, seeds[1]) == 2, what="two epochs of both")
        os.kill(psutil.Process(ran.started.pid).ppid(), signal.SIGKILL)
        (orch.folder / "go").touch()
        orch.wait(timeout=120)
        orch.check_each_once(8)
        causes = dict(orch.query("SELECT job_id, cause FROM attempt WHERE number = 1"))
        assert causes[seeds[0]] == causes[seeds[1]] == "killed"
        for seed in (0, 1):
            assert orch.runs(seeds[seed])[-1].started.attempt == 2
