"""One program as several processes, as a user types it: the example on two CPUs, and what makes no sense."""

from __future__ import annotations

import sys
from pathlib import Path

from jobs import launchers
from jobs.files import read_json
from jobs.node import ranks
from jobs.records import Manifest
from tests.helpers.cli import PYTHON, Orch

EXAMPLE = Path(__file__).parents[2] / "examples" / "ddp" / "train.py"
TWO = ("--launcher", "torchrun", "--ranks-per-node", "2")


def test_two_jobs_of_two_ranks_each_train_at_once_on_one_host(orch: Orch) -> None:
    """Real torchrun, gloo: no port is shared, each job has two of the four slots, and each is counted once."""
    orch.environment["ORCH_CPU_SLOTS"] = "4"
    (orch.folder / "train.py").write_text(EXAMPLE.read_text())
    argv = (PYTHON, "train.py", "--seed", "{seed}", "--epochs", "1")
    done = orch.call("submit", "command", "--seeds", "2", *TWO, "--wait", "--", *argv, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr + orch.log()
    orch.check()
    assert [len(orch.attempts(job)) for job in (1, 2)] == [1, 1]
    assert {attempt.slot for job in (1, 2) for attempt in orch.attempts(job)} == {"cpu:0/2", "cpu:1/2"}
    begun = [(run.started_at, run.ended_at) for job in (1, 2) for run in orch.executions(job)]
    assert max(first for first, _ in begun) < min(last for _, last in begun if last), "they did not run together"
    plans = [read_json(orch.layout.executions(job, 1)[0] / ranks.FOLDER / "plan.json", ranks.Plan) for job in (1, 2)]
    assert len({plan.id for plan in plans if plan}) == 2
    manifest = read_json(orch.layout.manifest(orch.attempts(1)[0].token), Manifest)
    assert manifest is not None and manifest.tasks[0].resources.cpus == 2
    assert manifest.tasks[0].resources.memory_mb == 4000, "each process needs what one would"
    lines = orch("logs", "1").splitlines()
    assert lines[0].startswith("epoch 1: ") and lines[0].endswith("on 2 ranks")
    assert orch.call("logs", "1", "--rank", "1").stdout == "", "rank 1 prints nothing"
    (row,) = orch.json("table", "--metric", "test_acc")["rows"]
    assert row["n"] == 2 and row["metrics"]["test_acc"]["mean"] > 25, "ten digits: a guess is right in 10 %"


def test_what_makes_no_sense_is_one_sentence(orch: Orch) -> None:
    program = ("--", sys.executable, "-c", "pass")
    for options, sentence in {
        ("--launcher", "foo"): "--launcher takes torchrun, or none (got 'foo')",
        ("--nodes", "2"): "--nodes 2 needs SLURM",
        ("--nodes", "0"): "Invalid value for '--nodes'",
    }.items():
        done = orch.call("submit", "command", *options, *program)
        assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not orch.layout.root.exists()
    orch("submit", "command", *TWO, "--no-start", *program)
    done = orch.call("set", "1", "--nodes", "2", "--no-start")
    assert done.returncode == 2 and "job 1: --nodes 2 needs SLURM" in done.stderr, done.stderr
    for change, count, cpus, memory in (
        (("--ranks-per-node", "3"), 3, 3, 6000),
        (("--mem", "9G"), 3, 3, 9 * 1024),
        (("--launcher", "none"), 1, 1, 9 * 1024),
    ):
        orch("set", "1", *change, "--no-start")
        launching = orch.job(1).launching
        assert launchers.ranks(launching.options, 0) == count
        assert (launching.resources.cpus, launching.resources.memory_mb) == (cpus, memory), "a share for each process"
