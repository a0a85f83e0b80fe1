"""Jobs in slices on a real SLURM: the pieces go on without orch, and all of them are one attempt."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from db.seals import Verdict
from db.store import Store
from orchestrator.mirroring.asking import settings_of
from orchestrator.rehearsal import sealing
from orchestrator.rehearsal.judgement import Overall
from orchestrator.submitting.request import Request
from slurm.testcluster import Cluster
from tests.slurm.lab import Lab, lab

PROGRAM = """
import json, os, pathlib, random, sys, time
folder = pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"])
state = folder / "state.json"
epoch, value = json.loads(state.read_text()) if state.exists() else [0, 0]
go = pathlib.Path(os.environ["ORCH_WORKDIR"]) / "go"
while epoch < int(sys.argv[2]):
    while epoch >= 3 and not go.exists():
        time.sleep(0.05)
    epoch, value = epoch + 1, (value * 1103515245 + 12345 + int(sys.argv[1])) % 2**31
    (folder / "draft").write_text(json.dumps([epoch, value]))
    (folder / "draft").rename(state)
pathlib.Path(os.environ["ORCH_RESULT"]).write_text(json.dumps({"value": value}))
"""
WORDS = (sys.executable, "train.py", "{seed}")


def value(seed: int, epochs: int) -> int:
    """What the program comes to when nobody disturbs it."""
    found = 0
    for _ in range(epochs):
        found = (found * 1103515245 + 12345 + seed) % 2**31
    return found


def sealed(orch: Lab, epochs: int) -> None:
    """The program is there, and holds the seal as a rehearsal would leave it."""
    (orch.folder / "train.py").write_text(PROGRAM)
    root = orch.layout.root
    argv = [*WORDS, str(epochs)]
    request = Request(
        kind="command", seeds=[0], study="default", preset="demo", values={"argv": argv}, backend="slurm",
        device="auto", data_dir=None, cwd=orch.folder,
    )  # fmt: skip
    named = sealing.named_of(root, settings_of(root), request)
    assert named is not None
    sealing.keep(Store(root, create=True), named, Overall(verdict=Verdict.BIT_IDENTICAL), {"kill": 5}, ())


def submit(orch: Lab, seeds: str, epochs: int) -> list[int]:
    more = ("--slices", "10m", "--time", "60", "--mem", "300M", "--seed-list", seeds)
    return orch.submit("command", *more, "--", *WORDS, str(epochs))


def pieces(orch: Lab, job: int) -> tuple[str, list[str]]:
    """SLURM's id of the array, and the states of its tasks that are not over."""
    [(native,)] = orch.query("SELECT native_id FROM submission s JOIN attempt a USING (token) WHERE job_id = ?", job)
    said = orch.cluster.run("squeue", "-r", "-h", "-j", native, "-o", "%T", check=False).stdout.split()
    return native, [state for state in said if state not in ("COMPLETED", "CANCELLED", "FAILED", "NODE_FAIL")]


def saved(orch: Lab, job: int) -> int:
    """The epoch of its first checkpoint folder; 0 without."""
    found = list(orch.layout.attempt(job, 1).glob("e*/checkpoints/state.json"))
    return int(json.loads(found[0].read_text())[0]) if found else 0


def notice(orch: Lab, job: int) -> None:
    """The warning that SLURM sends before a piece's time limit, now."""
    native, _ = pieces(orch, job)
    [task] = orch.cluster.run("squeue", "-r", "-h", "-t", "RUNNING", "-j", native, "-o", "%i").stdout.split()
    orch.cluster.run("scancel", "--signal=USR2", task, check=False)  # 22.05 sends it, and ends with 229 in silence


def test_pieces_go_on_without_orch_over_a_dead_node_and_are_cancelled_together(
    cluster: Cluster, tmp_path: Path
) -> None:
    with lab(tmp_path / "w", cluster) as orch:
        said = orch.orch("submit", "command", "--slices", "1m", "--", "true", code=2)
        assert "--slices is for programs that are right after resuming" in said and "orch rehearse" in said
        sealed(orch, 6)
        warned, struck, dropped = submit(orch, "3,4,5", 6)
        for job in (warned, struck, dropped):
            orch.running(job)
            orch.until(lambda job=job: saved(orch, job) == 3, what="three epochs")
        assert len(pieces(orch, warned)[1]) == 9, "eight that are to follow wait"
        told = orch.orch("explain", str(warned))
        assert "in slices of 10 minutes: piece 1 of at most 9 runs" in told and "in one piece, sent now" in told, told

        orch.orch("cancel", str(dropped))
        orch.until(lambda: not pieces(orch, dropped)[1], what="the whole array is gone")

        notice(orch, warned)
        orch.running(warned, 2)
        first = orch.running(struck)
        orch.power_cut(first.node)
        orch.until(lambda: orch.strikes()[first.node], timeout=90, what="the node is struck")
        orch.kill_supervisor()
        (orch.folder / "go").touch()
        for job in (warned, struck):
            orch.until(lambda job=job: orch.runs(job)[-1].ending == "success", timeout=120, what=f"{job} ends")
        assert orch.states()["succeeded"] == 0, "somebody looked"
        ended = orch.runs(warned)[0].outcome
        assert ended is not None and ended.ending == "interrupted" and not ended.requeued
        orch.wait(timeout=90)
        for job, seed in ((warned, 3), (struck, 4)):
            runs = orch.runs(job)
            assert len(runs) >= 2 and {run.started.restart for run in runs} == {*range(len(runs))}
            assert {run.started.attempt for run in runs} == {1}, "all pieces are of one attempt"
            outcome = runs[-1].outcome
            assert outcome is not None and outcome.result == {"value": value(seed, 6)}, "other bits than in one piece"
            orch.until(lambda job=job: not pieces(orch, job)[1], what="surplus pieces are cancelled")
        [(state,)] = orch.query("SELECT state FROM job WHERE id = ?", dropped)
        assert state == "cancelled"
