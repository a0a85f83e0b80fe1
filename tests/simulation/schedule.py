"""One schedule: a few jobs, a cluster that misbehaves, a supervisor that dies, all drawn from one seed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from jobs.records import Spawn
from tests.simulation.patches import memory_folder
from tests.simulation.tripwire import Trap
from tests.simulation.workers import Nature
from tests.simulation.world import World

Kind = Literal["crash", "disk_full", "commit_fails", "commit_unclear", "stale", "user", "time", "overtaken"]
KINDS: tuple[Kind, ...] = (
    "crash",
    "crash",
    "crash",
    "crash",
    "disk_full",
    "commit_fails",
    "commit_unclear",
    "stale",
    "user",
    "time",
    "overtaken",
)


def draw_nature(world: World) -> Nature:
    """A job: mostly a sound one."""
    random = world.random
    epochs = random.randint(1, 7)
    kind = random.random()
    return Nature(
        epochs=epochs,
        epoch_seconds=random.choice((3.0, 10.0, 30.0, 60.0)),
        every=random.choice((1, 1, 2, 100)),
        error_at=random.randint(0, epochs) if kind < 0.1 else None,
        fault_at=random.randint(1, epochs) if 0.1 <= kind < 0.2 else None,
    )


def draw_spawn(world: World, job: int) -> None:
    """Let the job ask for two more when it succeeds, the second behind the first."""
    base = 1_000_000 * job
    config = {"argv": ["true"], "name": f"child of {job}", "preset": "demo"}
    first = Spawn(kind="command", seed=base, config=config)
    second = Spawn(kind="command", seed=base + 1, config=config, needs=("#0",), tolerate_failure=True)
    world.ledger.natures[job].spawn = (first, second)


def run(seed: int, *, steps: int = 20) -> list[str]:
    """The schedule of that seed; its story. Raises whatever an invariant or the code raises, with the story added."""
    with tempfile.TemporaryDirectory(dir=memory_folder(), prefix="orch-sim-") as folder:
        world = World(Path(folder) / ".orch", seed)
        try:
            with world.running():
                _play(world, steps)
        except BaseException as error:
            error.add_note("\n".join(world.story))
            raise
        return world.story


def _play(world: World, steps: int) -> None:
    random = world.random
    ids: list[int] = []
    if random.random() < 0.2:
        world.weather.accounting = "off"
    if random.random() < 0.3:
        for node in world.cluster.nodes.values():
            node.skew = random.uniform(-100.0, 100.0)
    kinds = world.faults.kinds()
    enabled = random.sample(sorted(kinds), random.randint(1, 8))
    fault_chance = random.choice((0.2, 0.4, 0.8))
    trap_chance = random.choice((0.0, 0.1, 0.4))
    user_chance = random.choice((0.0, 0.05, 0.2))
    for _ in range(random.randint(2, 4)):
        ids.append(_submit(world, ids))
    for _ in range(steps):
        if random.random() < fault_chance:
            text = kinds[random.choice(enabled)]()
            if text:
                world.tell(text)
        if random.random() < user_chance:
            _user_acts(world, ids)
        seconds = random.choice((0.5, 5.0, 15.0, 15.0, 30.0))
        chance = random.random()
        if chance < 0.03:
            world.stop_supervisor()
            world.clock.advance(random.choice((60.0, 600.0)))  # the login node is down
        elif chance < 0.04:
            world.rebuild()
        if random.random() < trap_chance:
            _trapped_step(world, seconds, ids)
        else:
            world.step(seconds)
    world.calm()


def _submit(world: World, ids: list[int]) -> int:
    random = world.random
    nature = draw_nature(world)
    needs = tuple(random.sample(ids, 1)) if ids and random.random() < 0.25 else ()
    job = world.submit(nature, minutes=random.choice((3, 10, 10)), needs=needs, tolerant=random.random() < 0.3)
    if random.random() < 0.1:
        draw_spawn(world, job)
    return job


def _user_acts(world: World, ids: list[int]) -> None:
    random = world.random
    act: Callable[[], object] = random.choice(
        (
            lambda: world.cancel(random.choice(ids)),
            lambda: world.retry(random.choice(ids), resume=random.random() < 0.5),
            lambda: world.retry(random.choice(ids)),
            lambda: ids.append(_submit(world, ids)),
        )
    )
    act()


def _trapped_step(world: World, seconds: float, ids: list[int]) -> None:
    random = world.random
    at = random.randint(1, random.choice((10, 40, 80)))
    kind = random.choice(KINDS)
    if kind == "overtaken":
        trap = world.overtaken(random.randint(1, 8))
        trap.at = at
        world.step(seconds, trap)
        world.nothing_written_since()
    elif kind == "user":
        world.step(seconds, Trap(at, "meanwhile", lambda: _user_acts(world, ids)))
    elif kind == "time":
        world.step(seconds, Trap(at, "meanwhile", lambda: world.clock.advance(random.uniform(1.0, 60.0))))
    else:
        world.step(seconds, Trap(min(at, 10) if kind == "stale" else at, kind))
