"""A change of mind about jobs that wait in SLURM's queue: what the PROGRAM sees afterwards, whatever squeue shows."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slurm.testcluster import Cluster
from tests.slurm.lab import Lab, lab

LOOK = """
import json, os, pathlib, signal, subprocess, sys, time
seed, here = sys.argv[1], pathlib.Path(os.environ["ORCH_WORKDIR"])
mine = [os.environ.get(name) for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")]
mine = "_".join(mine) if all(mine) else os.environ["SLURM_JOB_ID"]  # an array's id alone shows all its tasks
shown = subprocess.run(["scontrol", "show", "job", "-d", mine], capture_output=True, text=True)
words = dict(word.split("=", 1) for word in shown.stdout.split() if "=" in word)
seen = {name: value for name, value in os.environ.items() if name.startswith(("SLURM_", "CUDA_VISIBLE", "COLOUR"))}
seen |= {"limit": words["TimeLimit"], "nice": words["Nice"], "cores": len(os.sched_getaffinity(0))}
number = len(list(here.glob(f"seen-{seed}-*")))
(here / f".{seed}").write_text(json.dumps(seen))
(here / f".{seed}").rename(here / f"seen-{seed}-{number}")
if seed == "8" and number == 0:
    checkpoint = pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"]) / "step"
    signal.signal(signal.SIGTERM, lambda *_: (checkpoint.write_text("7"), sys.exit(0)))
    time.sleep(120)
if seed == "8":
    assert (pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"]) / "step").read_text() == "7"
"""
SCONTROL = """#!/bin/sh
HERE/real/scontrol "$@"
code=$?
if [ "$1" = update ] && [ -e HERE/kill ]; then rm HERE/kill; touch HERE/killed; kill -9 $PPID; fi
exit $code
"""
"""The supervisor dies when SLURM has changed what it was told to change, and the journal does not know it yet."""
PARTITIONS = ("main", "abrupt", "cancel")


class Waiting(Lab):
    """A lab whose partitions start nothing until they are opened."""

    def close_partitions(self, state: str = "DOWN") -> None:
        for name in PARTITIONS:
            self.cluster.run("scontrol", "update", f"PartitionName={name}", f"State={state}")

    def start_jobs(self, *words: str) -> list[int]:
        return self.submit("command", *words, "--", sys.executable, "look.py", "{seed}")

    def pending(self, number: int) -> None:
        found = "SELECT count(*) FROM attempt WHERE state = 'submitted' AND phase = 'pending'"
        self.until(lambda: self.query(found) == [(number,)], what=f"{number} attempts pending")

    def altered(self, *jobs: int) -> list[dict[str, Any]]:
        """What was changed in the queue of the first attempts of these jobs, once it was."""
        sql = (
            f"SELECT altered FROM attempt WHERE number = 1 AND job_id IN ({','.join('?' * len(jobs))}) ORDER BY job_id"
        )
        self.until(lambda: all(row[0] for row in self.query(sql, *jobs)), what=f"jobs {jobs} changed in the queue")
        return [json.loads(row[0]) for row in self.query(sql, *jobs)]

    def attempts(self, job: int) -> list[tuple[Any, ...]]:
        """(number, cause, native id) of a job's attempts."""
        sql = "SELECT a.number, a.cause, s.native_id FROM attempt a JOIN submission s USING (token) WHERE a.job_id = ?"
        return self.query(f"{sql} ORDER BY 1", job)

    def seen(self, seed: int, start: int = 0) -> dict[str, Any]:
        path = self.folder / f"seen-{seed}-{start}"
        self.until(path.exists, 90, f"what the program of seed {seed} saw in its start {start}")
        return dict(json.loads(path.read_text()))


@pytest.fixture
def waiting(cluster: Cluster, tmp_path: Path) -> Iterator[Waiting]:
    with lab(tmp_path / "w", cluster) as plain:
        made = Waiting(tmp_path / "w", cluster)
        (made.folder / "look.py").write_text(LOOK)
        made.close_partitions()
        try:
            yield made
        finally:
            made.close_partitions("UP")
            plain.close()


def test_what_waits_is_changed_in_place_or_sent_again_and_the_program_sees_it(waiting: Waiting) -> None:
    base = ("--cpus", "2", "--mem", "300M", "--time", "30", "--gpus", "1")
    assert waiting.start_jobs("--seeds", "5", *base) == [1, 2, 3, 4, 5]
    waiting.pending(5)
    array = waiting.attempts(1)[0][2]
    said = waiting.orch("set", "1", "--time", "50", "--mem", "450M", "--cpus", "4", "--partition", "abrupt")
    assert "job 1 in SLURM's queue: changed there" in said
    waiting.orch("set", "2", "--cpus", "1")
    waiting.orch("set", "3", "--priority", "5")
    waiting.orch("set", "4", "--gpus", "0")
    waiting.orch("set", "4", "--gpus", "0")  # once more: nothing changes
    first, second = waiting.altered(1, 2)
    assert first | {"nice": 0} == {"minutes": 50, "memory_mb": 450, "cpus": 4, "partition": "abrupt", "nice": 0}
    assert second["cpus"] == 1
    waiting.until(lambda: len(waiting.attempts(4)) == 2, what="job 4 sent again")
    nices = "SELECT job_id, nice FROM attempt WHERE state = 'submitted'"
    behind = {1: 500, 2: 500, 3: 0, 4: 500, 5: 500}
    waiting.until(lambda: dict(waiting.query(nices)) == behind, what="the others step back behind job 3")
    waiting.close_partitions("UP")
    one, two, three, four, five = (waiting.seen(seed) for seed in range(5))
    assert (one["limit"], one["SLURM_MEM_PER_NODE"], one["SLURM_JOB_PARTITION"]) == ("00:50:00", "450", "abrupt")
    for seen, cpus in ((one, "4"), (two, "1"), (three, "2"), (five, "2")):
        assert seen["SLURM_CPUS_PER_TASK"] == seen["SLURM_CPUS_ON_NODE"] == cpus and seen["CUDA_VISIBLE_DEVICES"]
        assert seen["SLURM_STEP_ID"] == "0", "under srun"
    assert [seen["nice"] for seen in (one, two, three, four, five)] == ["500", "500", "0", "500", "500"]
    assert "SLURM_JOB_GPUS" not in four and not four.get("CUDA_VISIBLE_DEVICES")
    shown = json.loads(waiting.orch("show", "1", "--json"))["sent"]
    assert shown["resources"]["minutes"] == 50 and shown["options"]["slurm"]["partition"] == "abrupt"
    waiting.wait()
    waiting.check_each_once(5)
    for job in (1, 2, 3, 5):
        assert waiting.attempts(job) == [(1, "success", array)], "never sent again"
    assert [row[:2] for row in waiting.attempts(4)] == [(1, "cancelled"), (2, "success")] and not waiting.strikes()
    before = waiting.query("SELECT job_id, number, cause, nice, altered FROM attempt ORDER BY 1, 2")
    waiting.orch("supervise", "--stop", code=None)  # where it has not left by itself
    waiting.orch("rebuild")
    assert waiting.query("SELECT job_id, number, cause, nice, altered FROM attempt ORDER BY 1, 2") == before


def test_a_supervisor_that_dies_between_the_change_and_its_entry_is_found_out(waiting: Waiting) -> None:
    here = waiting.folder
    (here / "real").mkdir()
    real = waiting.cluster.run("sh", "-c", "command -v scontrol").stdout.strip()
    (here / "real" / "scontrol").symlink_to(real)
    (here / "bin").mkdir()
    (here / "bin" / "scontrol").write_text(SCONTROL.replace("HERE", str(here)))
    (here / "bin" / "scontrol").chmod(0o755)
    waiting.env["PATH"] = f"{here / 'bin'}:{waiting.env['PATH']}"
    (here / "orch.toml").write_text('[slurm]\nsetup = ["export COLOUR=red"]\n')
    waiting.start_jobs("--seed-list", "6,7,8", "--cpus", "1", "--mem", "300M", "--time", "30")
    waiting.pending(3)
    (here / "kill").touch()
    waiting.orch("set", "1", "--cpus", "2", "--time", "40")
    waiting.until((here / "killed").exists, what="the supervisor's death")
    (here / "killed").unlink()
    assert waiting.query("SELECT altered FROM attempt WHERE job_id = 1") == [(None,)]
    waiting.orch("cancel", "2")  # any command that changes something starts the next one
    assert waiting.altered(1) == [{"minutes": 40, "cpus": 2}]
    (here / "kill").touch()
    waiting.orch("set", "3", "--time", "45")
    waiting.until((here / "killed").exists, what="the second death")
    waiting.close_partitions("UP")
    first = waiting.seen(8)
    assert first["limit"] == "00:45:00", "it began before anybody wrote that down"
    (here / "orch.toml").write_text('[slurm]\nsetup = ["export COLOUR=blue"]\n')
    waiting.orch("set", "3", "--time", "55", "--now")
    again = waiting.seen(8, 1)
    assert again["limit"] == "00:55:00" and (first["COLOUR"], again["COLOUR"]) == ("red", "blue")
    assert waiting.seen(6)["SLURM_CPUS_ON_NODE"] == "2" and waiting.seen(6)["limit"] == "00:40:00"
    waiting.wait()
    assert waiting.states() == {"succeeded": 2, "cancelled": 1}, waiting.story()
    assert [row[:2] for row in waiting.attempts(3)] == [(1, "cancelled"), (2, "success")] and not waiting.strikes()
