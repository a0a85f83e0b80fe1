"""Who is blamed on a real cluster: a node once for one failure, and never for a user's own wrong setup line."""

from __future__ import annotations

from pathlib import Path

from slurm.testcluster import Cluster
from tests.slurm.lab import lab

MEMORY = ("--mem", "200M")


def test_one_failure_of_a_node_with_four_jobs_is_one_strike(cluster: Cluster, tmp_path: Path) -> None:
    with lab(tmp_path, cluster) as orch:
        (tmp_path / "job.py").write_text(
            "import os, pathlib, time\ngo = pathlib.Path(os.environ['ORCH_WORKDIR'], 'go')\n"
            "while not go.exists(): time.sleep(0.2)\n"
        )
        jobs = orch.submit("command", "--seeds", "4", *MEMORY, "--sbatch", "nodelist=node2", "--", "python", "job.py")
        for job in jobs:
            orch.running(job)
        orch.until(lambda: orch.states() == {"running": 4}, what="all four run")
        orch.power_cut("node2")
        orch.until(lambda: orch.states() == {"submitted": 4}, what="all four wait again")
        orch.until(lambda: orch.strikes(), what="a strike")
        orch.power_back("node2")
        for job in jobs:
            orch.running(job, 2)
        orch.until(lambda: orch.states() == {"running": 4}, what="all four are seen to run again")
        (tmp_path / "go").touch()
        orch.wait()
        orch.check_each_once(4)
        assert orch.strikes() == {"node2": 1}, orch.story()
        seen = "SELECT DISTINCT count(*) FROM event WHERE after = 'running' GROUP BY job_id"
        assert orch.query(seen) == [(2,)], f"each ran twice, and was seen so twice; {orch.story()}"


def test_a_wrong_setup_line_blames_no_node(cluster: Cluster, tmp_path: Path) -> None:
    with lab(tmp_path, cluster) as orch:
        (tmp_path / "orch.toml").write_text("[slurm]\nsetup = ['frobnicate --now']\n")
        output = orch.orch("submit", "command", "--seeds", "6", *MEMORY, "--wait", "--", "true", code=1)
        assert "setup line failed: frobnicate --now" in output
        assert orch.states() == {"failed": 6} and orch.query("SELECT DISTINCT cause FROM job") == [("error",)]
        assert not orch.strikes()
