"""Jobs that SLURM never starts: `--wait` and `--until-idle` end there, whatever else the store holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from db import attempts, status
from jobs.words import Cause, JobState
from orchestrator.supervision import standstill
from orchestrator.views import waiting
from orchestrator.views.status import as_json
from slurm.cluster import reasons
from tests.helpers.filled import Filled

LONG = reasons.in_words("PartitionTimeLimit")


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Filled:
    monkeypatch.setattr(standstill, "STANDS_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "STANDS_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.01)
    return Filled.make(tmp_path / ".orch")


def sent(filled: Filled, job: int, reason: str, phase: str = "pending") -> None:
    filled.dispatch(job, backend="slurm")
    with filled.store.write() as writer:
        attempt = attempts.of_job(writer.connection, job)[-1]
        attempts.observed(writer.connection, [(attempt.id, phase, reason, None, 0)])


def test_all_stands_still_only_where_nothing_else_can_move(filled: Filled) -> None:
    one, other, third = filled.submit(seeds=range(3))
    sent(filled, one, LONG)
    with filled.store.read() as connection:
        assert standstill.all_stand_still(connection) == {}, "two are queued"
        assert standstill.all_stand_still(connection, held=2) == {f"job {one}": LONG}
    filled.cancel(third)
    sent(filled, other, reasons.in_words("Resources"))
    with filled.store.read() as connection:
        assert standstill.all_stand_still(connection) == {}
    filled.cancel(other)
    stands = standstill.Stands()
    assert stands.still(filled.store, 0) and stands.stuck == {f"job {one}": LONG}
    filled.start(one)
    assert not stands.still(filled.store, 0)


def test_a_wait_judges_its_own_jobs_alone(filled: Filled, capfd: pytest.CaptureFixture[str]) -> None:
    old, mine, needed = filled.submit(seeds=range(3))
    filled.dispatch(old)
    filled.end(old, Cause.ERROR, JobState.FAILED, error="E")
    sent(filled, needed, LONG)
    filled.succeed(mine, {"test_accuracy": 90.0})
    assert waiting.wait(filled.store, "default", quiet=True, only=[mine]) == 0
    assert capfd.readouterr().err == ""
    assert waiting.wait(filled.store, "default", quiet=True, only=[mine, old]) == 1
    assert f"job {old} (random-baseline, seed 0) failed: E" in capfd.readouterr().err


def test_a_wait_ends_where_its_jobs_are_stuck_or_wait_for_stuck_ones(
    filled: Filled, capfd: pytest.CaptureFixture[str]
) -> None:
    (needed,) = filled.submit()
    (behind,) = filled.submit(values={"epochs": 2}, needs=[needed])
    (elsewhere,) = filled.submit(values={"epochs": 7})
    filled.dispatch(elsewhere)
    filled.start(elsewhere)
    sent(filled, needed, LONG)
    assert waiting.wait(filled.store, "default", quiet=True, only=[behind]) == 1
    assert capfd.readouterr().err == (
        f"job {needed} cannot start without you: {LONG}\n"
        f"SLURM keeps what waits: take it back with 'orch cancel {needed}'\n"
    )


def test_what_a_job_spawns_is_waited_for_too(filled: Filled) -> None:
    (parent,) = filled.submit("evolve")
    (child,) = filled.submit("random-baseline", values={"epochs": 2})
    group = waiting.Group(asked=(parent,), spawned={"random-baseline": parent})
    with filled.store.read() as connection:
        assert group.members(connection) == [parent, child]
    assert waiting.Group.of(filled.store, [parent, child]).spawned == {"individual": parent, "evolve-step": parent}


def test_the_suspended_are_not_counted_as_running(filled: Filled) -> None:
    one, other = filled.submit(seeds=range(2))
    sent(filled, one, reasons.of_phase(reasons.Phase.SUSPENDED, ""), "suspended")
    filled.start(one)
    filled.dispatch(other)
    filled.start(other)
    with filled.store.read() as connection:
        told = [as_json(row, {}) for row in status.rows(connection, "default")]
    assert [(job["state"], job["phase"]) for job in told] == [("running", "suspended"), ("running", None)]
    assert "scontrol resume" in told[0]["reason"]
    text = waiting._text(waiting._look(filled.store, "default", None))
    assert text.startswith("1 running, 1 suspended")
