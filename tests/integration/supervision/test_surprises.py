"""What comes in between: a cancel while a launch is planned, and a worker that tells its id where no query does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from db import attempts, health, jobs, journal, lease, results
from db.entries import Cancel, Retry
from jobs.files import now, write_json
from jobs.records import Outcome, Started
from jobs.words import BackendName, Cause, JobState
from orchestrator.settings import Settings
from orchestrator.supervision.supervisor import Supervisor
from slurm.backend import AttemptKey, Batch, LaunchUncertain, LiveAttempt, Observation, Phase, QueuedJob
from tests.helpers.filled import Filled
from tests.integration.supervision.test_cycle import Obedient

LOCAL = [BackendName.LOCAL]


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    """A store of three queued jobs."""
    made = Filled.make(tmp_path / ".orch")
    made.submit(seeds=[0, 1, 2])
    return made


def supervisor(filled: Filled, backend: Obedient) -> Supervisor:
    number = lease.take(filled.store)
    assert number is not None
    return Supervisor(filled.store, {BackendName.LOCAL: lambda: backend}, Settings(), number)


def states(filled: Filled) -> list[JobState]:
    with filled.store.read() as connection:
        return [jobs.get(connection, job).state for job in (1, 2, 3)]


@dataclass
class Interfering(Obedient):
    """Somebody cancels job 1 while it is planned."""

    filled: Filled | None = None

    def plan(self, queued: Sequence[QueuedJob], live: Sequence[LiveAttempt], exclude: frozenset[str]) -> list[Batch]:
        if self.filled is not None:
            self.filled.cancel(1)
            self.filled = None
        return super().plan(queued, live, exclude)


def test_a_job_that_is_cancelled_while_it_is_planned_is_not_sent_and_the_others_are(filled: Filled) -> None:
    backend = Interfering(filled=filled)
    supervisor(filled, backend).cycle(observe=LOCAL)
    assert states(filled) == [JobState.CANCELLED, JobState.SUBMITTED, JobState.SUBMITTED]
    assert [item.manifest.tasks[0].job for item in backend.launched.values()] == [2, 3]


def test_an_unclear_launch_is_known_by_what_its_worker_wrote_where_no_query_finds_it(filled: Filled) -> None:
    """The queue has forgotten it and the accounting is off: it ran all the same, and must not run twice."""
    backend = Obedient(answers={1: LaunchUncertain("timed out")})
    made = supervisor(filled, backend)
    made.cycle(observe=LOCAL)
    with filled.store.read() as connection:
        (unclear,) = [attempt for attempt in attempts.live(connection) if attempt.job == 1]
    folder = filled.store.layout.new_execution(1, 1, 0)
    started = Started(
        job=1,
        attempt=1,
        generation=1,
        token=unclear.token,
        index=0,
        restart=0,
        node="n1",
        host="n1",
        pid=7,
        process_start=0.0,
        boot_id="b",
        slurm_job="41_0",
        at=now(),
    )
    write_json(folder / "started.json", started)
    made.cycle(observe=LOCAL, dispatch=False)
    with filled.store.read() as connection:
        (known,) = attempts.of_job(connection, 1)
    assert known.native_id == "41" and known.state != "ended"
    assert states(filled)[0] in (JobState.SUBMITTED, JobState.RUNNING)


@dataclass
class Between(Obedient):
    """What happens while the machines are asked, once; and what they say of job 1."""

    happens: Callable[[], None] | None = None
    said: Observation | None = None

    def observe(self, live: Sequence[LiveAttempt]) -> dict[AttemptKey, Observation]:
        found = super().observe(live)
        if self.happens is not None:
            self.happens()
            self.happens = None
        if self.said is not None and (1, 1) in found:
            found[1, 1] = self.said
            self.said = None
        return found


def struck(filled: Filled) -> list[tuple[str, str]]:
    with filled.store.read() as connection:
        return [(one.node, str(one.cause)) for one in health.strikes(connection, filled.at - timedelta(days=1))]


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.PENDING, Phase.ENDED])
def test_a_cancel_between_the_look_and_the_verdict_stands(filled: Filled, phase: Phase) -> None:
    backend = Between()
    made = supervisor(filled, backend)
    made.cycle(observe=LOCAL)
    backend.happens = lambda: filled.cancel(1)
    backend.said = Observation(phase=phase, node="n1", cause=Cause.NODE_FAILURE if phase is Phase.ENDED else None)
    made.cycle(observe=LOCAL, dispatch=False)
    assert states(filled) == [JobState.CANCELLED, JobState.RUNNING, JobState.RUNNING]
    with filled.store.read() as connection:
        (attempt,) = attempts.of_job(connection, 1)
    assert (attempt.cause, attempt.decision) == (Cause.CANCELLED, None)
    last = journal.last_number(filled.store.layout.journal)
    assert [type(entry) for entry in journal.read(journal.path_of(filled.store.layout.journal, last))] == [Cancel]
    assert struck(filled) == [], "a cancel is not the node's fault"


def test_a_success_of_before_the_retry_does_not_close_the_retried_job(filled: Filled) -> None:
    """Cancelled and retried at once: the old worker finishes while the job waits for its next attempt."""
    made = supervisor(filled, Obedient())
    made.cycle(observe=LOCAL)
    folder = filled.start(1)
    filled.cancel(1)
    with filled.store.write() as writer:
        writer.decide([Retry(jobs=(1,), at=filled.tick())])
    outcome = Outcome(ending="success", cause=Cause.SUCCESS, result={"test_accuracy": 50.0}, at=filled.tick())
    write_json(folder / "outcome.json", outcome)
    made.cycle(observe=LOCAL, dispatch=False)
    with filled.store.read() as connection:
        job = jobs.get(connection, 1)
        assert (job.state, job.generation) == (JobState.QUEUED, 2)
        assert results.accepted_execution(connection, 1) is None


@pytest.mark.parametrize("cause", [Cause.NODE_FAILURE, Cause.LAUNCH_FAILURE, Cause.PREEMPTED])
def test_a_node_that_slurm_took_a_job_from_is_struck_once_where_it_failed(filled: Filled, cause: Cause) -> None:
    backend = Between()
    made = supervisor(filled, backend)
    made.cycle(observe=LOCAL)
    before = Observation(phase=Phase.ENDED, node="n7", cause=cause)
    backend.said = Observation(phase=Phase.PENDING, reason="BeginTime", previous=before)
    for _ in range(2):
        made.cycle(observe=LOCAL, dispatch=False)
    assert struck(filled) == ([] if cause is Cause.PREEMPTED else [("n7", str(cause))])


@pytest.mark.parametrize("resume", [False, True])
def test_a_retry_begins_anew_unless_it_was_asked_to_resume(filled: Filled, resume: bool) -> None:
    filled.dispatch(1)
    filled.end(1, Cause.ERROR, JobState.FAILED, error="ValueError: no", node=None)
    with filled.store.write() as writer:
        writer.decide([Retry(jobs=(1,), resume=resume, at=filled.tick())])
    backend = Obedient()
    supervisor(filled, backend).cycle(observe=LOCAL)
    (task,) = [task for item in backend.launched.values() for task in item.manifest.tasks if task.job == 1]
    assert (task.attempt, task.generation, task.resume) == (2, 2, resume)
