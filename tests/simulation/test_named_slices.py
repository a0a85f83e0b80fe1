"""What must hold of jobs in slices, each rule as a schedule of its own."""

from __future__ import annotations

import pytest

from db.seals import WRONG, Seal
from jobs.files import read_json
from jobs.records import Started
from jobs.words import JobState
from tests.simulation.invariants import rows
from tests.simulation.looks import job_row, running_task, until
from tests.simulation.workers import Nature
from tests.simulation.world import SEALED, World

LONG = Nature(epochs=12, epoch_seconds=20.0, every=1)
"""Four minutes, in slices of which a half to one and a half are left before the warning."""


def submit(world: World, nature: Nature) -> None:
    """One job of nature, in so many pieces that it needs no second attempt."""
    world.cluster.max_array = 30
    world.submit(nature, minutes=40, slices=3)


def begun(world: World, job: int = 1) -> list[Started]:
    """The executions of a job in the order of the pieces' own count."""
    found = [one for one in world.ledger.started.values() if one.job == job]
    return sorted(found, key=lambda one: (one.attempt, one.restart))


def live(world: World) -> int:
    return sum(task.live for task in world.cluster.tasks)


def test_pieces_go_on_while_orch_is_away_and_are_one_attempt(world: World) -> None:
    submit(world, LONG)
    running_task(world)
    world.stop_supervisor()
    for _ in range(60):
        world.clock.advance(30.0)
    assert any(outcome.ending == "success" for outcome in world.ledger.outcomes.values())
    world.calm()
    pieces = begun(world)
    assert job_row(world)[0] == JobState.SUCCEEDED
    assert {one.attempt for one in pieces} == {1} and len(pieces) >= 2
    assert [one.restart for one in pieces] == list(range(len(pieces)))
    assert world.ledger.needless > 0, "those that were left found the success, and ended at once"


def test_surplus_pieces_are_cancelled_when_the_result_is_accepted(world: World) -> None:
    submit(world, Nature(epochs=2, epoch_seconds=5.0, every=1))
    running_task(world)
    assert live(world) > 1
    until(world, lambda: live(world) == 0)
    assert job_row(world)[0] == JobState.SUCCEEDED
    assert {task.state for task in world.cluster.tasks} == {"COMPLETED", "CANCELLED"}
    world.calm()


def test_a_dead_node_is_struck_and_the_next_piece_goes_on(world: World) -> None:
    submit(world, LONG)
    task = running_task(world)
    until(world, lambda: any(o.checkpoint_step > 0 for o in world.ledger.outcomes.values()) or live_steps(world) > 1)
    node = next(task for task in world.cluster.tasks if task.live and task.state == "RUNNING").node
    world.cluster.slurmd_dies(world.cluster.nodes[node], 400.0)
    for worker in world.cluster.workers:
        if worker.node == node:
            worker.kill()
    until(world, lambda: bool(rows(world.database, "SELECT node FROM node_health")))
    assert rows(world.database, "SELECT node, cause FROM node_health") == [(node, "node_failure")]
    world.calm()
    assert job_row(world)[0] == JobState.SUCCEEDED
    assert {one.attempt for one in begun(world)} == {1}
    assert task.name == next(iter({one.token for one in begun(world)}))


def live_steps(world: World) -> int:
    return max((worker.step for worker in world.cluster.workers if hasattr(worker, "step")), default=-1)


def test_a_slice_without_a_checkpoint_ends_the_job_and_says_so(world: World) -> None:
    world.submit(Nature(epochs=2, epoch_seconds=300.0, every=1), minutes=20, slices=2)
    world.calm()
    state, cause, error = rows(world.database, "SELECT state, cause, error FROM job")[0]
    assert (state, cause) == (JobState.FAILED, "timeout")
    assert "no progress" in error and "--slices" in error
    assert len(begun(world)) <= 4, "the pieces were burnt one after the other"


def test_pieces_that_are_used_up_are_followed_by_a_new_attempt_with_more(world: World) -> None:
    world.submit(Nature(epochs=40, epoch_seconds=30.0, every=1), minutes=4, slices=3)
    world.calm()
    assert job_row(world)[0] == JobState.SUCCEEDED
    sent = rows(world.database, "SELECT number, pieces, decision FROM attempt JOIN submission USING (token) ORDER BY 1")
    assert len(sent) >= 2 and all(pieces >= 2 for _, pieces, _ in sent)
    assert "all its pieces were used: goes on from its checkpoint" in sent[0][2]


def test_a_piece_beside_another_one_makes_it_stop(world: World) -> None:
    """`%1` was forgotten by a controller that was restarted."""
    submit(world, LONG)
    running_task(world)
    world.cluster.orderly = False
    world.cluster.kick()
    world.step(15.0)
    until(world, lambda: any(outcome.superseded for outcome in world.ledger.outcomes.values()))
    world.cluster.orderly = True
    world.calm()
    assert job_row(world)[0] == JobState.SUCCEEDED
    for path, outcome in world.ledger.outcomes.items():
        started = read_json(path / "started.json", Started)
        last = begun(world)[-1]
        assert started is not None
        assert not outcome.superseded or (started.attempt, started.restart) < (last.attempt, last.restart)


def test_a_cancel_ends_the_whole_array(world: World) -> None:
    submit(world, LONG)
    running_task(world)
    world.cancel(1)
    until(world, lambda: live(world) == 0)
    assert {task.state for task in world.cluster.tasks} == {"CANCELLED"}
    world.calm()
    assert job_row(world)[0] == JobState.CANCELLED


def test_a_final_failure_ends_the_pieces_that_follow(world: World) -> None:
    world.submit(Nature(epochs=5, epoch_seconds=10.0, every=1, error_at=2), slices=3)
    running_task(world)
    world.stop_supervisor()
    for _ in range(30):
        world.clock.advance(30.0)
    assert len(begun(world)) == 1 and world.ledger.needless > 0 and live(world) == 0
    world.calm()
    assert job_row(world)[0] == JobState.FAILED


def test_a_piece_that_runs_as_the_success_is_accepted_stops(world: World) -> None:
    """Its node lost its daemon, SLURM began the next piece, and the first one succeeded all the same."""
    world.submit(Nature(epochs=8, epoch_seconds=20.0, every=100), slices=3)
    task = running_task(world)
    world.cluster.slurmd_dies(world.cluster.nodes[task.node], 400.0)
    world.calm()
    assert job_row(world)[0] == JobState.SUCCEEDED
    assert rows(world.database, "SELECT count(*) FROM result") == [(1,)]


def test_without_the_seal_it_is_sent_in_one_piece(world: World) -> None:
    submit(world, LONG)
    with world.user.write() as writer:
        seal = rows(world.database, "SELECT program, arguments FROM seal")[0]
        at = world.clock.now()
        writer.decide([Seal(code=SEALED, program=seal[0], arguments=seal[1], verdict=WRONG, at=at)])
    running_task(world)
    assert rows(world.database, "SELECT size, pieces FROM submission") == [(1, 0)]
    assert [task.index for task in world.cluster.tasks] == [None]
    world.calm()


@pytest.mark.parametrize("program", [False, True])
def test_three_pieces_that_are_killed_without_progress_end_the_attempt(world: World, program: bool) -> None:
    world.submit(Nature(epochs=3, epoch_seconds=60.0, every=1, program=program), slices=3)
    killed = 0
    while killed < 3:
        world.step(5.0)
        worker = next((one for one in world.cluster.workers if one.alive and one.path is not None), None)
        if worker is not None:
            worker.kill()
            killed += 1
    until(world, lambda: len(rows(world.database, "SELECT 1 FROM attempt")) == 2)
    first = rows(world.database, "SELECT cause, evidence FROM attempt WHERE number = 1")[0]
    assert first[0] == "lost" and "without progress" in first[1]
    assert not rows(world.database, "SELECT 1 FROM node_health"), "no node is to blame"
    world.calm()
    assert job_row(world)[0] == JobState.SUCCEEDED
