"""What squeue says of a waiting task, and what scontrol is told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobs.resources import InQueue
from slurm.backend import LiveAttempt
from slurm.cluster import inqueue

LINES = """\
2|1|PENDING|9:00|700M|4|4|100|abrupt|orch-a
2|0|PENDING|1-02:00:00|1G|2|4|0|main|orch-a
3|N/A|RUNNING|UNLIMITED|512K|1|1|0|main|orch-b
4|N/A|CONFIGURING|0:30|2T|1|1|-5|main,long|orch|odd
odd line
5|N/A|PENDING
"""


def test_each_line_of_the_queue_is_read() -> None:
    found = inqueue.parse(LINES)
    assert found["orch-a", "2", 1].terms == InQueue(minutes=9, memory_mb=700, cpus=4, partition="abrupt", nice=100)
    assert found["orch-a", "2", 1].waits
    assert found["orch-a", "2", 0].terms == InQueue(minutes=1560, memory_mb=1024, partition="main", nice=0)
    assert not found["orch-b", "3", None].waits and found["orch-b", "3", None].terms.minutes is None
    odd = found["orch|odd", "4", None]
    assert not odd.waits and odd.terms == InQueue(minutes=1, memory_mb=2097152, cpus=1, partition="main,long", nice=-5)
    assert len(found) == 4


def attempt(job: int, index: int, size: int, native: str | None = "7") -> LiveAttempt:
    return LiveAttempt(
        job=job,
        attempt=1,
        token="orch-a",
        index=index,
        size=size,
        native_id=native,
        slot=None,
        running=False,
        submitted_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_tasks_that_get_the_same_are_told_together_each_by_its_own_id() -> None:
    change = InQueue(cpus=2, minutes=5)
    wanted = [(attempt(1, 0, 3), change), (attempt(2, 2, 3), change), (attempt(3, 0, 1), InQueue(nice=0))]
    assert inqueue.calls([*wanted, (attempt(4, 0, 1, None), change), (attempt(5, 0, 1), InQueue())]) == [
        (["7_0", "7_2"], ["TimeLimit=5", "NumCPUs=2", "CPUsPerTask=2", "MinCPUsNode=2"]),
        (["7"], ["Nice=0"]),
    ]


@pytest.mark.parametrize(("native", "index", "found"), [("2", 1, True), ("3", 1, False), (None, 1, False)])
def test_an_id_counts_only_with_its_token(native: str | None, index: int, found: bool) -> None:
    one = attempt(1, index, 2, native)
    assert (one.key in inqueue.of_attempts(inqueue.parse(LINES), [one])) is found
