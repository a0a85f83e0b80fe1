"""What was submitted is what runs on a node too: the code and the environment that the PROGRAM finds there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from slurm.testcluster import Cluster
from tests.slurm.lab import Lab, lab

PROGRAM = """
import json, os, pathlib, sys, time
out = pathlib.Path(os.environ["ORCH_OUT"])
(out / "draft").write_text(json.dumps({"environ": dict(os.environ), "code": "submitted", "out": sys.argv[1]}))
(out / "draft").rename(out / "seen")
go = pathlib.Path(os.environ["ORCH_WORKDIR"]) / "go"
while not go.exists():
    time.sleep(0.05)
"""
SETUP = """[slurm]
setup = [
  'export FOO=setup ADDED=setup LAST=setup TZ=UTC',
  'export PATH="/of/setup:$PATH" OMP_NUM_THREADS=5 CUDA_VISIBLE_DEVICES=7 SLURM_CPUS_PER_TASK=77',
  'unset LC_ALL',
]
[env]
pass = ["FOO", "STAYS", "LAST"]
file = "SECRETS"
"""


def start(orch: Lab, environment: dict[str, str], *more: str) -> list[int]:
    """A submit from a shell of another environment than that of the supervisor."""
    words = ("command", *more, "--cpus", "2", "--mem", "300M", "--time", "10", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli.main", "submit", *words, "--", sys.executable, "look.py", "{out}"],
        cwd=orch.folder, env=environment, text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout)["created"])


def seen(orch: Lab, job: int, execution: int = 1) -> dict[str, Any]:
    """What the program of that execution found; it was told its folder as an argument and as a variable."""
    path = orch.running(job, execution).folder / "out" / "seen"
    orch.until(path.exists, what=f"what job {job} sees in its start {execution}")
    found = dict(json.loads(path.read_text()))
    assert found["out"] == found["environ"]["ORCH_OUT"] == str(path.parent)
    return found


def test_code_and_environment_on_a_node_are_those_of_the_submit(cluster: Cluster, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("WANDB_API_KEY=from the file\n")
    secrets.chmod(0o600)
    with lab(tmp_path / "w", cluster) as orch:
        (orch.folder / "orch.toml").write_text(SETUP.replace("SECRETS", str(secrets)))
        (orch.folder / "look.py").write_text(PROGRAM)
        for name in ("main", "abrupt", "cancel"):
            cluster.run("scontrol", "update", f"PartitionName={name}", "State=DOWN")
        orch.env |= {"STAYS": "shell of the supervisor", "TZ": "Asia/Tokyo", "STRAY": "x", "LC_ALL": "C"}
        orch.env |= {"MKL_NUM_THREADS": "1"}
        mine = orch.env | {
            "FOO": "submit", "STAYS": "submit", "LAST": "submit", "TZ": "Europe/Paris", "LC_ALL": "C.UTF-8",
            "PATH": f"/of/submit{os.pathsep}{orch.env['PATH']}", "OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3",
            "CUDA_VISIBLE_DEVICES": "9", "SLURM_CPUS_PER_TASK": "99",
        }  # fmt: skip
        mine.pop("STRAY")
        (first,) = start(orch, mine, "--no-start", "--gpus", "1", "--env", "LAST=given")
        (bare,) = start(
            orch, mine, "--no-start", "--sbatch", "export=NONE", "--env", "OMP_NUM_THREADS=4", "--seed-list", "1"
        )
        supervisor = orch.start("supervise", "--until-idle")
        waiting = "SELECT count(*) FROM attempt WHERE state = 'submitted' AND phase = 'pending'"
        orch.until(lambda: orch.query(waiting) == [(2,)], what="both wait in SLURM's queue")
        (orch.folder / "look.py").write_text(PROGRAM.replace("submitted", "edited while it waited"))
        for name in ("main", "abrupt", "cancel"):
            cluster.run("scontrol", "update", f"PartitionName={name}", "State=UP")

        one, none = seen(orch, first), seen(orch, bare)
        assert one["code"] == none["code"] == "submitted"
        for found in (one["environ"], none["environ"]):
            assert {name: found.get(name) for name in ("FOO", "ADDED", "STAYS", "TZ")} == {
                "FOO": "setup", "ADDED": "setup", "STAYS": "submit", "TZ": "UTC",
            }  # fmt: skip
            assert found["PATH"] == f"/of/setup:{mine['PATH']}", "what setup added, to what was kept"
            assert found["SLURM_CPUS_PER_TASK"] == found["SLURM_CPUS_ON_NODE"] == "2"
            assert found["WANDB_API_KEY"] == "from the file" and found["MKL_NUM_THREADS"] == "3"
            assert "STRAY" not in found and "ORCH_BEFORE_SETUP" not in found
        assert (one["environ"]["LAST"], none["environ"]["LAST"]) == ("given", "setup")
        assert (one["environ"]["OMP_NUM_THREADS"], none["environ"]["OMP_NUM_THREADS"]) == ("5", "4")
        assert one["environ"]["CUDA_VISIBLE_DEVICES"] in "0123", "the GPU that SLURM gave"
        assert "LC_ALL" not in one["environ"], "setup took it away"
        stored = [path for path in orch.layout.root.rglob("*") if path.is_file() and path.name != "seen"]
        assert not [path for path in stored if b"from the file" in path.read_bytes()], "a secret is written nowhere"

        before = orch.running(first)
        (orch.folder / "look.py").write_text("raise SystemExit('edited while it ran')")
        orch.power_cut(before.node)
        again = seen(orch, first, 2)
        after = orch.running(first, 2)
        assert again["code"] == "submitted" and after.node != before.node
        assert after.started.slurm_job == before.started.slurm_job, "requeued by SLURM, not sent again"
        (orch.folder / "go").touch()
        orch.finish(supervisor)
        orch.check_each_once(2)
        codes = {json.loads((run.folder / "program.json").read_text())["code"] for run in (*orch.runs(first), before)}
        assert codes == {orch_code(orch, first)} == {orch_code(orch, bare)}, "one snapshot, for all three starts"


def orch_code(orch: Lab, job: int) -> str:
    return str(json.loads(orch.orch("show", str(job), "--json"))["program"]["snapshot"])
