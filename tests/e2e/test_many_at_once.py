"""Many jobs, many submits: slots are kept busy, the store is waited for, every seed counts once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.helpers.cli import GATE, PYTHON, Orch, script, until


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
