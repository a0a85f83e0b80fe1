"""Every defect that the simulation found, as a schedule of its own, and the hard rows of docs/slurm.md."""

from __future__ import annotations

import pytest

from jobs.words import JobState
from tests.simulation.invariants import rows
from tests.simulation.looks import SOUND, executions, job_row, running_task, until
from tests.simulation.tripwire import Trap
from tests.simulation.workers import Nature
from tests.simulation.world import World


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


def test_a_cancelled_job_that_is_retried_at_once_begins_anew_when_it_is_gone(world: World) -> None:
    """Two of its processes ran side by side for the fifteen seconds until the next look."""
    job = world.submit(SOUND)
    first = running_task(world)
    world.weather.query_fails = 1.0  # scancel does not come through
    world.cancel(job)
    world.retry(job)
    for _ in range(4):
        world.step(15.0)
    assert first.live and len(world.sbatch.launched) == 1
    world.weather.query_fails = 0.0
    world.calm()
    assert job_row(world, job)[:1] == (JobState.SUCCEEDED,) and len(world.sbatch.launched) == 2


def test_what_began_again_after_its_result_is_read_and_ended(world: World) -> None:
    """slurmctld forgot the end: nobody read or cancelled the new execution, and only a rebuilt database knew of it."""
    job = world.submit(SOUND)
    task = running_task(world)
    until(world, lambda: job_row(world, job)[0] == JobState.SUCCEEDED and task.ended is not None)
    world.step(30.0)
    world.cluster.begin_again(task)
    world.clock.advance(25.0)  # it runs before anybody looks
    until(world, lambda: len(executions(world, job)) == 2)
    until(world, lambda: task.ended is not None)
    assert task.state in ("CANCELLED", "COMPLETED")  # told so, or by its own look at the result
    world.calm()  # the rebuilt database knows the same executions
    (left,) = rows(world.database, "SELECT count(*) FROM execution WHERE ended_at IS NULL")
    assert left == (0,)


def test_a_dead_execution_of_a_job_that_succeeded_is_over(world: World) -> None:
    """It was shown as running for ever, with a growing time."""
    job = world.submit(SOUND)
    task = running_task(world)
    world.cluster.slurmd_dies(world.cluster.nodes[task.node], 1000.0)
    for worker in world.cluster.workers:
        worker.kill()
    until(world, lambda: job_row(world, job)[0] == JobState.SUCCEEDED)
    world.calm()
    found = rows(
        world.database, f"SELECT ending, ended_at IS NULL, cause FROM execution WHERE job_id = {job} ORDER BY ending"
    )
    assert [row[:2] for row in found] == [(None, 0), ("success", 0)] and found[0][2] in ("node_failure", "lost")
