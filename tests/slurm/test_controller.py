"""slurmctld is away for 45 s, during submissions and during runs: nothing lost, nothing doubled, no traceback."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.slurm.conftest import NewCluster
from tests.slurm.lab import Lab, lab

AWAY = 45
SMALL = ("--mem", "100M", "--time", "10")


def away(new_cluster: NewCluster, folder: Path) -> None:
    with new_cluster(nodes=4) as cluster, lab(folder, cluster) as orch:
        settled = orch.submit("command", "--name", "settled", "--seeds", "4", *SMALL, "--", "sleep", "30")
        short = orch.submit("command", "--name", "short", "--seeds", "4", *SMALL, "--", "sleep", "14")
        for job in settled + short:
            orch.running(job)
        cluster.wait_for_saved_state()  # with these jobs; the next ones are not in it
        fresh = orch.submit("command", "--name", "fresh", "--seeds", "6", *SMALL, "--", "sleep", "3")
        orch.until(lambda: any(orch.runs(job) for job in fresh), what="a fresh job")
        cluster.kill_controller()
        away_at = time.monotonic()
        during = orch.submit("command", "--name", "during", "--seeds", "6", *SMALL, "--", "sleep", "1")
        assert time.monotonic() - away_at < 15, "orch submit must not wait for the controller"
        # Ends are seen by the outcome files, and the supervisor says who does not answer.
        orch.until(lambda: orch.states()["succeeded"] >= 4, timeout=30, what="the ends of jobs while it is away")
        orch.until(lambda: "slurm does not answer" in orch.orch("status"), timeout=30, what="the silence to be told")
        time.sleep(max(0.0, AWAY - (time.monotonic() - away_at)))
        assert orch.supervisor() is not None
        cluster.start_controller()
        orch.wait()
        orch.check_each_once(20)
        assert len(during) == 6

        # One that ended meanwhile may be started anew by SLURM: it did not hear of the end.
        assert [len(orch.runs(job)) for job in settled] == [1, 1, 1, 1], "a job that lived through it is not touched"
        assert max(Counter(names(orch)).values()) == 1, "a task was submitted twice"
        assert "does not answer" not in orch.orch("status")


def names(orch: Lab) -> list[tuple[str, str]]:
    """(token, task) of all that SLURM ever had of this store."""
    words = ("sacct", "-a", "-X", "-n", "-P", "-S", "now-1hour", "-o", "JobName%60,JobID")
    rows = [line.split("|") for line in orch.cluster.run(*words).stdout.split()]
    mine = {token for (token,) in orch.query("SELECT token FROM submission")}
    return [(name, job.partition("_")[2]) for name, job in rows if name in mine]


@pytest.mark.background(story=away)
def test_the_controller_is_away_for_forty_five_seconds(told: None) -> None:
    """All of it was asserted in the story."""
    assert told is None
