"""One goes first, and limits of a study, at the worst moments: each as a schedule of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.words import JobState
from orchestrator.submitting.changing import Again
from tests.simulation.invariants import rows
from tests.simulation.looks import job_row, running_task, until
from tests.simulation.tripwire import Trap
from tests.simulation.workers import Nature
from tests.simulation.world import World

SHORT = Nature(epochs=2, epoch_seconds=5.0, every=1)
SLIP = replace(SHORT, error_at=1)


def sent(world: World) -> int:
    """How many attempts there were."""
    return int(rows(world.database, "SELECT count(*) FROM attempt")[0][0])


def test_a_canary_that_loses_its_node_holds_on(world: World) -> None:
    """Its node dies before its first metric: the others wait until it has told enough elsewhere."""
    canary, *others = world.flocks.submit([replace(SHORT, epoch_seconds=25.0)] * 4, "program")
    task = running_task(world)
    node = world.cluster.nodes[task.node]
    world.cluster.slurmd_dies(node, 5000.0)
    assert task.worker is not None
    task.worker.kill()
    until(world, lambda: len([one for one in world.ledger.started.values() if one.job == canary]) == 2, seconds=2.0)
    assert world.flocks.behind == dict.fromkeys(others, canary), "\n".join(world.story)
    until(world, lambda: not world.flocks.behind, seconds=2.0)
    world.calm()
    assert [job_row(world, job)[0] for job in (canary, *others)] == [JobState.SUCCEEDED] * 4


def test_a_canary_that_slurm_begins_again_has_run_no_longer_than_that(world: World) -> None:
    """Whatever the clocks of the nodes say: they are a minute slow, and half a minute of running lets the others go."""
    for node in world.cluster.nodes.values():
        node.skew = -60.0
    canary, *others = world.flocks.submit([replace(SHORT, epoch_seconds=300.0)] * 3, "program")
    until(world, lambda: job_row(world, canary)[0] == JobState.RUNNING, seconds=2.0)
    world.step(18.0)
    world.cluster.node_fail(running_task(world))
    while len([one for one in world.ledger.started.values() if one.job == canary]) < 2:
        world.clock.advance(1.0)  # the supervisor sees nothing of its queueing
    for _ in range(12):
        world.step(2.0)
    assert world.flocks.behind == dict.fromkeys(others, canary), "\n".join(world.story)
    until(world, lambda: not world.flocks.behind, seconds=2.0)
    world.calm()


def test_a_canary_that_no_machine_takes_holds_nobody_up_for_long(world: World) -> None:
    """10 minutes in SLURM's queue tell nothing of the program: the others follow then, and not before."""
    for node in world.cluster.nodes.values():
        node.set_down = True
    canary, *others = world.flocks.submit([SHORT] * 3, "program")
    for _ in range(19):
        world.step(30.0)
    assert world.flocks.behind == dict.fromkeys(others, canary)
    until(world, lambda: not world.flocks.behind, seconds=15.0)
    assert any("waited in the queue" in line for line in world.story)
    world.calm()


def test_a_canary_that_is_cancelled_in_the_queue_hands_on(world: World) -> None:
    """scancel by whomever: the first of the others goes first in its place, and none waits for ever."""
    canary, *others = world.flocks.submit([replace(SHORT, epoch_seconds=25.0)] * 4, "program")
    world.cluster.end(running_task(world), "CANCELLED", who="0")
    until(world, lambda: job_row(world, canary)[0] == JobState.CANCELLED, seconds=2.0)
    assert world.flocks.behind == dict.fromkeys(others[1:], others[0])
    world.calm()
    assert [job_row(world, job)[0] for job in others] == [JobState.SUCCEEDED] * 3


@pytest.mark.parametrize("way", ("retry", "no canary", "drop", "cancel"))
def test_a_failed_canary_blocks_the_others_until_a_person_acts(world: World, way: str) -> None:
    canary, *others = world.flocks.submit([SLIP] * 4, "program")
    until(world, lambda: job_row(world, canary)[0] == JobState.FAILED)
    for _ in range(30):
        world.step(60.0)
    assert sent(world) == 1, "a slip costs one attempt"
    assert world.flocks.blocked() == [canary]
    world.rebuild()
    assert world.flocks.behind == dict.fromkeys(others, canary)
    for job in others:
        world.ledger.natures[job] = SHORT
    if way == "retry":
        world.ledger.natures[canary] = SHORT
        world.minds.retry(canary, Again())
        assert world.flocks.behind == dict.fromkeys(others, canary), "they wait for it again"
    elif way == "no canary":
        world.flocks.let_go(canary)
    elif way == "drop":
        world.minds.drop(canary)
        assert world.flocks.behind == dict.fromkeys(others[1:], others[0]), "the next one goes first"
    else:
        world.minds.retry(canary, Again())
        world.cancel(canary)
        assert world.flocks.behind == dict.fromkeys(others[1:], others[0]), "the next one goes first"
    world.calm()
    assert [job_row(world, job)[0] for job in others] == [JobState.SUCCEEDED] * 3


@pytest.mark.parametrize("at", range(2, 40, 6))
def test_a_supervisor_that_dies_while_the_others_are_let_go(world: World, at: int) -> None:
    """And a person who takes the canary back at the same moment, on another day."""
    canary, *others = world.flocks.submit([SHORT] * 4, "program")
    until(world, lambda: any((path / "metrics.jsonl").exists() for path in world.ledger.started), seconds=1.0)
    act = Trap(at, "crash") if at % 12 < 6 else Trap(at, "meanwhile", lambda: world.cancel(canary))
    world.step(1.0, act)
    world.calm()
    assert not world.flocks.behind
    assert [job_row(world, job)[0] for job in others] == [JobState.SUCCEEDED] * 3


def test_what_still_ends_counts_among_those_that_run(world: World) -> None:
    """A cancelled job that its node does not let go, and one that SLURM is still COMPLETING, take a place."""
    world.flocks.limit(2, None)
    first, second, third = (world.submit(replace(SHORT, epochs=40)) for _ in range(3))
    until(world, lambda: len(world.cluster.running()) == 2)
    task = next(task for task in world.cluster.running())
    world.cluster.slurmd_dies(world.cluster.nodes[task.node], 10.0)
    world.cancel(first)
    world.cancel(second)
    until(world, lambda: job_row(world, third)[0] == JobState.RUNNING, seconds=1.0)
    world.calm()
    assert job_row(world, third)[0] == JobState.SUCCEEDED


@pytest.mark.parametrize("at", range(2, 40, 6))
def test_limits_that_change_while_jobs_are_being_sent(world: World, at: int) -> None:
    jobs = [world.submit(SHORT) for _ in range(4)]
    world.step(1.0, Trap(at, "meanwhile", lambda: world.flocks.limit(1, 1)))
    world.ledger.natures[jobs[0]] = SLIP
    world.calm()
    ended = [job_row(world, job)[0] for job in jobs]
    assert ended.count(JobState.SUCCEEDED) >= 3, "a person was told how to go on, and did"
