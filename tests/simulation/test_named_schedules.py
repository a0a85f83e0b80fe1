"""Every defect that the simulation found, as a schedule of its own, and the hard rows of docs/slurm.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from db import lease
from db.store import Store
from jobs.words import JobState
from jobs.worker import Task as RealTask
from tests.simulation.cluster import Task
from tests.simulation.invariants import rows
from tests.simulation.tripwire import Trap
from tests.simulation.workers import Nature
from tests.simulation.world import World

SOUND = Nature(epochs=4, epoch_seconds=20.0, every=1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / ".orch", 1)
    with world.running():
        yield world


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


def test_a_cancelled_attempt_whose_launch_never_happened_is_let_go(world: World) -> None:
    """It stayed `doomed`, so that the supervisor never became idle."""
    world.weather.sbatch_fails = 1.0
    job = world.submit(SOUND)
    world.step(1.0)
    world.cancel(job)
    world.calm()
    assert job_row(world)[0] == JobState.CANCELLED


def test_a_success_that_shows_before_its_last_epochs_is_counted_whole(world: World) -> None:
    """The metrics that a slow shared folder showed after the outcome were never read."""
    world.submit(Nature(epochs=3, epoch_seconds=5.0, every=100))
    task = running_task(world)
    assert task.worker is not None and task.worker.path is not None
    metrics = task.worker.path / "metrics.jsonl"
    world.folder._visible[metrics] = world.clock.seconds + 40.0  # that long everybody sees an old metrics.jsonl
    until(world, lambda: any(o.ending == "success" for o in world.ledger.outcomes.values()))
    world.step(5.0)
    assert job_row(world)[0] == JobState.RUNNING
    world.calm()
    assert job_row(world)[0] == JobState.SUCCEEDED


@pytest.mark.parametrize("nature", [SOUND, Nature(epochs=2, epoch_seconds=5.0, every=1, error_at=2)])
def test_what_slurm_requeued_after_its_outcome_leaves_the_queue(world: World, nature: Nature) -> None:
    """A held copy stayed in the queue for ever, another ran again for nobody."""
    world.submit(nature)
    task = running_task(world)
    worker = task.worker
    while world.ledger.outcomes == {}:
        world.clock.advance(1.0)
    world.cluster.requeue(task, "REQUEUED", hold="launch failed requeued held")
    assert worker is not None
    world.calm()
    assert task.state == "CANCELLED"
    assert len(executions(world)) == 1


def test_a_crash_between_journal_and_commit_loses_no_epochs_of_the_result(world: World) -> None:
    """The next supervisor applied the acceptance, and never read the metrics of that execution."""
    world.submit(SOUND)
    running_task(world)
    until(world, lambda: any(o.ending == "success" for o in world.ledger.outcomes.values()), seconds=1.0)
    for at in range(1, 60):
        if job_row(world)[0] == JobState.SUCCEEDED:
            break
        world.turn(Trap(at, "crash"))
        world.invariants.after_step(world.database)
    else:
        pytest.fail("no crash point was beyond the acceptance")
    world.calm()


def test_only_slurmd_killed_two_copies_one_result(world: World) -> None:
    world.submit(SOUND)
    task = running_task(world)
    node = task.node
    world.cluster.slurmd_dies(world.cluster.nodes[node], 1000.0)
    until(world, lambda: len(executions(world)) == 2)
    world.calm()
    state, _, attempts = job_row(world)
    assert (state, attempts) == (JobState.SUCCEEDED, 1)
    found = executions(world)
    assert [name for name, _, _ in found].count(node) == 1
    assert sum(ending == "success" and not superseded for _, ending, superseded in found) == 1


def test_node_fail_then_pending_under_the_same_id_is_one_attempt(world: World) -> None:
    world.submit(SOUND)
    task = running_task(world)
    world.clock.advance(30.0)
    node = world.cluster.nodes[task.node]
    assert task.worker is not None
    world.cluster.slurmd_dies(node, 500.0)
    task.worker.kill()
    until(world, lambda: task.restarts == 1)
    world.calm()
    assert job_row(world) == (JobState.SUCCEEDED, "success", 1)
    assert [path.name.split("-")[0] for path in world.layout.executions(1, 1)] == ["e0", "e1"]


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


def test_a_purged_job_that_carries_on_is_lost_then_accepted_late(world: World) -> None:
    world.submit(Nature(epochs=3, epoch_seconds=60.0, every=100))
    task = running_task(world)
    world.cluster.forget(task)
    worker, task.worker = task.worker, None
    world.weather.accounting, world.weather.stale_at = "stale", world.clock.seconds
    assert worker is not None
    world.calm()
    state, _, _ = job_row(world)
    assert state == JobState.SUCCEEDED


def test_the_late_success_of_a_lost_attempt_closes_its_job(world: World) -> None:
    """A live worker was declared dead, for nobody could see its heart beat: its result is not refused."""
    job = world.submit(Nature(epochs=4, epoch_seconds=60.0, every=100))
    task = running_task(world)
    assert task.worker is not None and task.worker.path is not None
    for name in ("heartbeat", "metrics.jsonl"):
        world.folder._visible[task.worker.path / name] = world.clock.seconds + 200.0
    world.weather.accounting = "off"
    world.cluster.forget(task)
    task.worker = None
    for node in world.cluster.nodes.values():
        node.set_down = True  # its replacement waits
    world.invariants.after_step(world.database)
    for _ in range(60):
        world.clock.advance(5.0)
        world.cluster.beat()
        world.turn()
        world.invariants.after_step(world.database)
    causes = rows(world.database, "SELECT number, cause FROM attempt ORDER BY number")
    assert causes == [(1, "lost"), (2, "cancelled")]
    assert job_row(world, job)[0] == JobState.SUCCEEDED
    assert rows(
        world.database,
        "SELECT a.number FROM result JOIN execution e ON e.id = execution_id JOIN attempt a ON a.id = e.attempt_id",
    ) == [(1,)]


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
    trap = world.overtaken(8)
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
            trap = world.overtaken(8)
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


def test_a_folder_that_does_not_answer_gives_up_nothing(world: World) -> None:
    """A stale handle of the shared folder ended the supervisor; and no job may be judged without its files."""
    job = world.submit(Nature(epochs=2, epoch_seconds=10.0, every=1))
    running_task(world)
    for _ in range(8):
        world.step(15.0, Trap(1, "stale"))
    assert job_row(world, job)[2] == 1
    world.step(15.0)
    assert job_row(world, job) == (JobState.SUCCEEDED, "success", 1)
    world.calm()


def test_an_orphan_that_lives_outlasts_the_failure_of_its_twin(world: World) -> None:
    """The twin failed on a bad node before it had files: the orphan's were taken for its own, and the job failed."""
    job = world.submit(Nature(epochs=4, epoch_seconds=60.0, every=100))
    task = running_task(world)
    here = task.node
    for node in world.cluster.nodes.values():
        node.trouble = "setup"  # but not for what runs already
    world.cluster.slurmd_dies(world.cluster.nodes[here], 5000.0)
    until(world, lambda: task.state == "FAILED")
    for _ in range(60):
        world.step(5.0)
    assert job_row(world, job) == (JobState.SUCCEEDED, "success", 1)
    world.calm()


def test_what_ran_is_not_said_never_to_have_been_launched_after_a_rebuild(world: World) -> None:
    """Without records, and forgotten by the queue, its workers' own files tell SLURM's id."""
    world.weather.accounting = "off"
    job = world.submit(Nature(epochs=9, epoch_seconds=60.0, every=100))
    task = running_task(world)
    assert task.worker is not None
    task.worker.kill()
    world.cluster.forget(task)
    world.stop_supervisor()
    world.rebuild()
    until(world, lambda: job_row(world, job)[2] == 2)
    assert rows(world.database, "SELECT cause FROM attempt WHERE number = 1") == [("lost",)]
    world.calm()


def test_a_restart_count_that_repeats_names_no_execution(world: World) -> None:
    world.submit(SOUND)
    task = running_task(world)
    for _ in range(2):
        world.cluster.node_fail(task)
        world.clock.advance(4.0)
        task.restarts = 1  # the controller came back with an older count
        until(world, lambda: bool(world.cluster.running()))
    world.calm()
    names = [path.name.split("-")[0] for path in world.layout.executions(1, 1)]
    assert names.count("e1") == 2
    assert job_row(world) == (JobState.SUCCEEDED, "success", 1)


def test_a_retry_counts_only_its_own_generation(world: World) -> None:
    """A copy of the cancelled generation that finishes late closes nothing."""
    job = world.submit(Nature(epochs=3, epoch_seconds=30.0, every=100))
    task = running_task(world)
    world.cluster.slurmd_dies(world.cluster.nodes[task.node], 5000.0)  # nothing can end that copy
    world.cancel(job)
    world.step(5.0)
    world.retry(job)
    world.calm()
    assert rows(world.database, "SELECT generation FROM result") == [(2,)]


def test_accounting_off_and_jobs_soon_forgotten(world: World) -> None:
    world.weather.accounting = "off"
    world.cluster.remembers = 1.0
    jobs = [world.submit(SOUND) for _ in range(3)]
    world.calm()
    assert {job_row(world, job) for job in jobs} == {(JobState.SUCCEEDED, "success", 1)}
