"""What a named schedule asks of its world: a job's row, its executions, its running task; and a sound job for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.invariants import rows
from tests.simulation.tasks import Task
from tests.simulation.workers import Nature
from tests.simulation.world import World

SOUND = Nature(epochs=4, epoch_seconds=20.0, every=1)


def job_row(world: World, job: int = 1) -> tuple[str, str, int]:
    """(state, cause, attempts)."""
    ((state, cause, attempts),) = rows(world.database, f"SELECT state, cause, attempts FROM job WHERE id = {job}")
    return state, cause, attempts


def executions(world: World, job: int = 1) -> list[tuple[str, str, int]]:
    """(node, ending, superseded) of the job's executions, oldest first."""
    found = rows(world.database, f"SELECT node, ending, superseded FROM execution WHERE job_id = {job} ORDER BY id")
    return [(str(node), str(ending), int(superseded)) for node, ending, superseded in found]


def until(world: World, holds: Callable[[], bool], seconds: float = 5.0) -> None:
    for _ in range(100):
        if holds():
            return
        world.step(seconds)
    pytest.fail("\n".join(world.story))


def running_task(world: World) -> Task:
    until(world, lambda: any(t.worker and t.worker.path for t in world.cluster.running()))
    return world.cluster.running()[0]
