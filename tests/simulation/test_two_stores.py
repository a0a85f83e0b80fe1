"""Two stores of one user on one cluster: SLURM shows each the other's jobs, and neither takes, ends or repeats them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.words import JobState
from tests.simulation.invariants import rows
from tests.simulation.tripwire import Trap
from tests.simulation.workers import Nature
from tests.simulation.world import World

SOUND = Nature(epochs=4, epoch_seconds=20.0, every=1)
JOBS = 3


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[tuple[World, World]]:
    first = World(tmp_path / "a" / ".orch", 1)
    second = World(tmp_path / "b" / ".orch", 1, beside=first)
    with contextlib.ExitStack() as stack:
        stack.enter_context(first.running())
        stack.enter_context(second.running())
        yield first, second


def step(worlds: tuple[World, World], seconds: float, crash_at: int | None = None) -> None:
    """Each in turn; nothing of the other's is taken or ended at any moment."""
    for world in worlds:
        world.step(seconds, Trap(crash_at, "crash") if crash_at else None)
        keep_apart(world)


def end(worlds: tuple[World, World]) -> None:
    """Both go on until neither has anything to do; then everything is checked that a schedule checks."""
    for _ in range(100):
        step(worlds, 15.0)
        if all(world.last.idle for world in worlds):
            break
    for world in worlds:
        world.calm()


def tokens(world: World) -> set[str]:
    return {str(token) for (token,) in rows(world.database, "SELECT token FROM submission")}


def keep_apart(world: World) -> None:
    """It holds the ids of its own tasks alone, has changed no others, and only these have its files."""
    own, names = tokens(world), {str(task.job): task.name for task in world.cluster.tasks}
    adopted = rows(world.database, "SELECT token, native_id FROM submission WHERE native_id IS NOT NULL")
    assert all(names[native] == token for token, native in adopted), (adopted, names)
    touched = {name for commands in world.commands for name in commands.touched}
    assert touched <= own, "it ended or changed what is not its own"
    assert {started.token for started in world.ledger.started.values()} <= own
    assert all(path.is_relative_to(world.root) for path in world.ledger.started)


def all_is_somebodys(worlds: tuple[World, World]) -> None:
    """Every task belongs to one store, and to one alone."""
    first, second = map(tokens, worlds)
    assert first and second and not first & second
    assert {task.name for task in worlds[0].cluster.tasks} <= first | second


def succeeded_once(world: World, jobs: list[int]) -> None:
    found = rows(world.database, "SELECT id, state, attempts FROM job ORDER BY id")
    assert [row for row in found if row[0] in jobs] == [(job, JobState.SUCCEEDED, 1) for job in jobs]
    ends = [path for path, outcome in world.ledger.outcomes.items() if outcome.ending == "success"]
    assert len(ends) == len(rows(world.database, "SELECT * FROM result")) == len(jobs)


@pytest.mark.parametrize("accounting", ["on", "off"])
def test_each_does_its_own_jobs_once_though_replies_are_lost(worlds: tuple[World, World], accounting: str) -> None:
    """The jobs have the same numbers in both stores, and both look for what sbatch did not tell."""
    first, second = worlds
    first.weather.accounting = accounting
    first.weather.sbatch_lost, first.weather.sbatch_late = 1.0, 40.0
    jobs = {world: [world.submit(SOUND) for _ in range(JOBS)] for world in worlds}
    assert jobs[first] == jobs[second]
    step(worlds, 1.0)
    assert len(first.sbatch.flights) == len(second.sbatch.flights) == 1
    for at in range(5, 60, 10):  # both supervisors die again and again, in turn, while they look for their launches
        step(worlds, 5.0, at)
    end(worlds)
    for world in worlds:
        succeeded_once(world, jobs[world])
        assert set(world.sbatch.launched.values()) == {1}
    for world in worlds:
        keep_apart(world)
    all_is_somebodys(worlds)


def test_what_one_cancels_and_forgets_is_no_matter_to_the_other(worlds: tuple[World, World]) -> None:
    """The first cancels all, retries and loses its database, while SLURM runs the other's jobs of the same numbers."""
    first, second = worlds
    jobs = {world: [world.submit(SOUND) for _ in range(JOBS)] for world in worlds}
    step(worlds, 5.0)
    for job in jobs[first]:
        first.cancel(job)
    step(worlds, 5.0)
    assert any(commands.touched for commands in first.commands), "nothing of it ran yet"
    first.rebuild()
    first.retry(jobs[first][0])
    end(worlds)
    states = [state for (state,) in rows(first.database, "SELECT state FROM job ORDER BY id")]
    assert states == [JobState.SUCCEEDED, JobState.CANCELLED, JobState.CANCELLED]
    succeeded_once(second, jobs[second])
    for world in worlds:
        keep_apart(world)
    all_is_somebodys(worlds)
