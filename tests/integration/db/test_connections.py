"""What every connection to a store is told: the rules hold on it, and what it commits has reached the disk."""

from __future__ import annotations

import pytest

from db import jobs
from db.entries import Ended
from db.store import BUSY_MILLISECONDS
from jobs.words import Cause, JobState
from tests.helpers.filled import Filled


@pytest.mark.parametrize(
    ("pragma", "value"), [("foreign_keys", 1), ("synchronous", 2), ("busy_timeout", BUSY_MILLISECONDS)]
)
def test_reading_and_writing_connections_are_set_up_alike(filled: Filled, pragma: str, value: int) -> None:
    with filled.store.read() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == value
    with filled.store.write() as writer:
        assert writer.connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == value


def test_memory_that_was_raised_twice_is_the_one_that_was_raised_last(filled: Filled) -> None:
    (job,) = filled.submit()
    seen = []
    for memory in (3000, None, 4500):
        number = filled.dispatch(job)
        with filled.store.write() as writer:
            entry = Ended(
                job=job,
                attempt=number,
                cause=Cause.OUT_OF_MEMORY if memory else Cause.LOST,
                then=JobState.QUEUED.value,
                memory_mb=memory,
                at=filled.tick(),
            )
            writer.decide([entry])
            seen.append(jobs.get(writer.connection, job).memory_mb)
    assert seen == [3000, 3000, 4500]
