"""How many pieces of which jobs: by the jobs' own past and that of their configs, in as many queries for any number."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from db import attempts, executions, jobs
from db.launching import Launching
from db.seals import Seal, Verdict
from jobs.files import now
from jobs.records import Code
from jobs.resources import Resources
from orchestrator.supervision.sliced import plans
from orchestrator.supervision.slicing import Learnt, SlicePlan, plan
from orchestrator.views import slices as views
from tests.helpers.filled import Filled, change

MINUTES = 600
CODE = "c0de"


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return Filled.make(tmp_path / ".orch")


def sliced(filled: Filled, lr: float, seeds: range, *, script: str = "train.py") -> list[int]:
    """Jobs that are to be sent in slices of half an hour."""
    launching = Launching(
        backend="slurm", resources=Resources(cpus=1, minutes=MINUTES), options={"slices": 30}, code=Code(snapshot=CODE)
    )
    values = {"argv": ["python3", script, "{seed}", "{lr}"], "parameters": {"lr": str(lr)}}
    return filled.submit("command", seeds, values=values, backend="slurm", launching=launching)


def seal(filled: Filled, verdict: Verdict, script: str = "train.py") -> None:
    entry = Seal(
        code=CODE, program=script, arguments='["{seed}", "{lr}"]', verdict=verdict, tried={"kill": 5}, at=now()
    )
    with filled.store.write() as writer:
        writer.decide([entry])


def ran(filled: Filled, job: int, seconds: float) -> None:
    """It has succeeded, in so long."""
    filled.succeed(job, {"loss": 1.0})
    change(filled, "UPDATE execution SET wall_seconds = ?, epochs = 50 WHERE attempt_id IN "
           "(SELECT id FROM attempt WHERE job_id = ?)", seconds, job)  # fmt: skip


def asked(filled: Filled, ids: list[int]) -> tuple[dict[int, SlicePlan], int]:
    """The plans of these jobs, and how many queries that took."""
    said: list[str] = []
    with filled.store.read() as connection:
        found = jobs.get_many(connection, ids)
        event.listen(connection, "before_cursor_execute", lambda c, cursor, text, *more: said.append(text))
        return plans(connection, found), len(said)


def test_each_is_planned_by_the_past_of_its_own_config_and_by_what_it_used(filled: Filled) -> None:
    seal(filled, Verdict.BIT_IDENTICAL)
    seal(filled, Verdict.WRONG, "other.py")
    few, many = sliced(filled, 0.1, range(4)), sliced(filled, 0.2, range(30))
    unsealed = sliced(filled, 0.1, range(2), script="other.py")
    ran(filled, few[0], 7000.0)
    for seed, job in enumerate(many[:25]):
        ran(filled, job, 50_000.0 if seed < 5 else 9000.0 + seed)  # the first five are older than the newest twenty
    filled.dispatch(few[1])
    filled.start(few[1])
    change(filled, "UPDATE execution SET wall_seconds = 4000 WHERE attempt_id IN "
           "(SELECT id FROM attempt WHERE job_id = ?)", few[1])  # fmt: skip

    found, queries = asked(filled, [*few[1:], *many[25:], *unsealed])
    fresh = plan(30, MINUTES, Learnt(seconds=(7000.0,), epochs=50), 0.0)
    begun = plan(30, MINUTES, Learnt(seconds=(7000.0,), epochs=50), 4000.0)
    newest = plan(30, MINUTES, Learnt(seconds=(9024.0,), epochs=50), 0.0)
    assert fresh != begun and newest not in (fresh, None)
    assert found == {few[1]: begun, few[2]: fresh, few[3]: fresh, **dict.fromkeys(many[25:], newest)}
    assert asked(filled, few[2:3])[1] == queries == 4, "seals, configs, what runs took, what was used"


def test_runs_that_tell_no_time_teach_nothing(filled: Filled) -> None:
    seal(filled, Verdict.EQUAL_WITHIN_NOISE)
    first, second = sliced(filled, 0.1, range(2))
    ran(filled, first, 1.0)
    change(filled, "UPDATE execution SET wall_seconds = 0")
    assert asked(filled, [second])[0] == {second: plan(30, MINUTES, Learnt(), 0.0)}


def test_where_nothing_is_sliced_nothing_is_asked(filled: Filled) -> None:
    ids = filled.submit("command", range(3), values={"argv": ["true"]}, backend="slurm")
    assert asked(filled, ids) == ({}, 0)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(2.0, "in one piece, sent now, it would begin at once"), (600.0, "SLURM guesses that it would wait 10 min 00 s")],
)
def test_explain_tells_what_slurm_guesses_of_one_piece_for_what_it_is(
    filled: Filled, seconds: float, said: str
) -> None:
    (job,) = sliced(filled, 0.1, range(1))
    filled.dispatch(job, backend="slurm")
    filled.start(job)
    with filled.store.read() as connection:
        attempt = replace(attempts.of_job(connection, job)[-1], pieces=9)
        runs = executions.of_job(connection, job)
    at = filled.tick()
    told = views.told(attempt, runs, 30, at + timedelta(seconds=seconds), at)
    assert told[0].startswith("it is run in slices of 30 minutes: piece 1 of at most 9 runs") and said in told[1]
    assert views.told(attempt, runs, 30, None, at) == told[:1], "SLURM says nothing"
