"""Pains of users of such tools that need a real SLURM; tests/e2e has the others."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from slurm.testcluster import Cluster
from tests.slurm.conftest import NewCluster
from tests.slurm.lab import Lab, lab

SMALL = ("--mem", "100M", "--time", "10")


def counting(orch: Lab) -> None:
    """From now on count this store's calls of SLURM's commands: a line in `calls` each."""
    folder = orch.folder / "bin"
    folder.mkdir()
    for name in ("squeue", "sacct", "sinfo", "sbatch", "scontrol", "scancel"):
        script = folder / name
        script.write_text(f'#!/bin/sh\necho {name} >> "{orch.folder}/calls"\nPATH=${{PATH#*:}}\nexec {name} "$@"\n')
        script.chmod(0o755)
    orch.env["PATH"] = f"{folder}:{orch.env['PATH']}"


def calls(orch: Lab) -> Counter[str]:
    path = orch.folder / "calls"
    return Counter(path.read_text().split()) if path.exists() else Counter()


def test_pain_01_a_node_dies_and_slurm_requeues_the_job_under_its_id(cluster: Cluster, tmp_path: Path) -> None:
    with lab(tmp_path, cluster) as orch:
        [job] = orch.submit("command", *SMALL, "--", "sleep", "5")
        first = orch.running(job)
        orch.power_cut(first.node)
        seen = set()
        while orch.states() != {"succeeded": 1}:
            seen |= set(orch.states())
            assert "failed" not in seen and "queued" not in seen, "NODE_FAIL was taken for the end"
            time.sleep(0.1)
        orch.wait()
        orch.check_each_once(1)
        first, second = orch.runs(job)
        assert first.started.slurm_job == second.started.slurm_job and first.node != second.node
        assert len(orch.query("SELECT * FROM attempt")) == 1


def test_pain_02_one_bad_node_does_not_eat_every_retry(cluster: Cluster, tmp_path: Path) -> None:
    """A single job whose first node is broken is tried on another one next, long before the node is excluded."""
    with lab(tmp_path, cluster) as orch:
        bad = tmp_path / "bad"
        (tmp_path / "orch.toml").write_text(
            f"[slurm]\nsetup = ['test -e {bad} || echo $SLURMD_NODENAME > {bad}', "
            f"'test $(cat {bad}) != $SLURMD_NODENAME']\n"
        )
        orch.submit("command", *SMALL, "--", "true")
        orch.wait()
        orch.check_each_once(1)
        causes = orch.query("SELECT cause FROM attempt ORDER BY number")
        assert causes == [("launch_failure",), ("success",)]
        assert orch.strikes() == {bad.read_text().strip(): 1}


def pain_03(new_cluster: NewCluster, folder: Path) -> None:
    """squeue forgets jobs and answers nonsense for a while, and sacct is off: the outcome files say how jobs ended."""
    with (
        new_cluster(nodes=1, accounting=False, extra_conf={"MinJobAge": 2}) as cluster,
        lab(folder, cluster) as orch,
    ):
        blind = folder / "blind"
        own = folder / "bin"
        own.mkdir()
        (own / "squeue").write_text(f'#!/bin/sh\nPATH=${{PATH#*:}}\ntest -e {blind} || exec squeue "$@"\n')
        (own / "squeue").chmod(0o755)
        orch.env["PATH"] = f"{own}:{orch.env['PATH']}"
        jobs = orch.submit("command", "--seeds", "3", *SMALL, "--", "sleep", "20")
        for job in jobs:
            orch.running(job)
        blind.touch()  # an empty answer, exit code 0
        looks = "SELECT min(absent) FROM attempt"
        orch.until(lambda: orch.query(looks)[0][0] > 3, what="four looks that find none of them")
        assert orch.states() == {"running": 3}, "absent is not dead"
        blind.unlink()
        orch.wait()
        orch.check_each_once(3)
        assert [len(orch.runs(job)) for job in jobs] == [1, 1, 1]


@pytest.mark.background(story=pain_03)
def test_pain_03_not_in_the_queue_is_neither_finished_nor_killed(told: None) -> None:
    """All of it was asserted in the story."""
    assert told is None


def pain_04(new_cluster: NewCluster, folder: Path) -> None:
    """Two clusters after one another give the same ids; results of the first are not taken for the second's."""
    for name, accounting in (("one", False), ("two", True)):
        with new_cluster(nodes=1, accounting=accounting) as cluster, lab(folder, cluster) as orch:
            if accounting:
                cluster.stop_accounting()
            orch.submit("command", "--name", name, "--seeds", "2", *SMALL, "--", "sh", "-c", "exit $ORCH_SEED", name)
            orch.wait(code=1)
            states = orch.query("SELECT state FROM job ORDER BY id DESC LIMIT 2")
            assert sorted(states) == [("failed",), ("succeeded",)]
            orch.kill_supervisor()
    natives = orch.query("SELECT native_id FROM submission")
    assert len(natives) == 2 and len(set(natives)) == 1, "the ids should be the same here"


@pytest.mark.background(story=pain_04)
def test_pain_04_sacct_is_off_or_down_and_ids_are_reused(told: None) -> None:
    """All of it was asserted in the story."""
    assert told is None


def test_pain_05_one_query_a_cycle_for_all_jobs(cluster: Cluster, tmp_path: Path) -> None:
    with lab(tmp_path, cluster, ORCH_POLL_SECONDS="2") as orch:
        counting(orch)
        jobs = orch.submit("command", "--seeds", "15", *SMALL, "--no-canary", "--", "sleep", "1")
        began = time.monotonic()
        orch.wait()
        seconds = time.monotonic() - began
        orch.check_each_once(len(jobs))
        asked = calls(orch)
        assert asked["sbatch"] == 1
        assert asked["squeue"] <= seconds / 2 + 4, f"{asked} in {seconds:.0f} s"
        assert asked["sacct"] == 0 and asked["scontrol"] + asked["sinfo"] + asked["scancel"] <= 3, asked


def test_pain_06_sbatch_fails_although_the_job_exists(cluster: Cluster, tmp_path: Path) -> None:
    with lab(tmp_path, cluster) as orch:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "sbatch").write_text(
            '#!/bin/sh\nPATH=${PATH#*:}\nsbatch "$@" > /dev/null\n'
            'echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2\nexit 1\n'
        )
        (folder / "sbatch").chmod(0o755)
        orch.env["PATH"] = f"{folder}:{orch.env['PATH']}"
        jobs = orch.submit("command", "--seeds", "3", *SMALL, "--", "sleep", "1")
        orch.wait()
        orch.check_each_once(3)
        assert [len(orch.runs(job)) for job in jobs] == [1, 1, 1]
        assert len(orch.query("SELECT * FROM submission")) == 1


def pain_07(new_cluster: NewCluster, folder: Path) -> None:
    """MaxArraySize 5 and at most 12 jobs in the queue: 26 jobs get through, and none fails."""
    with (
        new_cluster(
            nodes=2, accounting=False, extra_conf={"MaxArraySize": 5, "MaxJobCount": 12, "MinJobAge": 2}
        ) as cluster,
        lab(folder, cluster) as orch,
    ):
        orch.submit("command", "--seeds", "26", *SMALL, "--no-canary", "--", "true")
        most = 0
        process = orch.start("supervise", "--until-idle")
        while process.poll() is None:
            most = max(most, len(cluster.run("squeue", "-h", "-r", "-o", "%i", check=False).stdout.split()))
            time.sleep(0.5)
        orch.finish(process)
        orch.check_each_once(26)
        assert most <= 12
        sizes = [size for (size,) in orch.query("SELECT size FROM submission WHERE native_id IS NOT NULL")]
        assert max(sizes) <= 5 and sum(sizes) >= 26


@pytest.mark.background(story=pain_07)
def test_pain_07_array_and_submit_limits(told: None) -> None:
    """All of it was asserted in the story."""
    assert told is None


def test_pain_10_a_live_job_is_declared_dead_and_its_result_comes_after_all(cluster: Cluster, tmp_path: Path) -> None:
    """The worker cannot be reached for longer than it takes to give it up; what it brings then still counts."""
    with lab(tmp_path, cluster) as orch:
        (tmp_path / "orch.toml").write_text("[resubmission]\nbackoff_seconds = 120\n")
        del orch.env["ORCH_BACKOFF_SECONDS"]
        [job] = orch.submit("command", *SMALL, "--sbatch", "no-requeue=true", "--", "sleep", "14")
        first = orch.running(job)
        cluster.kill_node(first.node, jobs=False)
        cluster.set_node_down(first.node, "unreachable")
        orch.until(lambda: orch.states() == {"queued": 1}, what="giving it up")
        orch.until(lambda: orch.states() == {"succeeded": 1}, timeout=60, what="its late result")
        orch.wait()
        orch.check_each_once(1)
        [run] = orch.runs(job)
        assert orch.accepted(job) == run.folder.name
        assert json.loads(orch.orch("status", "--json"))["jobs"][0]["attempts"] == 1
