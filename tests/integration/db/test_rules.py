"""The rules of the store are the database's own: a wrong program is refused by SQLite, whatever it runs."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy.exc import IntegrityError

from db import jobs, journal
from db.entries import Dispatch, DispatchedTask
from jobs.words import TRANSITIONS, Cause, JobState
from tests.helpers.filled import Filled, change


def brought(filled: Filled, state: JobState) -> int:
    """A job in that state, brought there by allowed ways."""
    (first,) = filled.submit(values={"epochs": 1})
    if state is JobState.QUEUED:
        return first
    if state is JobState.WAITING:
        return filled.submit(values={"epochs": 2}, needs=[first])[0]
    if state is JobState.CANCELLED:
        filled.cancel(first)
        return first
    if state is JobState.SUCCEEDED:
        filled.succeed(first, {"test_accuracy": 90.0})
        return first
    filled.dispatch(first)
    if state is not JobState.SUBMITTED:
        filled.start(first)
    if state is JobState.FAILED:
        filled.end(first, Cause.ERROR, JobState.FAILED, error="E")
    return first


@pytest.mark.parametrize(
    ("before", "after"), [(a, b) for a in JobState for b in JobState if a != b and b not in TRANSITIONS[a]]
)
def test_every_other_transition_is_refused(filled: Filled, before: JobState, after: JobState) -> None:
    """By that rule alone: the others, which would refuse most of them too, are taken away."""
    job = brought(filled, before)
    with sqlite3.connect(filled.store.layout.database) as raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            if name != "job_transition":
                raw.execute(f"DROP TRIGGER {name}")
    with pytest.raises(IntegrityError, match="transition refused"):
        change(filled, "UPDATE job SET state = ? WHERE id = ?", after, job)
    with filled.store.read() as connection:
        assert jobs.get(connection, job).state is before


@pytest.mark.parametrize(
    ("state", "sql", "rule"),
    [
        ("queued", "UPDATE job SET state = 'submitted' WHERE id = ?", "a job is submitted by an attempt"),
        ("queued", "UPDATE job SET generation = 2 WHERE id = ?", "only a retry raises the generation"),
        ("failed", "UPDATE job SET state = 'queued' WHERE id = ?", "only a retry raises the generation"),
        ("failed", "UPDATE job SET state = 'queued', generation = 3 WHERE id = ?", "and by one"),
        ("failed", "UPDATE job SET generation = 2 WHERE id = ?", "only a retry"),
        ("failed", "UPDATE job SET state = 'succeeded' WHERE id = ?", "a job succeeds by an accepted result"),
        ("running", "UPDATE job SET state = 'queued' WHERE id = ?", "its attempt is still alive"),
        ("running", "UPDATE job SET state = 'failed' WHERE id = ?", "its attempt is still alive"),
        ("submitted", "UPDATE job SET state = 'cancelled' WHERE id = ?", "its attempt is still alive"),
        ("queued", "UPDATE job SET seed = 7 WHERE id = ?", "a job never changes what it is"),
        ("queued", "UPDATE job SET key = 'x' WHERE id = ?", "a job never changes what it is"),
        ("queued", "UPDATE job SET config_id = 99 WHERE id = ?", "a job never changes what it is"),
        ("cancelled", "DELETE FROM job WHERE id = ?", "jobs are never deleted"),
        ("succeeded", "DELETE FROM result WHERE job_id = ?", "a result is never deleted"),
        ("succeeded", "UPDATE result SET test_accuracy = 99 WHERE job_id = ?", "a result never changes"),
        ("failed", "UPDATE attempt SET state = 'running' WHERE job_id = ?", "an ended attempt stays ended"),
        ("queued", "UPDATE event SET after = 'failed' WHERE job_id = ?", "events are append-only"),
        ("queued", "DELETE FROM event WHERE job_id = ?", "events are append-only"),
        ("queued", "UPDATE job SET state = 'ready' WHERE id = ?", "transition refused"),
        ("queued", "UPDATE job SET state = 'waiting' WHERE id = ?", "a job waits for one that it needs"),
        ("failed", "UPDATE job SET cause = 'bad luck' WHERE id = ?", "job_cause"),
    ],
)
def test_the_rules_beside_the_transitions(filled: Filled, state: str, sql: str, rule: str) -> None:
    job = brought(filled, JobState(state))
    with pytest.raises(IntegrityError, match=rule):
        change(filled, sql, job)


def test_a_second_live_attempt_is_refused(filled: Filled) -> None:
    job = brought(filled, JobState.SUBMITTED)
    sql = (
        "INSERT INTO attempt (job_id, number, generation, token, position, created_at) "
        "SELECT job_id, 2, 1, token, 0, created_at FROM attempt WHERE job_id = ?"
    )
    with pytest.raises(IntegrityError, match="on a queued job of its generation"):
        change(filled, sql, job)
    with sqlite3.connect(filled.store.layout.database) as raw:  # and where that trigger is gone, by the unique index
        raw.execute("DROP TRIGGER attempt_begins")
    with pytest.raises(IntegrityError, match=r"UNIQUE constraint failed: attempt\.job_id"):
        change(filled, sql, job)


def test_an_attempt_of_another_generation_is_refused(filled: Filled) -> None:
    job = brought(filled, JobState.QUEUED)
    task = DispatchedTask(job, 1, 2)
    with pytest.raises(IntegrityError, match="of its generation"), filled.store.write() as writer:
        writer.decide([Dispatch(token="orch-1", backend="local", tasks=(task,), at=filled.tick())])


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.CANCELLED, JobState.WAITING])
def test_a_result_of_a_closed_job_is_refused(filled: Filled, state: JobState) -> None:
    job = brought(filled, state)
    sql = (
        "INSERT INTO result (job_id, config_id, generation, metrics, flags, accepted_at) "
        "SELECT id, config_id, ?, '{}', '{}', '' FROM job WHERE id = ?"
    )
    with pytest.raises(IntegrityError, match="a result is of an open job"):
        change(filled, sql, 1, job)
    (other,) = filled.submit(values={"epochs": 9})
    with pytest.raises(IntegrityError, match="its current generation"):
        change(filled, sql, 2, other)


@pytest.mark.parametrize("state", ["submitted", "running", "succeeded", "failed", "cancelled"])
def test_a_job_begins_at_the_beginning(filled: Filled, state: str) -> None:
    job = brought(filled, JobState.QUEUED)
    sql = (
        "INSERT INTO job (id, study_id, config_id, launch_id, kind, seed, key, state, created_at, updated_at) "
        "SELECT 99, study_id, config_id, launch_id, kind, 99, 'k', ?, created_at, updated_at FROM job WHERE id = ?"
    )
    with pytest.raises(IntegrityError, match="a job begins as waiting or queued"):
        change(filled, sql, state, job)


def test_a_job_needs_jobs_that_exist(filled: Filled) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        filled.submit(needs=[77])


def test_a_repeat_creates_nothing_and_more_seeds_only_the_new(filled: Filled) -> None:
    assert filled.submit(seeds=range(3)) == [1, 2, 3]
    assert filled.submit(seeds=range(5)) == [1, 2, 3, 4, 5]
    assert filled.submit(seeds=range(5)) == [1, 2, 3, 4, 5]
    assert filled.submit(seeds=[2, 7, 2]) == [3, 6, 3], "one wish named twice is one job"
    assert filled.submit(seeds=[0], study="other") == [7], "another study has its own"
    assert journal.last_number(filled.store.layout.journal) == 4, "what created nothing is not journaled"
