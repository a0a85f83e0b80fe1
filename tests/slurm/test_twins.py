"""slurmd alone dies: its jobs carry on unseen while SLURM starts them again elsewhere. One result counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slurm.conftest import NewCluster
from tests.slurm.lab import lab

PROGRAM = """
import json, os, sys, time
for epoch in range(1, int(sys.argv[1]) + 1):
    time.sleep(1)
    with open(os.environ["ORCH_METRICS"], "a") as file:
        file.write(json.dumps({"epoch": epoch, "pid": os.getpid()}) + "\\n")
"""
LONG, SHORT = 36, 8
"""Seconds: SLURM notices the silence after about 15, and starts the jobs anew 6 later at the most."""


def twins(new_cluster: NewCluster, folder: Path) -> None:
    with new_cluster(nodes=3) as cluster, lab(folder, cluster) as orch:
        (folder / "program.py").write_text(PROGRAM)
        [long] = orch.submit("command", "--mem", "200M", "--", "python", "program.py", str(LONG))
        [short] = orch.submit("command", "--mem", "200M", "--", "python", "program.py", str(SHORT))
        for job in (long, short):
            orch.until(lambda job=job: orch.metric_lines(orch.running(job)))
        for node in {orch.running(job).node for job in (long, short)}:
            cluster.kill_node(node, jobs=False)
        orch.running(long, executions=2)
        orch.wait()
        orch.check_each_once(2)

        orphan, second = orch.until(
            lambda: [run for run in orch.runs(long) if run.outcome and len(orch.runs(long)) == 2]
        )
        assert orphan.outcome is not None and orphan.node != second.node
        assert orphan.outcome.at > second.started.at, "they did not run together"
        assert orphan.outcome.superseded, "nobody could reach it, so it looked for itself"
        assert orch.query("SELECT superseded FROM execution WHERE name = ?", orphan.folder.name) == [(1,)]
        assert orch.accepted(long) == second.folder.name
        assert orch.epochs(long) == list(range(1, LONG + 1))
        [(pids,)] = orch.query(
            "SELECT count(DISTINCT m.value) FROM metric m JOIN result r ON r.execution_id = m.execution_id "
            "WHERE m.name = 'pid' AND r.job_id = ?",
            long,
        )
        assert pids == 1, "numbers of both copies were mixed"

        # The other ended before SLURM noticed: its own result counts, and the copy that SLURM starts is ended.
        first, *copies = orch.runs(short)
        assert orch.accepted(short) == first.folder.name and orch.epochs(short) == list(range(1, SHORT + 1))
        assert all(copy.ending != "success" for copy in copies)
        assert not cluster.run("squeue", "-h", "-t", "pending,running").stdout.strip()


@pytest.mark.background(story=twins)
def test_two_copies_and_one_result(told: None) -> None:
    """All of it was asserted in the story."""
    assert told is None
