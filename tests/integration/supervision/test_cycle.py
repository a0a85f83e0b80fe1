"""One cycle on a real store with an obedient backend: what is durable before a launch, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from db import attempts, executions, jobs, lease, rhythms
from db.store import LeaseLost
from db.submissions import open_intents
from jobs.files import read_json
from jobs.records import JobFile, Manifest
from jobs.resources import InQueue
from jobs.rhythm import Rhythm
from jobs.words import BackendName, JobState
from orchestrator.settings import Settings
from orchestrator.supervision.supervisor import Supervisor
from slurm.backend import (
    AttemptKey,
    Batch,
    Launched,
    LaunchRefused,
    LaunchUncertain,
    LimitReached,
    LiveAttempt,
    Observation,
    ObservationFailed,
    Phase,
    QueuedJob,
    Standing,
    Submission,
)
from slurm.pools import Pools
from tests.helpers.filled import Filled


@dataclass
class Obedient:
    """A backend of single submissions. `answers`: job → what its launch raises; `deaf`: it answers no question."""

    name: BackendName = BackendName.LOCAL
    launch_seconds: float = 0.0
    answers: dict[int, Exception] = field(default_factory=dict)
    launched: dict[str, Submission] = field(default_factory=dict)
    cancelled: list[AttemptKey] = field(default_factory=list)
    phase: Phase = Phase.RUNNING
    deaf: bool = False

    def plan(self, queued: Sequence[QueuedJob], live: Sequence[LiveAttempt], exclude: frozenset[str]) -> list[Batch]:
        return [Batch(jobs=(job,), slot=f"cpu:{job.job}") for job in queued]

    def launch(self, submission: Submission) -> Launched:
        error = self.answers.get(submission.batch.jobs[0].job)
        if error is not None:
            raise error
        self.launched[submission.token] = submission
        return Launched(f"native of {submission.batch.jobs[0].job}")

    def find(self, intents: Sequence[Submission]) -> dict[str, str]:
        self._answer()
        return {intent.token: "found" for intent in intents if intent.token in self.launched}

    def observe(self, live: Sequence[LiveAttempt]) -> dict[AttemptKey, Observation]:
        self._answer()
        return {attempt.key: Observation(phase=self.phase) for attempt in live if attempt.native_id is not None}

    def others(self, live: Sequence[LiveAttempt]) -> list[tuple[str, int, bool]]:
        return []

    def cancel(self, live: Sequence[LiveAttempt]) -> None:
        self.cancelled += [attempt.key for attempt in live]

    def standing(self, live: Sequence[LiveAttempt]) -> dict[AttemptKey, Standing]:
        return {}

    def alter(self, wanted: Sequence[tuple[LiveAttempt, InQueue]]) -> None:
        """Nothing waits."""

    def avoid(self, live: Sequence[LiveAttempt], exclude: frozenset[str]) -> None:
        self._answer()

    def pools(self) -> Pools:
        return Pools()

    def _answer(self) -> None:
        if self.deaf:
            raise ObservationFailed("it is deaf")


@dataclass
class Room:
    """A store of three queued jobs, a supervisor and its backend."""

    filled: Filled
    backend: Obedient
    supervisor: Supervisor

    def states(self) -> list[JobState]:
        with self.filled.store.read() as connection:
            return [jobs.get(connection, job).state for job in (1, 2, 3)]

    def decisions(self, job: int) -> list[str | None]:
        with self.filled.store.read() as connection:
            return [attempt.decision for attempt in attempts.of_job(connection, job)]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    filled = Filled.make(tmp_path / ".orch")
    filled.submit(seeds=[0, 1, 2])
    backend = Obedient()
    number = lease.take(filled.store)
    assert number is not None
    return Room(filled, backend, Supervisor(filled.store, {BackendName.LOCAL: lambda: backend}, Settings(), number))


def test_the_intent_is_durable_before_the_launch(room: Room) -> None:
    room.supervisor.cycle(observe=[BackendName.LOCAL])
    layout = room.filled.store.layout
    assert len(room.backend.launched) == 3
    for token, submission in room.backend.launched.items():
        manifest = read_json(layout.manifest(token), Manifest)
        assert manifest == submission.manifest
        (task,) = submission.manifest.tasks
        described = read_json(layout.job(task.job) / "job.json", JobFile)
        assert described is not None and (described.id, task.attempt, task.generation) == (task.job, 1, 1)
    assert room.states() == [JobState.SUBMITTED] * 3


def test_what_was_learnt_of_a_config_goes_along(room: Room) -> None:
    """A worker never opens the database: how often its program reports it is told by the manifest."""
    known = Rhythm(silences=40, median=1.0, longest=(2.0,), first=1.0, whole=1)
    room.filled.succeed(1, {"test_accuracy": 1.0})
    with room.filled.store.write() as writer:
        rhythms.keep(writer.connection, executions.of_job(writer.connection, 1)[-1].id, known)
    (other,) = room.filled.submit(values={"repeat": 1})
    room.supervisor.cycle(observe=[BackendName.LOCAL])
    told = {one.manifest.tasks[0].job: one.manifest.tasks[0].rhythms for one in room.backend.launched.values()}
    assert told == {2: (known,), 3: (known,), other: ()}


def test_one_submission_that_is_refused_or_unclear_does_not_stop_the_next(room: Room) -> None:
    room.backend.answers = {1: LaunchRefused("no such partition"), 2: LaunchUncertain("timed out")}
    room.supervisor.cycle(observe=[BackendName.LOCAL])
    assert room.states() == [JobState.FAILED, JobState.SUBMITTED, JobState.SUBMITTED]
    assert room.decisions(1) == ["no such partition"]
    assert len(room.backend.launched) == 1


def test_a_limit_sends_the_rest_back_to_the_queue_without_counting_against_it(room: Room) -> None:
    room.backend.answers = {2: LimitReached("AssocMaxSubmitJobLimit")}
    cycle = room.supervisor.cycle(observe=[BackendName.LOCAL])
    assert room.states() == [JobState.SUBMITTED, JobState.QUEUED, JobState.QUEUED]
    assert room.decisions(3) == ["waits: AssocMaxSubmitJobLimit"]
    assert (cycle.changed, cycle.idle) == (True, False)


def test_an_unclear_launch_is_adopted_where_it_happened_and_queued_again_where_not(room: Room) -> None:
    room.backend.answers = {1: LaunchUncertain("timed out"), 2: LaunchUncertain("timed out")}
    room.supervisor.cycle(observe=[BackendName.LOCAL], dispatch=True)
    with room.filled.store.read() as connection:
        tokens = {attempt.job: attempt.token for attempt in attempts.live(connection)}
        intents = [intent.token for intent in open_intents(connection)]
    assert sorted(intents) == sorted([tokens[1], tokens[2]])
    room.backend.launched[tokens[1]] = room.backend.launched[tokens[3]]  # it had happened after all
    room.supervisor.cycle(observe=[BackendName.LOCAL], dispatch=False)
    with room.filled.store.read() as connection:
        assert {attempt.job: attempt.native_id for attempt in attempts.live(connection)} == {
            1: "found",
            3: "native of 3",
        }
    assert room.states() == [JobState.RUNNING, JobState.QUEUED, JobState.RUNNING]
    layout = room.filled.store.layout
    assert (layout.given_up(tokens[2]).exists(), layout.given_up(tokens[1]).exists()) == (True, False)


def test_a_deaf_machine_changes_nothing_and_is_named(room: Room) -> None:
    room.supervisor.cycle(observe=[BackendName.LOCAL])
    before = room.states()
    room.backend.deaf = True
    cycle = room.supervisor.cycle(observe=[BackendName.LOCAL])
    assert (cycle.silent, cycle.changed, room.states()) == ({"local": "it is deaf"}, False, before)


def test_what_nobody_wants_is_ended_until_the_machines_are_without_it(room: Room) -> None:
    room.supervisor.cycle(observe=[BackendName.LOCAL])
    room.filled.cancel(1)
    for _ in range(2):
        room.supervisor.cycle(observe=[BackendName.LOCAL])
    assert room.backend.cancelled == [(1, 1), (1, 1)]
    room.backend.phase = Phase.ENDED
    room.supervisor.cycle(observe=[BackendName.LOCAL], dispatch=False)
    with room.filled.store.read() as connection:
        assert not any(attempt.job == 1 for attempt in attempts.live(connection))


def test_whoever_was_overtaken_launches_nothing(room: Room) -> None:
    with room.filled.store.write() as writer:
        writer.connection.exec_driver_sql("UPDATE lease SET number = number + 1")
    with pytest.raises(LeaseLost):
        room.supervisor.cycle(observe=[BackendName.LOCAL])
    assert (room.backend.launched, room.states()) == ({}, [JobState.QUEUED] * 3)
