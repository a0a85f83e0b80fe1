"""What holds queued jobs back is a rule of the database: nobody sends what waits for a canary, or what has no room."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from db import canaries, jobs, limits
from db.entries import Canary, Drop, Entry, Follow, Limits
from db.jobs import StoredJob
from jobs.words import Cause, JobState
from tests.helpers.filled import Filled


def decide(filled: Filled, *entries: Entry) -> None:
    with filled.store.write() as writer:
        writer.decide(entries)


def flock(filled: Filled, n: int = 4) -> list[int]:
    """Jobs of which the first goes first."""
    found = filled.submit(seeds=range(n))
    decide(filled, Canary(job=found[0], jobs=tuple(found[1:]), at=filled.tick()))
    return found


def due(filled: Filled) -> list[int]:
    with filled.store.read() as connection:
        found: list[StoredJob] = jobs.dispatchable(connection, "local", filled.tick(), 100, limits.limited(connection))
        return [job.id for job in found]


def waiting(filled: Filled) -> dict[int, int]:
    with filled.store.read() as connection:
        return dict(canaries.waited_for(connection, [job.id for job in jobs.select(connection)]))


def test_only_the_canary_is_sent_until_it_is_over(filled: Filled) -> None:
    first, *others = flock(filled)
    assert due(filled) == [first]
    with pytest.raises(IntegrityError, match="open canary"):
        filled.dispatch(others[0])
    filled.succeed(first, {"test_accuracy": 90.0})
    assert waiting(filled) == {}
    assert due(filled) == others


def test_a_failed_canary_blocks_and_a_late_word_of_a_person_lets_go(filled: Filled) -> None:
    first, *others = flock(filled)
    filled.dispatch(first)
    filled.end(first, Cause.ERROR, JobState.FAILED, error="E")
    with filled.store.read() as connection:
        assert jobs.blocked(connection) == {job: [first] for job in others}
    assert due(filled) == []
    decide(filled, Follow(jobs=(others[0],), why="--no-canary", at=filled.tick()))
    assert due(filled) == others[:1]
    decide(filled, Follow(canary=first, why="--no-canary", at=filled.tick()))
    assert due(filled) == others


def test_a_canary_that_tells_nothing_hands_on(filled: Filled) -> None:
    first, second, *others = flock(filled)
    filled.cancel(first)
    assert waiting(filled) == dict.fromkeys(others, second)
    assert due(filled) == [second]
    filled.dispatch(second)
    filled.end(second, Cause.ERROR, JobState.FAILED, error="E")
    assert due(filled) == []
    decide(filled, Drop(jobs=(second,), because="a bad seed", at=filled.tick()))
    assert due(filled) == others[:1]
    assert waiting(filled) == dict.fromkeys(others[1:], others[0])
    for job in others:
        filled.cancel(job)
    assert waiting(filled) == {}
    with filled.store.read() as connection:
        assert canaries.opened(connection) == []


def test_a_canary_is_not_over_while_jobs_wait_for_it(filled: Filled) -> None:
    first, *_ = flock(filled)
    with pytest.raises(IntegrityError, match="still wait"), filled.store.write() as writer:
        writer.connection.exec_driver_sql("UPDATE canary SET over_at = 'now' WHERE job_id = ?", (first,))


def test_a_study_has_no_more_jobs_with_the_machines_than_it_may(filled: Filled) -> None:
    first, second, third = filled.submit(seeds=range(3))
    elsewhere = filled.submit(study="other")
    decide(filled, Limits(study="default", max_running=1, at=filled.tick()))
    filled.dispatch(first)
    assert due(filled) == elsewhere
    with pytest.raises(IntegrityError, match="no more jobs at once"):
        filled.dispatch(second)
    filled.dispatch(elsewhere[0])
    filled.end(first, Cause.ERROR, JobState.FAILED, error="E")
    with filled.store.read() as connection:
        (found,) = limits.limited(connection)
    assert (found.there, found.room) == (0, 1)
    decide(filled, Limits(study="default", max_running=0, max_fails=1, at=filled.tick()))
    assert due(filled) == []
    decide(filled, Limits(study="default", max_fails=2, at=filled.tick()))
    assert due(filled) == [second, third]
