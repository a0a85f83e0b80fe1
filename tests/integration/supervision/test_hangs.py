"""Which place is struck for hangs: the second one there, unless the program hangs wherever it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from db import attempts, executions
from db.entries import Ended, Entry, Strike
from jobs.words import Cause, JobState
from orchestrator.supervision import endings, policy
from orchestrator.supervision.judging import Over
from tests.helpers.filled import Filled


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return Filled.make(tmp_path)


def hang(filled: Filled, job: int, node: str, *, slot: str | None = None) -> list[Entry]:
    """What follows from the job's hang there; it is queued again."""
    backend = "local" if slot else "slurm"
    filled.dispatch(job, backend=backend, slot=slot)
    filled.start(job, node=node)
    with filled.store.read() as connection:
        attempt = attempts.of_job(connection, job)[-1]
        over = Over(cause=Cause.HANG, error="it hangs", evidence=(), seen=None, node=node)
        made = endings.entries(connection, attempt, over, (), policy.Policy(), filled.tick(1200), 8)
        assert executions.of_job(connection, job)
    filled.end(job, Cause.HANG, JobState.QUEUED, node=node)
    assert [one.cause for one in made if isinstance(one, Ended)] == [Cause.HANG]
    return made


def struck(made: list[Entry]) -> list[str]:
    return [one.node for one in made if isinstance(one, Strike)]


def test_the_second_hang_on_a_node_strikes_it(filled: Filled) -> None:
    one, two = filled.submit(values={"epochs": 3}) + filled.submit(values={"epochs": 4})
    assert struck(hang(filled, one, "n1")) == []
    assert struck(hang(filled, two, "n2")) == [], "another node"
    assert struck(hang(filled, two, "n1")) == ["n1"], "of whichever job"


def test_a_local_hang_strikes_its_gpu_and_never_the_host(filled: Filled) -> None:
    one, two, three = filled.submit(seeds=[0, 1, 2])
    assert struck(hang(filled, one, "here", slot="gpu:0:0")) == []
    assert struck(hang(filled, two, "here", slot="gpu:1:0")) == []
    assert struck(hang(filled, three, "here", slot="gpu:1:0")) == ["1"]
    four, five = filled.submit(seeds=[3, 4])
    assert struck(hang(filled, four, "here", slot="cpu:0")) == struck(hang(filled, five, "here", slot="cpu:0")) == []


def test_a_program_that_hangs_everywhere_is_to_blame_itself(filled: Filled) -> None:
    jobs = filled.submit(seeds=range(6))
    found = [struck(hang(filled, job, f"n{number % 3}")) for number, job in enumerate(jobs)]
    assert found == [[]] * 6
