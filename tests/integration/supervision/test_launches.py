"""Launches in flight, on a clock that the test moves: who waits for whom, and what may be said of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from db import attempts, jobs, lease
from db.submissions import open_intents
from jobs.errors import OrchError
from jobs.files import now
from jobs.words import AttemptState, BackendName, JobState
from orchestrator.settings import Settings
from orchestrator.supervision.intents import SPAWN_SECONDS
from orchestrator.supervision.launches import LIMIT_PAUSE_SECONDS, MOST_IN_FLIGHT, PATIENCE_SECONDS
from orchestrator.supervision.supervisor import Supervisor
from slurm.backend import Batch, LaunchRefused, LaunchUncertain, LimitReached, QueuedJob, Submission
from tests.helpers.filled import Filled
from tests.integration.supervision.test_cycle import Obedient

SLURM = [BackendName.SLURM]
LAUNCH_SECONDS = 65.0


@dataclass
class Moved:
    """A clock that stands still until it is moved."""

    seconds: float = 0.0
    begin: datetime = field(default_factory=now)

    def now(self) -> datetime:
        return self.begin + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Slow(Obedient):
    """Its launches are over when the test says so. `flying`: job → its answer, None while it is in flight."""

    name: BackendName = BackendName.SLURM
    launch_seconds: float = LAUNCH_SECONDS
    flying: dict[int, str | OrchError | None] = field(default_factory=dict)
    there: set[int] = field(default_factory=set)
    """Jobs that a query finds."""
    planned: set[int] = field(default_factory=set)

    def plan(self, queued: list[QueuedJob], live: object, exclude: object) -> list[Batch]:  # type: ignore[override]
        return [Batch(jobs=(job,)) for job in queued]

    def launch(self, submission: Submission) -> Flight:  # type: ignore[override]
        (task,) = submission.manifest.tasks
        self.flying[task.job] = None
        return Flight(self, task.job)

    def find(self, intents: list[Submission]) -> dict[str, str]:  # type: ignore[override]
        return {one.token: "found" for one in intents if one.manifest.tasks[0].job in self.there}


@dataclass
class Flight:
    backend: Slow
    job: int

    def poll(self) -> str | None:
        answer = self.backend.flying[self.job]
        if isinstance(answer, OrchError):
            raise answer
        return answer


@dataclass
class Tower:
    """A store with queued jobs, and one supervisor after the other."""

    filled: Filled
    clock: Moved
    backend: Slow
    supervisor: Supervisor

    def cycle(self, seconds: float = 0.0, *, dispatch: bool = True) -> None:
        self.clock.seconds += seconds
        self.supervisor.cycle(observe=SLURM, dispatch=dispatch)

    def successor(self) -> None:
        """The supervisor is gone, and another one takes over."""
        self.supervisor = begin(self.filled, self.backend, self.clock)

    def state(self, job: int) -> tuple[JobState, str | None]:
        """Of the job, and what was decided of its last attempt."""
        with self.filled.store.read() as connection:
            return jobs.get(connection, job).state, attempts.of_job(connection, job)[-1].decision

    def native(self, job: int) -> str | None:
        with self.filled.store.read() as connection:
            return attempts.of_job(connection, job)[-1].native_id


def begin(filled: Filled, backend: Slow, clock: Moved) -> Supervisor:
    with filled.store.write() as writer:
        lease.give_up(writer.connection)
    number = lease.take(filled.store)
    assert number is not None
    return Supervisor(filled.store, {BackendName.SLURM: lambda: backend}, Settings(), number, clock)


@pytest.fixture
def tower(tmp_path: Path) -> Iterator[Tower]:
    filled = Filled.make(tmp_path / ".orch")
    clock, backend = Moved(), Slow()
    yield Tower(filled, clock, backend, begin(filled, backend, clock))


def submit(tower: Tower, count: int) -> list[int]:
    return tower.filled.submit(seeds=range(count), backend="slurm")


def test_one_after_the_other_while_each_answers(tower: Tower) -> None:
    submit(tower, 3)
    tower.cycle()
    assert tower.backend.flying == {1: None}
    tower.backend.flying[1] = "11"
    tower.supervisor.launches.go_on()
    assert tower.backend.flying == {1: "11", 2: None}
    assert (tower.native(1), tower.native(2)) == ("11", None)


def test_none_waits_long_for_one_that_hangs(tower: Tower) -> None:
    submit(tower, MOST_IN_FLIGHT + 2)
    tower.cycle()
    for number in range(1, MOST_IN_FLIGHT + 3):
        assert len(tower.backend.flying) == min(number, MOST_IN_FLIGHT)
        tower.clock.seconds += PATIENCE_SECONDS
        tower.supervisor.launches.go_on()
    tower.backend.flying[3] = "33"
    tower.supervisor.launches.go_on()
    assert tower.native(3) == "33" and len(tower.backend.flying) == MOST_IN_FLIGHT + 1


def test_a_launch_in_flight_is_never_missed(tower: Tower) -> None:
    submit(tower, 1)
    tower.cycle()
    for _ in range(10):
        tower.cycle(60.0)
    assert tower.state(1) == (JobState.SUBMITTED, None)
    tower.backend.flying[1] = LaunchUncertain("killed")
    tower.cycle(60.0)
    assert tower.state(1)[0] is JobState.SUBMITTED, "a query just after its end is the first miss"
    tower.cycle(60.0, dispatch=False)
    state, decision = tower.state(1)
    assert state is JobState.QUEUED and decision is not None and "never happened" in decision


def test_a_successor_waits_longer_than_a_launch_can_take(tower: Tower) -> None:
    submit(tower, 1)
    tower.cycle()
    tower.successor()
    tower.cycle(LAUNCH_SECONDS + SPAWN_SECONDS - 1, dispatch=False)
    with tower.filled.store.read() as connection:
        (intent,) = open_intents(connection)
    assert intent.misses == 0
    tower.cycle(1.0, dispatch=False)
    tower.backend.there = {1}  # it was accepted at the last moment
    tower.cycle(60.0, dispatch=False)
    assert tower.native(1) == "found"


def test_what_is_cancelled_before_its_turn_is_never_launched(tower: Tower) -> None:
    submit(tower, 3)
    tower.cycle()
    tower.filled.cancel(2)
    tower.backend.flying[1] = "11"
    tower.supervisor.launches.go_on()
    assert tower.backend.flying == {1: "11", 3: None}
    with tower.filled.store.read() as connection:
        (cancelled,) = attempts.of_job(connection, 2)
    assert (cancelled.state, cancelled.doomed) == (AttemptState.ENDED, False)


def test_what_is_cancelled_in_flight_is_ended_once_it_is_there(tower: Tower) -> None:
    submit(tower, 1)
    tower.cycle()
    tower.filled.cancel(1)
    tower.cycle(15.0)
    tower.backend.flying[1] = "11"
    tower.cycle(15.0)
    tower.cycle(15.0)
    assert tower.backend.cancelled[-1] == (1, 1) and tower.native(1) == "11"


@pytest.mark.parametrize("error", [LaunchRefused("no such partition"), LimitReached("too many jobs")])
def test_what_is_found_meanwhile_is_believed_more_than_an_error(tower: Tower, error: OrchError) -> None:
    submit(tower, 1)
    tower.cycle()
    tower.backend.there = {1}
    tower.cycle(15.0)
    tower.backend.flying[1] = error
    tower.cycle(15.0)
    assert tower.native(1) == "found" and tower.state(1)[0] is JobState.RUNNING


def test_a_limit_holds_the_rest_back_for_a_while(tower: Tower) -> None:
    submit(tower, 3)
    tower.cycle()
    tower.backend.flying[1] = LimitReached("too many jobs")
    tower.cycle()
    assert [tower.state(job) for job in (1, 2, 3)] == [(JobState.QUEUED, "waits: too many jobs")] * 3
    tower.cycle(LIMIT_PAUSE_SECONDS)
    assert tower.backend.flying == {1: None}


def test_whoever_is_told_to_end_leaves_no_launch_behind_that_was_not_begun(tower: Tower) -> None:
    submit(tower, 2)
    tower.cycle()
    tower.supervisor.abandon()
    assert tower.state(1)[0] is JobState.SUBMITTED, "it is in flight: its successor finds out"
    assert tower.state(2)[0] is JobState.QUEUED
