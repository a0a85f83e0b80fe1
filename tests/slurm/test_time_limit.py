"""Time limits: the worker checkpoints and requeues itself, without orch as well, and orch helps where that failed."""

from __future__ import annotations

from tests.slurm.slow import Slow


def test_a_job_of_ninety_seconds_under_a_limit_of_one_minute(slow: Slow) -> None:
    runs = slow.end("limited")
    assert len(runs) >= 2
    assert slow.steps(slow.orch, "limited") == list(range(1, 91)), "a gap, or a step done twice"
    assert {run.started.attempt for run in runs} == {1}, "SLURM requeues it under its id"
    for run in runs[:-1]:
        assert run.outcome and run.outcome.requeued and run.outcome.cause == "timeout"
        # SLURM signals up to a minute early, and never before the first schedule of the job.
        assert 5 < (run.outcome.at - run.started.at).total_seconds() < 75
    assert runs[-1].ending == "success" and runs[-1].outcome.result["steps"] == 90
    assert slow.orch.accepted(slow.job["limited"]) == runs[-1].folder.name
    assert not slow.orch.strikes(), "nobody is to blame for a time limit"


def test_the_self_requeue_failed_and_orch_goes_on(slow: Slow) -> None:
    runs = slow.end("requeue_lost")
    assert len(runs) >= 2
    assert runs[0].outcome and not runs[0].outcome.requeued
    # What orch sends then has no broken scontrol before it: on a slow machine it requeues itself, once or twice.
    attempts = [run.started.attempt for run in runs]
    assert attempts == [1] + [2] * (len(runs) - 1)
    assert slow.steps(slow.orch, "requeue_lost") == list(range(1, 71))
    [(cause, decision), *_] = slow.orch.query(
        "SELECT cause, decision FROM attempt WHERE job_id = ? ORDER BY number", slow.job["requeue_lost"]
    )
    assert cause == "timeout" and "goes on from its checkpoint" in decision


def test_a_job_without_progress_is_not_tried_again(slow: Slow) -> None:
    [run] = slow.end("stubborn")
    assert run.ending != "success"
    [(state, cause, error)] = slow.orch.query("SELECT state, cause, error FROM job WHERE id = ?", slow.job["stubborn"])
    assert (state, cause) == ("failed", "timeout")
    assert "no progress in a whole time limit" in error and "--time" in error


def test_the_self_requeue_without_orch(slow: Slow) -> None:
    """The supervisor died when the job began: all of it is there when somebody looks again."""
    alone, job = slow.labs["alone"], slow.job["alone"]
    alone.until(lambda: alone.runs(job)[-1].ending == "success", timeout=200, what="the end of the job")
    assert alone.supervisor() is None and alone.states()["succeeded"] == 0, "somebody looked"
    assert len(alone.runs(job)) >= 2
    assert slow.steps(alone, "alone") == list(range(1, 76))
    alone.wait()
    alone.check_each_once(1)
