"""Nodes that eat every job they are given are found out by their strikes, and the work goes on without them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from slurm.testcluster import Cluster
from tests.slurm.conftest import NewCluster
from tests.slurm.lab import Lab, lab

STRIKES, JOBS, FEW = 3, 40, 8
NO_SETUP, NO_DATA, KILLER = "node1", "node2", "node3"
PROGRAM = f"""
import os, signal, sys, time
node = os.environ["SLURMD_NODENAME"]
if node == "{NO_DATA}":
    open("/mnt/datasets/cifar10/data_batch_1")
if node == "{KILLER}":
    os.kill(os.getppid(), signal.SIGKILL)
time.sleep(2)
"""
MEMORY = ("--mem", "200M")


def three_black_holes(new_cluster: NewCluster, folder: Path) -> None:
    with new_cluster(nodes=8, cpus=1) as cluster, lab(folder, cluster, ORCH_STRIKES=str(STRIKES)) as orch:
        (folder / "orch.toml").write_text(f"[slurm]\nsetup = ['sleep 1; test \"$SLURMD_NODENAME\" != {NO_SETUP}']\n")
        (folder / "job.py").write_text(PROGRAM)
        jobs = orch.submit("command", "--seeds", str(JOBS), "--no-canary", *MEMORY, "--", "python", "job.py")
        bad = {NO_SETUP, NO_DATA, KILLER}
        seen: set[str] = set()
        orch.until(lambda: bad <= seen | excluded(cluster, seen), what="the exclusion of all three from what waits")
        orch.wait()
        orch.check_each_once(JOBS)

        assert set(orch.strikes()) == bad
        causes = dict.fromkeys(bad, "launch_failure") | {KILLER: "killed"}
        assert dict(orch.query("SELECT DISTINCT node, cause FROM node_health")) == causes
        assert {orch.runs(job)[-1].node for job in jobs} <= {f"node{number}" for number in range(4, 9)}
        for node in bad:
            late = last_start(cluster, node) - third_strike(orch, node)
            # SLURM may have begun one between two looks of orch, and tells whole seconds only.
            assert late < 8, f"{node} was given a job {late:.1f} s after its exclusion"


def excluded(cluster: Cluster, seen: set[str]) -> set[str]:
    """The nodes that all waiting tasks of the first array are kept off; put into `seen`."""
    words = ("squeue", "-h", "-r", "-j", "1", "-t", "PD", "-o", "%x")
    lines = cluster.run(*words, check=False).stdout.splitlines()
    each = [set(cluster.run("scontrol", "show", "hostnames", line.strip()).stdout.split()) for line in set(lines)]
    seen |= set.intersection(*each) if each else set()
    return seen


def third_strike(orch: Lab, node: str) -> float:
    times = [row[0] for row in orch.query("SELECT at FROM node_health WHERE node = ? ORDER BY at", node)]
    return datetime.fromisoformat(times[STRIKES - 1]).timestamp()


def last_start(cluster: Cluster, node: str) -> float:
    """When SLURM last started a job there."""
    command = ("sacct", "-a", "-X", "-n", "-P", "--duplicates", "-S", "now-1hour", "-N", node, "-o", "Start")
    texts = cluster.run(*command).stdout.split()
    return max(datetime.fromisoformat(text).timestamp() for text in texts if text[0].isdigit())


@pytest.mark.background(story=three_black_holes)
def test_three_black_holes_of_eight_nodes(told: None) -> None:
    """All of it was asserted in the story."""
    assert told is None


def test_all_nodes_are_bad(cluster: Cluster, tmp_path: Path) -> None:
    """It stops with a sentence, and is not busy with it; once the nodes are mended and cleared, the work goes on."""
    with lab(tmp_path, cluster, ORCH_STRIKES=str(STRIKES)) as orch:
        (tmp_path / "orch.toml").write_text("[slurm]\nsetup = ['test -e mended']\n")
        began = datetime.now(UTC)
        process = orch.start("submit", "command", "--seeds", str(FEW), *MEMORY, "--wait", "--", "true")
        output = orch.finish(process, code=1)
        assert output.count("nodes of") == 1, "only the partition that the jobs asked for"
        assert "all 4 nodes of 'main' are bad" in output and "launch_failure" in output and "orch nodes" in output
        assert orch.states() == {"queued": FEW}
        assert set(orch.strikes()) == set(cluster.nodes())

        sent = orch.query("SELECT count(*) FROM submission")
        time.sleep(4)
        assert orch.query("SELECT count(*) FROM submission") == sent, "it went on sending"
        assert "all 4 nodes of 'main' are bad" in orch.orch("status")
        assert "are bad" in orch.wait(code=1), "supervise --until-idle ends where nothing can move"

        (tmp_path / "mended").touch()
        orch.orch("nodes", "--clear-all")
        orch.wait()
        orch.check_each_once(FEW)
        assert (datetime.now(UTC) - began).total_seconds() < 150


def test_a_program_that_always_fails_is_no_black_hole(cluster: Cluster, tmp_path: Path) -> None:
    """Many seeds of a wrong program would strike every node; it fails with its own words, and no node is blamed."""
    with lab(tmp_path, cluster) as orch:
        program = ("sh", "-c", "echo boom $ORCH_SEED >&2; exit 3")
        words = ("--seeds", str(2 * FEW), "--no-canary", *MEMORY, "--wait", "--", *program)
        output = orch.orch("submit", "command", *words, code=1)
        assert "exit code 3: boom" in output
        assert orch.states() == {"failed": 2 * FEW} and orch.query("SELECT DISTINCT cause FROM job") == [("error",)]
        assert not orch.strikes()
