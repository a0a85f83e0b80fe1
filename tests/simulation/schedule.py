"""One schedule: a few jobs, a cluster that misbehaves, a supervisor that dies, all drawn from one seed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from db.changes import Change
from jobs.records import Spawn
from jobs.resources import Asked
from orchestrator.submitting.changing import Again
from tests.simulation.patches import memory_folder
from tests.simulation.tripwire import Trap
from tests.simulation.workers import Nature
from tests.simulation.world import World

Kind = Literal["crash", "power", "disk_full", "commit_fails", "commit_unclear", "stale", "user", "time", "overtaken"]
KINDS: tuple[Kind, ...] = (
    "crash",
    "crash",
    "crash",
    "power",
    "power",
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
        program=random.random() < 0.3,
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
    world.cluster.max_array = random.choice((4, 4, 12))
    if random.random() < 0.3:
        for node in world.cluster.nodes.values():
            node.skew = random.uniform(-100.0, 100.0)
    kinds = world.faults.kinds()
    enabled = random.sample(sorted(kinds), random.randint(1, 8))
    fault_chance = random.choice((0.2, 0.4, 0.8))
    trap_chance = random.choice((0.0, 0.1, 0.4))
    user_chance = random.choice((0.0, 0.05, 0.2, 0.4))
    for _ in range(random.randint(2, 4)):
        ids.append(_submit(world, ids))
    if random.random() < 0.4:
        _submit_flock(world, ids)
    if random.random() < 0.5:
        _submit_bundle(world, ids)
    if random.random() < 0.2:
        _limit(world)
    late = random.random() < 0.4
    for step in range(steps * 2 if late else steps):
        if late and step == steps:  # most have ended: who looks at results changes their mind
            world.tell("later")
            world.step(600.0)
            user_chance = 0.5
        if random.random() < fault_chance:
            text = kinds[random.choice(enabled)]()
            if text:
                world.tell(text)
        while random.random() < user_chance:
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


def _submit_bundle(world: World, ids: list[int]) -> None:
    """A few jobs that share tasks."""
    random = world.random
    at_once, minutes = random.choice((2, 2, 3)), random.choice((3, 10, 10))
    for _ in range(random.randint(2, 7)):
        ids.append(world.submit(draw_nature(world), minutes=minutes, bundle=at_once))


def _submit(world: World, ids: list[int]) -> int:
    random = world.random
    nature = draw_nature(world)
    needs = tuple(random.sample(ids, 1)) if ids and random.random() < 0.25 else ()
    minutes, tolerant = random.choice((3, 10, 10)), random.random() < 0.3
    slices = random.choice((None, None, 2, 3)) if minutes > 3 else None
    job = world.submit(nature, minutes=minutes, needs=needs, tolerant=tolerant, slices=slices)
    if random.random() < 0.1:
        draw_spawn(world, job)
    return job


def _submit_flock(world: World, ids: list[int]) -> None:
    """A few jobs of one program, of which one goes first."""
    random = world.random
    natures = [draw_nature(world) for _ in range(random.randint(2, 5))]
    if random.random() < 0.3:  # a slip: the program fails for everybody
        natures = [replace(nature, error_at=min(1, random.randint(0, 2))) for nature in natures]
    wanted = random.choice((True, True, True, False, None))
    ids += world.flocks.submit(natures, random.choice("abc"), wanted=wanted)


def _limit(world: World) -> None:
    random = world.random
    world.flocks.limit(random.choice((None, 0, 1, 2, 3)), random.choice((None, 0, 1, 2)))


def _about_a_flock(world: World, ids: list[int]) -> None:
    """A change of mind about the canary that the most wait for, or about the limits."""
    random, minds = world.random, world.minds
    canaries = list(world.flocks.behind.values())
    job = random.choice(canaries or ids)
    acts: tuple[Callable[[], object], ...] = (
        lambda: world.cancel(job),
        lambda: world.retry(job),
        lambda: minds.drop(job),
        lambda: minds.set(job, minutes=random.choice((3, 20)), at_once=random.random() < 0.3),
        lambda: world.flocks.let_go(job),
        lambda: world.flocks.let_go(random.choice(ids)),
        lambda: _limit(world),
        lambda: _limit(world),
        lambda: _submit_flock(world, ids),
    )
    random.choice(acts)()


def _user_acts(world: World, ids: list[int]) -> None:
    random = world.random
    act: Callable[[], object] = random.choice(
        (
            lambda: world.cancel(random.choice(ids)),
            lambda: world.retry(random.choice(ids), resume=random.random() < 0.5),
            lambda: world.retry(random.choice(ids)),
            lambda: ids.append(_submit(world, ids)),
            lambda: _change_mind(world, random.choice(ids)),
            lambda: _change_mind(world, random.choice(ids)),
            lambda: _change_mind(world, random.choice(ids)),
            lambda: _about_a_flock(world, ids),
            lambda: _about_a_flock(world, ids),
        )
    )
    act()


def _change_mind(world: World, job: int) -> None:
    random, minds = world.random, world.minds
    minutes = random.choice((None, 3, 10, 20))
    acts: tuple[Callable[[], object], ...] = (
        lambda: minds.set(job, minutes=minutes or 10, priority=random.choice((None, 5)), at_once=random.random() < 0.3),
        lambda: minds.set(job, priority=random.choice((-3, 0, 7))),
        lambda: minds.set(job, qos=random.choice(("long", "short"))),
        lambda: minds.drop(job),
        lambda: minds.keep(job),
        lambda: minds.retry(
            job,
            Again(
                succeeded=True,
                resume=random.random() < 0.3,
                with_dependents=random.random() < 0.4,
                change=Change(asked=Asked(minutes=minutes)),
            ),
        ),
        lambda: minds.retry(job, Again(succeeded=True)),
    )
    random.choice(acts)()


def _trapped_step(world: World, seconds: float, ids: list[int]) -> None:
    random = world.random
    at = random.randint(1, random.choice((10, 40, 80)))
    kind = random.choice(KINDS)
    if kind == "overtaken":
        trap = world.overtaken(random.randint(1, 12))
        trap.at = at
        world.step(seconds, trap)
        world.nothing_written_since()
    elif kind == "user":
        acts = random.randint(1, 3)
        world.step(seconds, Trap(at, "meanwhile", lambda: [_user_acts(world, ids) for _ in range(acts)] and None))
    elif kind == "time":
        world.step(seconds, Trap(at, "meanwhile", lambda: world.clock.advance(random.uniform(1.0, 60.0))))
    else:
        world.step(seconds, Trap(min(at, 10) if kind == "stale" else at, kind))
