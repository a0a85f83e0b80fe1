"""What a supervisor leaves half read, or half written, when it dies: the next one must find it."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest

from db import journal
from jobs.layout import Layout
from jobs.words import JobState
from orchestrator.supervision import reading
from orchestrator.supervision.reading import Reader
from tests.simulation.invariants import rows
from tests.simulation.looks import SOUND, running_task, until
from tests.simulation.tripwire import Trap
from tests.simulation.workers import Nature
from tests.simulation.world import World


class Unlucky(Random):
    """A power cut takes all that it can."""

    def random(self) -> float:
        return 0.0


def test_epochs_that_show_after_a_failure_are_read_by_the_next_supervisor(world: World) -> None:
    """The first knew the outcome and died; the second took that for all there was, and only a rebuild knew them."""
    job = world.submit(Nature(epochs=5, epoch_seconds=5.0, every=1, error_at=4))
    task = running_task(world)
    assert task.worker is not None and task.worker.path is not None
    world.folder._visible[task.worker.path / "metrics.jsonl"] = world.clock.seconds + 60.0  # an old one is shown
    query = f"SELECT ending, epoch FROM execution WHERE job_id = {job}"
    until(world, lambda: rows(world.database, query) == [("failure", None)])
    world.stop_supervisor()
    world.step(1.0)  # the next one sees the old file as well
    assert rows(world.database, query) == [("failure", None)]
    world.calm()
    assert rows(world.database, query) == [("failure", 3)]


@pytest.mark.parametrize("dies_at", range(1, 8))
def test_a_decision_that_a_crash_left_is_on_the_disk_before_the_database_holds_it(world: World, dies_at: int) -> None:
    """The next supervisor committed a journal file whose name a power cut then took: 'restore it from a backup'."""
    world.submit(SOUND)
    world.step(0.0, Trap(1, "crash"))
    before = journal.last_number(world.layout.journal)
    for at in range(1, 20):  # after the rename of the journal's file, before the fsync of its folder
        world.turn(Trap(at, "crash", name="fsync"))
        if journal.last_number(world.layout.journal) > before:
            break
    else:
        pytest.fail("\n".join(world.story))
    world.random, fair = Unlucky(), world.random
    world.turn(Trap(dies_at, "power", name="committed"))
    assert any("with its machine" in line for line in world.story)
    world.random = fair
    world.invariants.after_step(world.database)
    world.calm()
    assert rows(world.database, "SELECT state FROM job") == [(JobState.SUCCEEDED,)]


@pytest.mark.parametrize("hold", ["launch failed requeued held", "job requeued in held state"])
def test_what_began_again_for_a_failed_job_and_is_held_leaves_the_queue(world: World, hold: str) -> None:
    """A late success of a failed job counts, but a held one never comes to it: it stayed in the queue for ever."""
    job = world.submit(Nature(epochs=4, epoch_seconds=5.0, every=1, error_at=2))
    task = running_task(world)
    until(world, lambda: task.ended is not None)
    world.step(30.0)
    assert task.worker is None or not task.worker.alive
    world.cluster.begin_again(task)
    world.cluster.requeue(task, "REQUEUED", hold=hold)
    until(world, lambda: task.ended is not None)
    assert task.state == "CANCELLED"
    world.calm()
    assert rows(world.database, f"SELECT state FROM job WHERE id = {job}") == [(JobState.FAILED,)]


def test_a_folder_that_did_not_answer_at_first_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new supervisor took it for read."""
    world.submit(SOUND)
    world.calm()
    world.turn()
    assert world.supervisor is not None
    reader, listed, failed = Reader(world.supervisor.tenure), Layout.executions, list[int]()

    def executions(self: Layout, job: int, attempt: int) -> list[Path]:
        if not failed:
            failed.append(attempt)
            raise OSError(errno.ESTALE, "Stale file handle")
        return listed(self, job, attempt)

    monkeypatch.setattr(Layout, "executions", executions)
    monkeypatch.setattr(reading, "goes_on", lambda folder, epoch: True)
    assert reader._late([]) == [] and failed
    world.clock.advance(30.0)
    assert [attempt.number for attempt in reader._late([])] == [1]
