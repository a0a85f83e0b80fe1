"""Changes of mind at the worst moments, each as a schedule of its own: what counts is what was decided last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.words import JobState
from orchestrator.submitting.changing import Again
from tests.simulation.invariants import rows
from tests.simulation.looks import job_row, running_task, until
from tests.simulation.tripwire import Trap
from tests.simulation.workers import Nature
from tests.simulation.world import World

ANEW = Again(succeeded=True)
SHORT = Nature(epochs=2, epoch_seconds=5.0, every=1)


def succeeded(world: World, job: int) -> None:
    until(world, lambda: job_row(world, job)[0] == JobState.SUCCEEDED)


def test_a_late_finish_of_the_old_generation_is_superseded_and_the_new_failure_stands(world: World) -> None:
    """Two copies of the first run: one is the result, the other finishes when the job has begun anew, and failed."""
    job = world.submit(Nature(epochs=3, epoch_seconds=40.0, every=100))
    task = running_task(world)
    orphan = task.worker
    assert orphan is not None
    orphan.nature = replace(orphan.nature, epochs=12)
    # It sees nothing of what others do, neither the result nor the next attempt.
    orphan.stop.ask = lambda reason: None  # type: ignore[method-assign]
    world.cluster.slurmd_dies(world.cluster.nodes[task.node], 5000.0)
    succeeded(world, job)
    world.step(30.0)
    world.ledger.natures[job] = Nature(epochs=3, epoch_seconds=5.0, every=100, error_at=2)
    world.minds.retry(job, ANEW)
    until(world, lambda: job_row(world, job)[0] == JobState.FAILED)
    assert orphan.alive
    until(world, lambda: not orphan.alive, seconds=30.0)
    assert world.ledger.outcomes[orphan.path or Path()].ending == "success"
    world.ledger.wrong.clear()
    world.calm()
    assert job_row(world, job)[:2] == (JobState.FAILED, "error")
    ends = rows(
        world.database,
        "SELECT a.generation, e.ending, e.superseded FROM execution e JOIN attempt a "
        "ON a.id = e.attempt_id ORDER BY e.id",
    )
    assert sorted(ends) == [(1, "success", 1), (1, "success", 1), (2, "failure", 0)]


def test_a_result_of_an_older_generation_stops_no_worker_of_a_newer_one(world: World) -> None:
    job = world.submit(SHORT)
    succeeded(world, job)
    assert (world.layout.job(job) / "accepted.json").exists()
    world.ledger.natures[job] = Nature(epochs=6, epoch_seconds=20.0, every=1)
    world.minds.retry(job, ANEW)
    world.calm()
    assert job_row(world, job) == (JobState.SUCCEEDED, "success", 2)
    assert rows(world.database, "SELECT generation FROM result") == [(2,)]


def test_what_waits_for_a_job_that_runs_anew_and_fails_is_not_started(world: World) -> None:
    """It was queued when the first result was there, and ran without one; or nothing ever ended for its sake."""
    first = world.submit(SHORT)
    succeeded(world, first)
    world.weather.sbatch_limit = 1.0
    second = world.submit(SHORT, needs=(first,))
    world.step(5.0)
    assert job_row(world, second)[0] == JobState.QUEUED
    world.ledger.natures[first] = Nature(epochs=2, epoch_seconds=5.0, every=1, error_at=1)
    world.minds.retry(first, ANEW)
    world.weather.sbatch_limit = 0.0
    world.calm()
    assert job_row(world, first)[0] == JobState.FAILED
    assert rows(world.database, f"SELECT count(*) FROM execution WHERE job_id = {second}") == [(0,)]


@pytest.mark.parametrize("at", range(2, 40, 3))
def test_a_mind_that_changes_while_its_job_is_being_sent(world: World, at: int) -> None:
    """Cancelled, retried and given another time limit between the look and the launch: sent as it is then."""
    job = world.submit(SHORT)

    def act() -> None:
        world.cancel(job)
        world.retry(job)
        world.minds.set(job, minutes=20)

    world.step(1.0, Trap(at, "meanwhile", act))
    world.calm()
    assert job_row(world, job)[0] == JobState.SUCCEEDED
    assert rows(world.database, "SELECT generation FROM result") == [(2,)]


def test_a_dropped_job_stays_dropped_through_everything(world: World) -> None:
    kept, dropped = world.submit(SHORT), world.submit(SHORT)
    world.minds.drop(dropped)
    succeeded(world, dropped)
    world.minds.retry(dropped, ANEW)
    succeeded(world, dropped)
    world.rebuild()
    world.calm()
    assert rows(world.database, "SELECT id, dropped FROM job ORDER BY id") == [(kept, None), (dropped, "diverged")]
    world.minds.keep(dropped)
    world.minds.at_end(world.database)


@pytest.mark.parametrize("fault", ["node_fail", "preempt"])
def test_what_is_stopped_while_slurm_requeues_it_is_not_followed_before_it_is_gone(world: World, fault: str) -> None:
    """SLURM shows NODE_FAIL, or PREEMPTED, for a moment before the same id waits again: that is no end."""
    job = world.submit(Nature(epochs=4, epoch_seconds=30.0, every=1))
    task = running_task(world)
    until(world, lambda: job_row(world, job)[0] == JobState.RUNNING)
    world.minds.set(job, minutes=20, at_once=True)
    getattr(world.cluster, fault)(task)
    world.step(0.0)
    assert job_row(world, job)[0] == JobState.QUEUED
    world.calm()
    assert job_row(world, job) == (JobState.SUCCEEDED, "success", 2)
    assert task.ended is not None
