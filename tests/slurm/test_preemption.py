"""Preempted jobs go on from their checkpoints: with a warning from the last step, without one from the last save."""

from __future__ import annotations

from tests.slurm.slow import Slow


def test_with_a_grace_period(slow: Slow) -> None:
    first, *more = slow.end("warned")
    assert first.outcome and first.ending == "interrupted" and first.outcome.cause == "preempted"
    assert more and more[-1].ending == "success" and {run.started.attempt for run in more} == {1}
    assert slow.steps(slow.orch, "warned") == list(range(1, 26))


def test_without_a_grace_period(slow: Slow) -> None:
    first, *more = slow.end("unwarned")
    assert more and more[-1].ending == "success" and {run.started.attempt for run in more} == {1}
    steps = slow.steps(slow.orch, "unwarned")
    assert sorted(set(steps)) == list(range(1, 26)), "a gap"
    assert len(steps) <= 26, "more than the step that was cut off was done twice"
    [(cause,)] = slow.orch.query("SELECT cause FROM execution WHERE name = ?", first.folder.name)
    assert cause == "preempted"
    assert not slow.orch.strikes()
