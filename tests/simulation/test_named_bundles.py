"""What must hold of jobs that share a task, each rule as a schedule of its own."""

from __future__ import annotations

from jobs.records import Started
from jobs.words import JobState
from tests.simulation.invariants import rows
from tests.simulation.looks import until
from tests.simulation.tasks import Task
from tests.simulation.workers import Nature
from tests.simulation.world import World

SHORT = Nature(epochs=3, epoch_seconds=10.0, every=1)
LONG = Nature(epochs=12, epoch_seconds=30.0, every=1)
"""Six minutes."""


def submit(world: World, count: int, nature: Nature = SHORT, *, at_once: int = 2, minutes: int = 10) -> list[int]:
    """So many jobs that are all listed in one task."""
    for name in ("n2", "n3", "n4"):
        del world.cluster.nodes[name]
    return [world.submit(nature, minutes=minutes, bundle=at_once) for _ in range(count)]


def only_task(world: World) -> Task:
    until(world, lambda: bool(world.cluster.running()))
    [task] = [one for one in world.cluster.tasks if one.live]
    return task


def begun(world: World, job: int) -> list[Started]:
    found = [one for one in world.ledger.started.values() if one.job == job]
    return sorted(found, key=lambda one: (one.attempt, one.restart))


def states(world: World) -> set[str]:
    return {state for (state,) in rows(world.database, "SELECT state FROM job")}


def alive(world: World) -> int:
    return sum(worker.alive for worker in world.cluster.workers)


def test_one_task_runs_them_all_while_orch_is_away(world: World) -> None:
    jobs = submit(world, 6)
    task = only_task(world)
    assert task.bundle == 6 and task.index is None
    world.stop_supervisor()
    most = 0
    for _ in range(60):
        world.clock.advance(5.0)
        most = max(most, alive(world))
    assert most == 2, "two at a time"
    assert len(world.ledger.outcomes) == 6
    world.calm()
    assert states(world) == {JobState.SUCCEEDED}
    assert [len(begun(world, job)) for job in jobs] == [1] * 6
    assert len(world.cluster.tasks) == 1, "nothing else was sent"


def test_what_does_not_fit_goes_back_without_a_budget_and_is_sent_again(world: World) -> None:
    jobs = submit(world, 4, LONG)
    until(world, lambda: states(world) == {JobState.SUCCEEDED}, 20.0)
    ended = rows(world.database, "SELECT job_id, cause, decision FROM attempt WHERE number = 1 ORDER BY job_id")
    assert [cause for _, cause, _ in ended] == ["success", "success", "cancelled", "cancelled"]
    assert "what was left of the task's time" in ended[2][2]
    for job in jobs[2:]:
        [only] = begun(world, job)
        assert only.attempt == 2
    world.calm()


def test_a_dead_node_is_one_strike_and_each_goes_on(world: World) -> None:
    jobs = submit(world, 5, LONG, minutes=60)
    task = only_task(world)
    until(world, lambda: any(worker.step > 1 for worker in world.cluster.workers if hasattr(worker, "step")))
    node = world.cluster.nodes[task.node]
    world.cluster.slurmd_dies(node, 120.0)
    for worker in [*world.cluster.runners, *world.cluster.workers]:
        worker.kill()
    until(world, lambda: bool(rows(world.database, "SELECT node FROM node_health")))
    world.calm()
    assert rows(world.database, "SELECT count(*) FROM node_health") == [(1,)]
    assert states(world) == {JobState.SUCCEEDED}
    ended = [world.ledger.started[path].job for path, said in world.ledger.outcomes.items() if said.ending == "success"]
    assert sorted(ended) == jobs, "each once"


def test_a_cancel_reaches_one_and_the_task_ends_with_the_last(world: World) -> None:
    jobs = submit(world, 4, LONG, minutes=60)
    task = only_task(world)
    until(world, lambda: len(world.ledger.started) == 2)
    world.cancel(jobs[0])
    world.cancel(jobs[3])
    until(world, lambda: len(begun(world, jobs[2])) == 1)
    assert task.live and task.state == "RUNNING", "the others are left alone"
    assert begun(world, jobs[3]) == []
    world.cancel(jobs[1])
    world.cancel(jobs[2])
    until(world, lambda: not task.live)
    world.calm()
    assert states(world) == {JobState.CANCELLED}


def test_what_was_never_begun_goes_back_when_its_task_is_gone(world: World) -> None:
    jobs = submit(world, 4, LONG, minutes=60)
    task = only_task(world)
    until(world, lambda: len(world.ledger.started) == 2)
    assert task.worker is not None
    task.worker.kill()  # the runner alone; SLURM calls its task failed
    until(world, lambda: len(rows(world.database, "SELECT 1 FROM attempt WHERE number = 2")) == 4)
    first = dict(rows(world.database, "SELECT job_id, cause FROM attempt WHERE number = 1"))
    assert [first[job] in ("killed", "preempted") for job in jobs] == [True, True, False, False]
    assert [first[job] for job in jobs[2:]] == ["cancelled", "cancelled"]
    world.calm()
    assert states(world) == {JobState.SUCCEEDED}


def test_a_runner_that_is_taken_for_dead_begins_nobody_more(world: World) -> None:
    submit(world, 6, LONG, minutes=60)
    task = only_task(world)
    until(world, lambda: len(world.ledger.started) == 2)
    world.cluster.slurmd_dies(world.cluster.nodes[task.node], 60.0)  # its processes go on
    old = world.cluster.runners[0]
    until(world, lambda: len(world.cluster.runners) == 2 and world.cluster.runners[1].manifest is not None)
    began = old.started
    until(world, lambda: states(world) == {JobState.SUCCEEDED}, 20.0)
    assert old.started == began
    world.calm()


def test_a_task_that_cannot_begin_is_one_strike_however_many_are_listed(world: World) -> None:
    for node in world.cluster.nodes.values():
        node.trouble, node.set_down = "setup", node.name != "n1"
    for _ in range(4):
        world.submit(SHORT, bundle=4)
    until(world, lambda: bool(rows(world.database, "SELECT 1 FROM node_health")))
    assert rows(world.database, "SELECT cause, count(*) FROM node_health GROUP BY cause") == [("launch_failure", 1)]
    assert rows(world.database, "SELECT count(*), count(DISTINCT cause) FROM attempt WHERE state = 'ended'") == [(4, 1)]
    for node in world.cluster.nodes.values():
        node.trouble, node.set_down = "", False
    world.calm()
    assert states(world) == {JobState.SUCCEEDED}


def test_terms_that_change_do_not_send_a_job_alone(world: World) -> None:
    jobs = submit(world, 4, LONG, minutes=60)
    until(world, lambda: len(world.ledger.started) == 2)
    for job in jobs:
        world.minds.set(job, minutes=50, at_once=True)
    until(world, lambda: len(world.cluster.tasks) > 1 and len(world.ledger.started) > 2)
    assert world.cluster.tasks[-1].bundle == 4, "those that ran are not taken for given back"
    world.calm()
    assert states(world) == {JobState.SUCCEEDED}
