"""Whose clock is seen to differ, by what an execution says of itself and when that was seen."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from db import checks
from tests.helpers.filled import Filled, change


def test_a_copy_that_ended_after_the_result_says_nothing_of_its_nodes_clock(tmp_path: Path) -> None:
    """SLURM requeued a job whose node it did not hear of: both copies succeed, and the first one counts."""
    filled = Filled.make(tmp_path / ".orch")
    (job,) = filled.submit()
    filled.succeed(job, {"test_accuracy": 50.0})

    def ahead() -> dict[str, timedelta]:
        with filled.store.read() as connection:
            return {one.node: one.ahead for one in checks.skews(connection) if one.ahead > timedelta(seconds=5)}

    assert ahead() == {}
    later = "strftime('%Y-%m-%dT%H:%M:%f000Z', ended_at, '+10 minutes')"
    change(filled, f"UPDATE execution SET ended_at = {later}")
    assert ahead().keys() == {"node1"}, "the counted one ended after its end was seen"
    change(filled, "UPDATE execution SET superseded = 1")
    assert ahead() == {}
