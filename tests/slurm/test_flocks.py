"""Many jobs of a new program on a real SLURM: one goes first, and a study has so many with SLURM at once."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from slurm.testcluster import Cluster
from tests.slurm.lab import lab

MANY = 10
SMALL = ("--mem", "100M", "--time", "10", "--cpus", "1")
WAITS = """
import json, os, pathlib, time
here = pathlib.Path(os.environ["ORCH_STUDY_CWD"])
while not (here / "go").exists():
    time.sleep(0.05)
with open(os.environ["ORCH_RESULT"], "w") as result:
    json.dump({"accuracy": 1}, result)
"""


class Watch(threading.Thread):
    """Looks into SLURM's queue again and again: the most jobs that it had at once."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self.cluster = cluster
        self.most = self.looks = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.1):
            found = self.cluster.run("squeue", "-h", "-r", "-t", "PD,R,CG,CF", "-o", "%i").stdout.split()
            self.most, self.looks = max(self.most, len(found)), self.looks + 1


def test_a_slip_costs_one_job_a_dead_node_frees_nobody_and_no_more_run_than_may(
    cluster: Cluster, tmp_path: Path
) -> None:
    with lab(tmp_path / "f", cluster) as orch:
        program = orch.folder / "train.py"
        words = ("--seeds", str(MANY), *SMALL, "--", sys.executable, "train.py", "{seed}")
        program.write_text("losss\n")
        said = orch.orch("submit", "command", "--canary", "--max-running", "3", "--wait", *words, code=1)
        assert f"{MANY - 1} jobs are blocked: canary job 1 failed" in said
        tries = orch.query("SELECT job_id, cause FROM attempt ORDER BY number")  # it might have been its node's fault
        assert tries in ([(1, "error")], [(1, "launch_failure"), (1, "error")]), orch.story()

        program.write_text(WAITS)
        watch = Watch(cluster)
        watch.start()
        orch.orch("retry", "1")
        first = orch.running(1, len(tries) + 1)
        orch.power_cut(first.node)
        again = orch.running(1, len(tries) + 2)
        assert again.node != first.node
        assert orch.query("SELECT count(*) FROM attempt WHERE job_id != 1") == [(0,)], "it holds on"
        assert orch.query("SELECT count(*) FROM job WHERE behind = 1") == [(MANY - 1,)]
        (orch.folder / "go").touch()
        orch.wait()
        watch.over.set()
        watch.join()
        orch.check_each_once(MANY)
        assert watch.looks > 10 and watch.most == 3, orch.story()
        sizes = orch.query("SELECT max(size) FROM submission")
        assert sizes[0][0] > 1, "some of them went as an array"
