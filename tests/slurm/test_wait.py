"""`--wait` where SLURM never starts a job: the reason is said, and it ends; what SLURM suspended does not run."""

from __future__ import annotations

from pathlib import Path

from slurm.testcluster import Cluster
from tests.slurm.lab import lab

SMALL = ("--mem", "300M", "--wait")


def test_a_wait_ends_where_only_a_person_can_go_on(cluster: Cluster, tmp_path: Path) -> None:
    partition = cluster.run("sinfo", "-h", "-o", "%R").stdout.split()[0]
    with lab(tmp_path, cluster) as orch:
        failed = orch.start("submit", "command", *SMALL, "--study", "s", "--time", "5", "--", "sh", "-c", "exit 3")
        held = orch.start("submit", "command", *SMALL, "--study", "s", "--time", "5", "--sbatch", "hold", "--", "true")
        cluster.run("scontrol", "update", f"partitionname={partition}", "MaxTime=30")
        try:
            long = orch.start(
                *("submit", "command", *SMALL, "--study", "s", "--time", "45", "--partition", partition),
                *("--", "sh", "-c", "true; true"),
            )
            said = orch.finish(long, code=1, timeout=60)
            assert "its time is longer than its partition allows: give less with --time (PartitionTimeLimit)" in said
            assert "exit 3" not in said and "failed" not in said, "of its own jobs alone"
        finally:
            cluster.run("scontrol", "update", f"partitionname={partition}", "MaxTime=UNLIMITED")
        said = orch.finish(held, code=1, timeout=60)
        assert "`scontrol release` lets it go (JobHeldUser)" in said and "failed" not in said
        assert "failed" in orch.finish(failed, code=1, timeout=60)
        [mine] = orch.query("SELECT job_id FROM attempt WHERE reason LIKE '%JobHeldUser%'")
        assert "SLURM never starts it for that reason" in orch.orch("explain", str(mine[0]))

        good = orch.start("submit", "command", *SMALL, "--study", "s", "--", "sh", "-c", "sleep 8; echo done")
        job = orch.until(lambda: orch.query("SELECT max(id) FROM job HAVING max(id) = 4"), what="the last job")[0][0]
        native = orch.until(
            lambda: orch.query(
                "SELECT s.native_id FROM attempt a JOIN submission s USING (token) WHERE job_id = ? "
                "AND a.state = 'running'",
                job,
            ),
            what="it runs",
        )[0][0]
        cluster.run("scontrol", "suspend", native)
        orch.until(lambda: orch.query("SELECT 1 FROM attempt WHERE job_id = ? AND phase = 'suspended'", job))
        assert "it stands still on" in orch.orch("explain", str(job))
        assert "suspended: it does not run" in orch.orch("status", "--study", "s")
        cluster.run("scontrol", "resume", native)
        said = orch.finish(good, code=0, timeout=60)
        assert "1 suspended" in said and "failed" not in said
