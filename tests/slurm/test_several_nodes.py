"""torchrun on two nodes of a real cluster, over gloo: a node dies, and all go on together from their checkpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from jobs.files import read_json
from jobs.node import ranks
from jobs.words import Cause
from slurm.testcluster import Cluster
from tests.slurm.lab import lab

TRAIN = """
import json, os, pathlib, time
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
here, saved = pathlib.Path(os.environ["ORCH_WORKDIR"]), pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"]) / "state.json"
step, total = json.loads(saved.read_text()) if saved.exists() else (0, 0)
began_at = step
print(f"rank {rank} of {world} goes on from step {step}", flush=True)
while step < 6:
    part = torch.tensor([float(rank + 1)])
    dist.all_reduce(part)
    step, total = step + 1, total + int(part)
    with open(os.environ["ORCH_METRICS"], "a") as file:
        file.write(json.dumps({"epoch": step, "total": total}) + "\\n")
    if rank == 0:
        draft = saved.with_name("draft")
        draft.write_text(json.dumps([step, total]))
        draft.rename(saved)
    if step == 3 and began_at == 0:
        (here / f"three-{rank}").touch()
        time.sleep(600 * rank)
        dist.barrier()
with open(os.environ["ORCH_RESULT"], "w") as file:
    json.dump({"total": total, "began_at": began_at, "world": world}, file)
dist.destroy_process_group()
"""
"""Six steps that all ranks take together; the first execution stays at the third one, where rank 0 waits for rank 1."""


def test_a_node_that_dies_ends_all_ranks_and_they_go_on_together(cluster: Cluster, tmp_path: Path) -> None:
    with lab(tmp_path / "lab", cluster) as orch:
        (orch.folder / "train.py").write_text(TRAIN)
        several = ("--launcher", "torchrun", "--nodes", "2", "--ranks-per-node", "1", "--mem", "3G")
        (job,) = orch.submit("command", *several, "--", sys.executable, "train.py")
        first = orch.running(job)
        orch.until((orch.folder / "three-1").exists, timeout=120, what="three steps of both ranks")
        orch.until((orch.folder / "three-0").exists, what="rank 0's checkpoint")
        dead = orch.until(lambda: ranks.life(first.folder / ranks.FOLDER, 1), what="the second node")
        assert dead.node != first.node
        cluster.kill_node(dead.node)
        orch.wait()
        orch.check_each_once(1)

        before, after = orch.runs(job)
        assert before.outcome is not None and before.outcome.cause is Cause.NODE_FAILURE
        assert before.outcome.node == dead.node and dead.node in (before.outcome.error or "")
        assert before.started.attempt + 1 == after.started.attempt
        assert orch.strikes() == {dead.node: 1}
        assert after.outcome is not None
        assert after.outcome.result == {"total": 18, "began_at": 3, "world": 2}
        assert {one.code for one in ranks.ended(after.folder / ranks.FOLDER).values()} == {0}
        plans = [read_json(run.folder / ranks.FOLDER / "plan.json", ranks.Plan) for run in (before, after)]
        assert len({plan.id for plan in plans if plan is not None}) == 2, "an orphan could join the second rendezvous"

        shown = orch.orch("logs", str(job))
        assert shown.startswith("rank 0 of 2 goes on from step 3\n") and "rank 1 of 2 goes on from step 3" in shown
        assert orch.orch("logs", str(job), "--rank", "1").strip() == "rank 1 of 2 goes on from step 3"
        assert json.loads(orch.orch("status", "--json"))["jobs"][0]["attempts"] == 2
