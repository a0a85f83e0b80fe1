"""How attempts end in the store: what is superseded, and what a clock that was set back does not hold back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from db import attempts, executions, jobs
from db.entries import Retry
from jobs.records import Outcome
from jobs.words import Cause, JobState
from tests.helpers.filled import Filled


def test_superseded_is_what_another_result_or_generation_left_behind(filled: Filled) -> None:
    """Whichever way it is read: live, or after the fact."""
    (job,) = filled.submit()
    filled.dispatch(job)
    first = filled.start(job)
    filled.end(job, Cause.LOST, JobState.QUEUED)
    second = filled.succeed(job, {"test_accuracy": 90.0})
    late = success(filled)
    with filled.store.write() as writer:
        executions.ended(writer.connection, filled.row(writer.connection, first), late, Cause.SUCCESS)
        executions.ended(writer.connection, filled.row(writer.connection, second), late, Cause.SUCCESS)
    with filled.store.read() as connection:
        assert [(run.name, run.superseded) for run in executions.of_job(connection, job)] == [
            (first.name, True),
            (second.name, False),
        ]


@pytest.mark.parametrize("retried", [False, True])
def test_a_success_after_the_cancel_is_superseded(filled: Filled, retried: bool) -> None:
    (job,) = filled.submit()
    filled.dispatch(job)
    folder = filled.start(job)
    filled.cancel(job)
    if retried:
        with filled.store.write() as writer:
            writer.decide([Retry(jobs=(job,), at=filled.tick())])
    with filled.store.write() as writer:
        executions.ended(writer.connection, filled.row(writer.connection, folder), success(filled), Cause.SUCCESS)
    with filled.store.read() as connection:
        assert [run.superseded for run in executions.of_job(connection, job)] == [True]
        assert jobs.get(connection, job).state is (JobState.QUEUED if retried else JobState.CANCELLED)
        assert attempts.of_job(connection, job)[0].doomed


def success(filled: Filled) -> Outcome:
    return Outcome(ending="success", cause=Cause.SUCCESS, at=filled.tick())


def test_a_clock_set_back_holds_no_job_back(filled: Filled) -> None:
    (job,) = filled.submit()
    filled.dispatch(job)
    filled.end(job, Cause.LOST, JobState.QUEUED, not_before=filled.at + timedelta(minutes=5))
    with filled.store.read() as connection:

        def ready(minutes: float) -> list[int]:
            at = filled.at + timedelta(minutes=minutes)
            return [found.id for found in jobs.dispatchable(connection, "local", at, 10)]

        assert ready(0) == []
        assert ready(6) == [job]
        assert ready(-600) == [job]
