"""The supervisor is killed around sbatch: the token tells what became of it, and nothing is submitted twice.

The cluster's accounting keeps no comments (AccountingStoreFlags is unset): the token is the job's name.
"""

from __future__ import annotations

import pytest

from tests.slurm.lab import Lab
from tests.slurm.slow import Slow


def slurm_jobs(orch: Lab, token: str) -> list[str]:
    """The ids of all tasks that SLURM ever had under that name."""
    words = ("sacct", "-a", "-X", "-n", "-P", "-S", "now-1hour", "--name", token, "-o", "JobID")
    return sorted(set(orch.cluster.run(*words).stdout.split()))


def tokens(orch: Lab) -> list[tuple[str, str | None]]:
    return orch.query("SELECT token, native_id FROM submission ORDER BY created_at")


@pytest.mark.parametrize("moment", ["inside", "after", "unheard"])
def test_a_job_that_slurm_has_is_adopted_by_its_token(slow: Slow, moment: str) -> None:
    """`after`: also the pickle is gone, for which submitit's tasks wait a minute; `unheard`: sbatch says it failed."""
    orch = slow.labs[moment]
    orch.finish(slow.waiting[moment])
    orch.check_each_once(2)
    [(token, native)] = tokens(orch)
    orch.until(lambda: len(slurm_jobs(orch, token)) >= 2, what="the records, which come seconds late,")
    assert slurm_jobs(orch, token) == [f"{native}_0", f"{native}_1"], "submitted twice"
    assert all(len(orch.runs(job)) == 1 for job in (1, 2))


def test_a_job_that_slurm_never_got_is_sent_again_after_two_looks(slow: Slow) -> None:
    orch = slow.labs["before"]
    orch.finish(slow.waiting["before"])
    orch.check_each_once(2)
    [(first, never), (second, native)] = tokens(orch)
    assert never is None and native is not None
    orch.until(lambda: len(slurm_jobs(orch, second)) == 2, what="the records, which come seconds late,")
    assert slurm_jobs(orch, first) == []
    [(decision,)] = orch.query("SELECT DISTINCT decision FROM attempt WHERE token = ?", first)
    assert "never happened" in decision
