"""When those that wait for a canary follow it, and which of the new jobs of a submit is one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from db.canaries import OpenCanary
from jobs.programs import program_of
from jobs.words import JobState
from orchestrator.submitting.canaries import MANY, flock
from orchestrator.supervision.canaries import QUEUE_PATIENCE, RUNS_WELL, follows

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def canary(
    state: JobState,
    ago: timedelta,
    *,
    backend: str = "slurm",
    known: bool = True,
    reason: str = "",
    ready: int | None = None,
    reported: bool = False,
) -> OpenCanary:
    return OpenCanary(
        job=5,
        study="s",
        seed=0,
        state=state,
        error=None,
        since=NOW - ago,
        behind=999,
        backend=backend,
        known=known,
        reason=reason,
        ready=ready,
        reported=reported,
    )


def test_a_first_metric_or_half_a_minute_of_running_lets_them_go() -> None:
    assert follows(canary(JobState.RUNNING, SECOND, reported=True), NOW) is not None
    well = RUNS_WELL.total_seconds()
    assert follows(canary(JobState.RUNNING, SECOND, ready=7), NOW, well) is not None
    assert follows(canary(JobState.RUNNING, 10 * RUNS_WELL, ready=7), NOW, well - 1) is None
    assert follows(canary(JobState.RUNNING, 10 * RUNS_WELL), NOW, well) is None, "it has not begun to run the program"


def test_ten_minutes_in_slurms_queue_let_them_go_but_not_where_it_never_starts() -> None:
    assert follows(canary(JobState.SUBMITTED, QUEUE_PATIENCE, reason="Priority"), NOW) is not None
    assert follows(canary(JobState.SUBMITTED, QUEUE_PATIENCE - SECOND), NOW) is None
    assert follows(canary(JobState.SUBMITTED, QUEUE_PATIENCE, backend="local"), NOW) is None
    assert follows(canary(JobState.SUBMITTED, QUEUE_PATIENCE, known=False), NOW) is None, "nobody knows of its launch"
    assert follows(canary(JobState.QUEUED, 10 * QUEUE_PATIENCE), NOW) is None, "lost with its node: it goes first again"


def test_a_failed_canary_lets_nobody_go_whatever_it_reported() -> None:
    assert follows(canary(JobState.FAILED, 10 * QUEUE_PATIENCE, ready=7, reported=True), NOW) is None


def test_from_twenty_new_jobs_of_a_program_that_never_ran_one_goes_first() -> None:
    many = list(range(7, 7 + MANY))
    made = flock(many, ran=False, going=None, wanted=None)
    assert made is not None
    assert (made.canary, made.jobs, made.new) == (many[0], tuple(many[1:]), True)
    assert flock(many[1:], ran=False, going=None, wanted=None) is None
    assert flock(many, ran=True, going=None, wanted=None) is None
    assert flock(many, ran=False, going=None, wanted=False) is None
    forced = flock(many[:2], ran=True, going=None, wanted=True)
    assert forced is not None
    assert forced.jobs == (many[1],)
    assert flock(many[:1], ran=False, going=None, wanted=True) is None, "nothing would wait for it"
    joined = flock(many, ran=False, going=3, wanted=None)
    assert joined is not None
    assert (joined.canary, joined.jobs, joined.new) == (3, tuple(many), False)


def test_a_few_more_of_a_blocked_program_wait_behind_the_canary_that_failed() -> None:
    behind = flock([30, 31], ran=False, going=None, wanted=None, failed=1)
    assert behind is not None
    assert (behind.canary, behind.jobs, behind.new, behind.failed) == (1, (30, 31), False, True)
    assert flock([30], ran=True, going=None, wanted=None, failed=1) is None, "it has run since"
    assert flock([30], ran=False, going=None, wanted=False, failed=1) is None
    many = flock(list(range(30, 30 + MANY)), ran=False, going=None, wanted=None, failed=1)
    assert many is not None
    assert (many.canary, many.new) == (30, True), "many new ones try the program anew, one first"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("train.py --lr 0.1", "train.py --lr 2e-4", True),
        ("train.py --lr=0.1", "train.py --lr={lr}", True),
        ("train.py --lr {lr} {seed}", "train.py --lr 0.1 7", True),
        ("train.py --lr 0.1", "train.py --lrr 0.1", False),
        ("train.py", "trian.py", False),
        ("train.py {seeed}", "train.py {seed}", False),
    ],
)
def test_a_program_is_its_words_without_numbers_and_parameters(one: str, other: str, same: bool) -> None:
    def program(line: str, folder: str = "") -> str:
        return program_of({"argv": ["python", *line.split()], "folder": folder, "parameters": {"lr": "0.1"}})

    assert (program(one) == program(other)) is same
    assert program(one) != program(one, "elsewhere")
