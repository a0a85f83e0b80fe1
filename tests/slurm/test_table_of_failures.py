"""Every row of the table of failures (docs/slurm.md), all at the same time on one cluster, each on nodes of its own.

Other files hold the rows that need the controller, a time limit or a preemption: test_controller.py,
test_time_limit.py and test_preemption.py; test_twins.py looks closer at the row of the dead slurmd, and
test_crash_points.py is without slurmdbd.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from slurm.testcluster import Cluster
from tests.slurm.conftest import NewCluster
from tests.slurm.lab import Lab, Run, lab

ROWS = (
    "undisturbed",
    "node_dies",
    "slurmd_dies",
    "slurmd_is_back",
    "steps_die",
    "set_down",
    "requeued",
    "held",
    "held_but_done",
    "worker_killed",
    "cancelled_by_hand",
)
"""Rows of one array. A job is a whole node, so that no row meets another."""

PROGRAM = """
import json, os, pathlib, signal, sys, time
row = sys.argv[1]
def done(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    json.dump({"pid": os.getpid()}, open(os.environ["ORCH_RESULT"], "w"))
    sys.exit(0)
if row == "held_but_done":
    signal.signal(signal.SIGTERM, done)
if row.startswith("memory"):
    block = bytearray(700_000_000)
    time.sleep(6)
while not pathlib.Path(os.environ["ORCH_WORKDIR"], "go").exists():
    time.sleep(0.2)
time.sleep({"slurmd_dies": 32, "steps_die": 32, "held_but_done": 60, "cancelled_by_hand": 60}.get(row, 1))
done()
"""
WHOLE_NODE = ("--cpus", "2", "--mem", "300M", "--time", "10")


class Table:
    """The jobs of all rows, what was done to them, and when."""

    def __init__(self, orch: Lab, cluster: Cluster) -> None:
        self.orch = orch
        self.cluster = cluster
        self.job: dict[str, int] = {}
        self.at: dict[str, float] = {}
        self.seen: dict[str, Any] = {}
        self.jobs: dict[int, dict[str, Any]] = {}
        """What `orch status` said in the end."""
        self.queue: list[str] = []
        """What SLURM had of them in the end."""

    def slurm_id(self, row: str) -> str:
        """Its id in SLURM, that of an array's task included."""
        return str(self.orch.running(self.job[row]).started.slurm_job)

    def runs(self, row: str) -> list[Run]:
        return self.orch.runs(self.job[row])

    def attempts(self, row: str) -> list[tuple[Any, ...]]:
        """(state, cause, node) of each, oldest first."""
        return self.orch.query("SELECT state, cause, node FROM attempt WHERE job_id = ? ORDER BY number", self.job[row])


def through_all(new_cluster: NewCluster, folder: Path) -> Table:
    """All rows have been through it: the jobs have ended."""
    # No node is taken out of use here, so that every row ends whatever the others do.
    with new_cluster(nodes=16, cpus=2, gpus=1) as cluster, lab(folder, cluster, ORCH_STRIKES="9") as orch:
        table = Table(orch, cluster)
        submit(table)
        disturb(table)
        orch.wait(code=1, timeout=150)
        left = "SELECT count(*) FROM attempt WHERE state != 'ended' OR doomed = 1"
        orch.until(lambda: orch.query(left) == [(0,)], what="the machines to be seen without them")
        table.jobs = orch.jobs()
        table.queue = cluster.run("squeue", "-h", "-r", "-t", "pending,running,completing", "-o", "%i").stdout.split()
        return table


def submit(table: Table) -> None:
    orch = table.orch
    (orch.folder / "job.py").write_text(PROGRAM)
    command = ("--", "python", "job.py")

    def one(row: str, *words: str) -> None:
        [table.job[row]] = orch.submit("command", *WHOLE_NODE, *words, *command, row)

    grid = ("--grid", "row=" + ",".join(ROWS))
    table.job.update(zip(ROWS, orch.submit("command", *WHOLE_NODE, *grid, *command, "{row}"), strict=True))
    waiting = orch.submit("command", *WHOLE_NODE, "--seeds", "3", "--sbatch", "begin=now+600", *command, "later")
    table.job.update(zip(("task_cancelled", "task_cancelled_by_hand", "task_left"), waiting, strict=True))
    one("not_requeued", "--sbatch", "no-requeue=true")
    one("memory")
    one("memory_raised", "--retry-oom-mem", "6", "--seed-list", "1")
    one("no_node_left", "--exclude", "node[1-16]")
    one("unknown_node", "--exclude", "nodeX")
    one("too_many_gpus", "--gpus", "9")


def disturb(table: Table) -> None:
    orch, cluster = table.orch, table.cluster
    for row in ROWS:
        orch.running(table.job[row], timeout=90)
    nodes = {row: orch.running(table.job[row]).node for row in ROWS}
    cluster.kill_node(nodes["node_dies"])
    cluster.kill_node(nodes["slurmd_dies"], jobs=False)
    cluster.kill_steps(nodes["steps_die"])
    cluster.kill_node(nodes["slurmd_is_back"], jobs=False)
    cluster.start_node(nodes["slurmd_is_back"])
    cluster.set_node_down(nodes["set_down"], "test")
    table.at["set_down"] = time.time()
    os.kill(orch.running(table.job["worker_killed"]).started.pid, signal.SIGKILL)
    cluster.run("scontrol", "requeue", table.slurm_id("requeued"))
    cluster.run("scontrol", "requeuehold", table.slurm_id("held"))
    cluster.run("scontrol", "requeuehold", table.slurm_id("held_but_done"))
    cluster.run("scancel", table.slurm_id("cancelled_by_hand"))
    cluster.set_node_down(orch.running(table.job["not_requeued"]).node, "test")
    (orch.folder / "go").touch()

    [(array,)] = orch.query(
        "SELECT native_id FROM submission s JOIN attempt a ON a.token = s.token WHERE a.job_id = ?",
        table.job["task_left"],
    )
    orch.orch("cancel", str(table.job["task_cancelled"]))
    cluster.run("scancel", f"{array}_1")
    held = table.job["held"]
    table.seen["held"] = orch.until(
        lambda: orch.query("SELECT reason FROM attempt WHERE job_id = ? AND phase = 'held'", held),
        what="the held job to be noticed",
    )
    cluster.run("scontrol", "release", table.slurm_id("held"))
    cluster.run("scontrol", "update", f"jobid={array}_2", "StartTime=now")
    # Whether the records get a row of the task that a person cancelled while it waited depends on when slurmdbd wrote
    # the array's own row: without one it is lost after a minute, and sent again.
    by_hand = table.job["task_cancelled_by_hand"]
    again = (
        "SELECT s.native_id FROM submission s JOIN attempt a ON a.token = s.token WHERE a.job_id = ? AND a.number = 2"
    )

    def settled() -> bool:
        sent_again = any(native for (native,) in orch.query(again, by_hand))
        return sent_again or table.attempts("task_cancelled_by_hand")[0][1] == "cancelled"

    orch.until(
        settled,
        timeout=120,
        what="the lost task to be sent again, or to be seen as cancelled",
    )
    for (native,) in orch.query(again, by_hand):
        cluster.run("scontrol", "update", f"jobid={native}", "StartTime=now")


pytestmark = pytest.mark.background(story=through_all)


@pytest.fixture
def table(told: Table) -> Table:
    return told


def succeeded(table: Table, row: str) -> list[Run]:
    """Its executions, after checking that the job has one result, of one of them."""
    runs = table.runs(row)
    assert table.jobs[table.job[row]]["state"] == "succeeded", table.jobs[table.job[row]]
    assert table.orch.accepted(table.job[row]) in [run.folder.name for run in runs if run.ending == "success"]
    return runs


def requeued(table: Table, row: str) -> tuple[Run, Run]:
    """Of a job that SLURM started again under the same id."""
    first, second = succeeded(table, row)
    assert first.started.slurm_job == second.started.slurm_job
    assert (first.started.restart, second.started.restart) == (0, 1)
    assert [state for state, _, _ in table.attempts(row)] == ["ended"]
    return first, second


def test_nothing_happens(table: Table) -> None:
    [run] = succeeded(table, "undisturbed")
    assert "_" in str(run.started.slurm_job), (
        "all rows are tasks of one array, and only those on a bad node are touched"
    )
    assert run.outcome and run.outcome.result == {"pid": run.outcome.result["pid"]}


def test_slurmd_steps_and_job_killed(table: Table) -> None:
    first, second = requeued(table, "node_dies")
    assert first.outcome is None and first.node != second.node
    assert table.orch.strikes()[first.node] == 1
    assert table.orch.query("SELECT cause FROM execution WHERE name = ?", first.folder.name) == [("node_failure",)]


def test_the_same_with_no_requeue(table: Table) -> None:
    first, second = succeeded(table, "not_requeued")
    assert [run.started.attempt for run in (first, second)] == [1, 2]
    assert [cause for _, cause, _ in table.attempts("not_requeued")] == ["node_failure", "success"]
    assert first.node != second.node


def test_only_slurmd_killed(table: Table) -> None:
    first, second = requeued(table, "slurmd_dies")
    assert first.outcome is not None and first.outcome.at > second.started.at, "they did not run together"
    assert first.node != second.node
    superseded = table.orch.query(
        "SELECT count(*) FROM execution WHERE job_id = ? AND superseded = 1", table.job["slurmd_dies"]
    )
    assert superseded == [(1,)]


def test_slurmd_back_within_two_seconds(table: Table) -> None:
    [run] = succeeded(table, "slurmd_is_back")
    assert not table.orch.strikes()[run.node]


def test_slurmstepd_killed(table: Table) -> None:
    """SLURM calls it NODE_FAIL though the node is healthy: one strike, which excludes nobody."""
    runs = succeeded(table, "steps_die")
    assert table.orch.strikes()[runs[0].node] <= 1
    assert len([run for run in runs if run.ending == "success"]) == 1


def test_node_set_down(table: Table) -> None:
    first, second = requeued(table, "set_down")
    assert first.node != second.node
    assert second.started.at.timestamp() - table.at["set_down"] < 30, "SLURM lets a requeued job wait for two minutes"


def test_scontrol_requeue(table: Table) -> None:
    first, _ = requeued(table, "requeued")
    assert first.ending == "interrupted"
    assert not table.orch.strikes()[first.node]


def test_scontrol_requeuehold(table: Table) -> None:
    requeued(table, "held")
    [(reason,)] = table.seen["held"]
    assert "scontrol release" in reason


def test_scontrol_requeuehold_of_a_job_that_had_its_result(table: Table) -> None:
    [run] = succeeded(table, "held_but_done")
    assert table.slurm_id("held_but_done") not in table.queue
    assert run.ending == "success"


def test_python_killed_by_sigkill(table: Table) -> None:
    succeeded(table, "worker_killed")
    assert [cause for _, cause, _ in table.attempts("worker_killed")] == ["killed", "success"]


def test_memory_limit_without_cgroups(table: Table) -> None:
    job = table.jobs[table.job["memory"]]
    assert (job["state"], job["cause"], job["attempts"]) == ("failed", "out_of_memory", 1)
    assert "300 MB" in job["error"] and "--mem" in job["error"]
    succeeded(table, "memory_raised")
    assert [cause for _, cause, _ in table.attempts("memory_raised")] == ["out_of_memory", "success"]


@pytest.mark.parametrize(
    ("row", "words"),
    [("no_node_left", "not available"), ("unknown_node", "Invalid node name"), ("too_many_gpus", "not available")],
)
def test_what_sbatch_refuses(table: Table, row: str, words: str) -> None:
    job = table.jobs[table.job[row]]
    assert (job["state"], job["attempts"], job["executions"]) == ("failed", 1, 0)
    assert words in job["error"]


def test_scancel_of_a_running_job(table: Table) -> None:
    assert table.jobs[table.job["cancelled_by_hand"]]["state"] == "cancelled"


def test_scancel_of_one_pending_array_task(table: Table) -> None:
    assert table.jobs[table.job["task_cancelled"]]["state"] == "cancelled" and not table.runs("task_cancelled")
    causes = [cause for _, cause, _ in table.attempts("task_cancelled_by_hand")]
    if causes == ["cancelled"]:
        assert table.jobs[table.job["task_cancelled_by_hand"]]["state"] == "cancelled"
        assert not table.runs("task_cancelled_by_hand")
    else:
        succeeded(table, "task_cancelled_by_hand")
        assert causes == ["lost", "success"]
    succeeded(table, "task_left")


def test_nothing_is_left(table: Table) -> None:
    assert not table.queue
    assert "Traceback" not in table.orch.supervisor_log()
