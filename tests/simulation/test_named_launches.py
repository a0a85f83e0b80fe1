"""Launches that are lost, late, given up or overtaken, each as a schedule of its own: every job runs once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from db import lease
from db.store import Store
from jobs.node.worker import Task as RealTask
from jobs.words import JobState
from tests.simulation.invariants import rows
from tests.simulation.looks import SOUND, job_row
from tests.simulation.tripwire import Trap
from tests.simulation.workers import Nature
from tests.simulation.world import World


def test_a_cancelled_attempt_whose_launch_never_happened_is_let_go(world: World) -> None:
    """It stayed `doomed`, so that the supervisor never became idle."""
    world.weather.sbatch_fails = 1.0
    job = world.submit(SOUND)
    world.step(1.0)
    world.cancel(job)
    world.calm()
    assert job_row(world)[0] == JobState.CANCELLED


def test_half_accepted_sbatch_is_adopted_not_repeated(world: World) -> None:
    world.weather.sbatch_lost, world.weather.sbatch_late = 1.0, 40.0
    jobs = [world.submit(SOUND) for _ in range(3)]
    world.step(1.0)
    world.calm()
    assert {job_row(world, job) for job in jobs} == {(JobState.SUCCEEDED, "success", 1)}
    assert set(world.sbatch.launched.values()) == {1}


def test_every_io_of_a_launch_may_be_the_last(world: World) -> None:
    """The supervisor dies at each I/O in turn of the cycle that launches; every job runs once."""
    jobs = []
    for at in range(1, 45):
        jobs.append(world.submit(Nature(epochs=1, epoch_seconds=1.0, every=1)))
        world.step(1.0, Trap(at, "crash"))
    world.calm()
    assert {job_row(world, job)[0] for job in jobs} == {JobState.SUCCEEDED}
    assert set(world.sbatch.launched.values()) == {1}


def test_an_overtaken_supervisor_writes_nothing(world: World) -> None:
    world.submit(SOUND)
    world.step(1.0)
    for at in range(2, 40, 3):
        world.submit(Nature(epochs=1, epoch_seconds=5.0, every=1))
        trap = world.overtaken(6)
        trap.at = at
        world.step(5.0, trap)
        world.nothing_written_since()
    world.calm()


def test_a_launch_that_was_given_up_and_happens_after_all_does_no_work(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor stalled in the middle of sbatch: its successor had looked twice, and sent the job again."""
    job = world.submit(SOUND)
    trap = world.overtaken(12)
    trap.name = "sbatch"
    world.step(1.0, trap)
    world.nothing_written_since()
    world.calm()
    first = world.layout.attempt(job, 1)
    assert not world.layout.executions(job, 1)
    assert len(world.sbatch.launched) == 2
    assert job_row(world, job)[0] == JobState.SUCCEEDED
    (token,) = [t for t in world.sbatch.launched if world.layout.given_up(t).exists()]
    monkeypatch.setattr(os, "environ", {})
    RealTask(str(world.layout.submission(token)))()  # the real worker
    assert "given up" in capfd.readouterr().out
    assert not first.exists()


def test_one_that_was_overtaken_before_it_looked_does_not_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successor may have given the launch up and sent the job again: whoever stalled looks before it launches."""
    looks: list[int] = []
    look = lease.check

    def counted(store: Store, number: int) -> None:
        look(store, number)
        looks.append(number)

    monkeypatch.setattr(lease, "check", counted)
    intended = 0
    for at in range(2, 60, 2):
        world = World(tmp_path / str(at) / ".orch", 1)
        with world.running():
            looks.clear()
            world.submit(SOUND)
            trap = world.overtaken(12)
            take_over = trap.act
            seen: list[tuple[bool, int]] = []

            def act(
                world: World = world,
                take_over: Callable[[], None] = take_over,
                seen: list[tuple[bool, int]] = seen,
            ) -> None:
                ((intents,),) = rows(world.database, "SELECT count(*) FROM submission WHERE native_id IS NULL")
                looked = bool(looks) or world.tripwire.sprung in ("commit", "committed")  # the end of the look's read
                seen.append((looked, int(intents)))
                take_over()

            trap.at, trap.act = at, act
            world.step(1.0, trap)
            if seen and not seen[0][0]:  # after the look the worker itself refuses: the schedule above
                intended += seen[0][1]
                assert len(world.sbatch.launched) == 1, (at, world.story)
            world.calm()
    assert intended, "no stall fell between an intent and its launch"


def test_an_sbatch_that_is_accepted_at_the_last_moment_is_adopted(world: World) -> None:
    """A launch in flight is an unclear launch for everybody: its successor gave it up while it could still happen."""

    class Latest(Random):
        def random(self) -> float:
            return 0.99

        def uniform(self, low: float, high: float) -> float:
            return high

    world.sbatch.random = Latest()
    world.weather.sbatch_seconds = 64.0
    job = world.submit(SOUND)
    world.step(1.0)
    world.stop_supervisor()  # in the second in which sbatch began
    world.weather.sbatch_seconds = 0.0
    for seconds in (0.5, 61.0, 15.0, 60.0, 15.0):  # two looks a minute apart, and sbatch is accepted after them
        world.step(seconds)
    assert world.sbatch.launched == dict.fromkeys(world.sbatch.launched, 1)
    assert (len(world.sbatch.launched), world.ledger.given_up) == (1, 0)
    world.calm()
    assert job_row(world, job)[0] == JobState.SUCCEEDED
