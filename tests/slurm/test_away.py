"""The login node is dead for a minute while a compute node dies: nobody looks, and nothing is lost or counted twice."""

from __future__ import annotations

import time

from tests.slurm.slow import Slow


def test_supervisor_and_login_node_dead_while_a_node_dies(slow: Slow) -> None:
    away, cut = slow.labs["away"], slow.job["cut"]
    away.until(lambda: time.time() - slow.left_at > 60, timeout=70)
    away.until(lambda: away.runs(cut)[-1].ending == "success", timeout=60, what="the second execution")
    assert away.supervisor() is None and away.states()["succeeded"] == 0, "somebody looked"
    first, second = away.runs(cut)
    assert first.outcome is None and first.node != second.node

    # A look takes in what is there, without starting anything.
    assert away.status()["counts"]["succeeded"] == 4
    assert away.supervisor() is None
    assert away.accepted(cut) == second.folder.name
    assert away.epochs(cut)[-1] == 20
    away.wait()
    away.check_each_once(4)
