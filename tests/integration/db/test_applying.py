"""What an entry of the journal does to the rows, one thing at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from db import attempts, executions, jobs
from db.entries import Accepted, Ended, Retry
from jobs.files import read_json
from jobs.records import Outcome, Started
from jobs.words import Cause, JobState
from tests.helpers.filled import Filled


def state(filled: Filled, job: int) -> JobState:
    with filled.store.read() as connection:
        return jobs.get(connection, job).state


def test_a_copy_given_up_for_lost_that_finishes_dooms_its_replacement_and_supersedes_it(filled: Filled) -> None:
    (job,) = filled.submit()
    filled.dispatch(job)
    lost = filled.start(job)
    filled.end(job, Cause.LOST, JobState.QUEUED)
    filled.dispatch(job)
    replacement = filled.start(job)
    started = read_json(lost / "started.json", Started)
    assert started is not None
    entry = Accepted(
        job=job,
        attempt=1,
        execution=lost.name,
        generation=1,
        started=started,
        metrics={"test_accuracy": 90.0},
        at=filled.tick(),
    )
    success = Outcome(ending="success", cause=Cause.SUCCESS, at=filled.tick())
    with filled.store.write() as writer:  # both have finished, and the first one counts
        executions.ended(writer.connection, filled.row(writer.connection, replacement), success, Cause.SUCCESS)
        writer.decide([entry])
    with filled.store.read() as connection:
        second = attempts.of_job(connection, job)[1]
        superseded = {run.name: run.superseded for run in executions.of_job(connection, job)}
    assert state(filled, job) is JobState.SUCCEEDED
    assert (second.state, second.doomed, second.cause) == ("ended", True, Cause.CANCELLED)
    assert superseded == {lost.name: False, replacement.name: True}


def test_the_end_of_an_attempt_before_does_not_end_the_job_that_runs(filled: Filled) -> None:
    (job,) = filled.submit()
    filled.dispatch(job)
    filled.end(job, Cause.LOST, JobState.QUEUED)
    filled.dispatch(job)
    again = Ended(job=job, attempt=1, cause=Cause.ERROR, then=JobState.FAILED.value, error="late", at=filled.tick())
    with filled.store.write() as writer:
        writer.decide([again])
    assert state(filled, job) is JobState.SUBMITTED
    later = Ended(job=job, attempt=3, cause=Cause.ERROR, then=JobState.FAILED.value, error="never", at=filled.tick())
    with filled.store.write() as writer:
        writer.decide([later])
    assert state(filled, job) is JobState.SUBMITTED


@pytest.mark.parametrize("tolerant", [True, False])
def test_who_waits_for_a_failed_job_goes_on_only_where_it_tolerates_failures(filled: Filled, tolerant: bool) -> None:
    first, second = filled.submit(seeds=[0, 1])
    (after,) = filled.submit(values={"epochs": 9}, needs=[first, second], tolerant=tolerant)
    for job in (first, second):
        filled.dispatch(job)
        assert state(filled, after) is JobState.WAITING, "one that runs has not failed"
    filled.end(first, Cause.ERROR, JobState.FAILED, node=None)
    assert state(filled, after) is JobState.WAITING
    filled.end(second, Cause.ERROR, JobState.FAILED, node=None)
    assert state(filled, after) is (JobState.QUEUED if tolerant else JobState.WAITING)


def test_a_retry_is_another_generation_with_a_clean_slate(filled: Filled) -> None:
    (job,) = filled.submit()
    filled.dispatch(job)
    filled.end(job, Cause.ERROR, JobState.FAILED, node=None, not_before=filled.at + timedelta(hours=1))
    with filled.store.write() as writer:
        writer.decide([Retry(jobs=(job,), at=filled.tick())])
    with filled.store.read() as connection:
        found = jobs.get(connection, job)
        due = [one.id for one in jobs.dispatchable(connection, "local", filled.at, 10)]
    assert (found.state, found.generation, due) == (JobState.QUEUED, 2, [job])
