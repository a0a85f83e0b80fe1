"""How long the supervisor waits before it believes the worst: the numbers themselves, as docs and people know them.

The other tests import the constants, so that a wrong one would change the question with the answer.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from db.submissions import Intent
from jobs.words import AttemptState, Cause, JobState
from orchestrator.supervision.intents import is_gone
from orchestrator.supervision.judging import Case, Nothing, Over, Running, judge
from orchestrator.supervision.policy import Failure, Policy, Situation, decide
from slurm.backend import Observation, Phase
from tests.helpers.cases import AT, attempt, execution, outcome


def absent(*, times: int, silent: float = 3600.0, age: float = 3600.0) -> object:
    """The verdict at the `times`-th look in a row at which no source knows the attempt."""
    return judge(
        Case(
            attempt=attempt(absent=times - 1, state=AttemptState.RUNNING),
            executions=[execution(silent=silent)],
            observation=Observation(phase=Phase.ABSENT),
            age_seconds=age,
        )
    )


def test_lost_is_what_no_source_knows_at_three_looks_in_a_row() -> None:
    assert [isinstance(absent(times=times), Over) for times in (1, 2, 3, 4)] == [False, False, True, True]


def test_a_heart_that_beat_within_a_minute_speaks_for_a_living_worker() -> None:
    assert absent(times=9, silent=59.0) == Nothing()
    found = absent(times=9, silent=60.0)
    assert isinstance(found, Over) and found.cause is Cause.LOST
    started = [execution(silent=seconds) for seconds in (59.0, 60.0)]
    unobserved = [
        judge(Case(attempt=attempt(), executions=[one], observation=None, age_seconds=9.0)) for one in started
    ]
    assert unobserved == [Running(node="n1"), Nothing()]


def test_a_submission_may_be_on_its_way_for_a_minute() -> None:
    assert absent(times=9, age=59.0) == Nothing()
    assert isinstance(absent(times=9, age=60.0), Over)


def test_files_have_five_seconds_after_the_end_that_slurm_tells() -> None:
    def ended(seconds: float) -> object:
        seen = Observation(phase=Phase.ENDED, cause=Cause.KILLED)
        case = Case(
            attempt=attempt(), executions=[execution()], observation=seen, age_seconds=99.0, ended_seconds=seconds
        )
        return judge(case)

    assert ended(4.9) == Nothing() and isinstance(ended(5.0), Over)


def test_an_interrupted_worker_that_is_gone_from_all_sources_is_over_at_the_third_look() -> None:
    def over(times: int) -> bool:
        seen = execution(outcome=outcome("interrupted", Cause.PREEMPTED))
        case = Case(
            attempt=attempt(absent=times - 1),
            executions=[seen],
            observation=Observation(phase=Phase.ABSENT),
            age_seconds=99.0,
        )
        return isinstance(judge(case), Over)

    assert [over(times) for times in (1, 2, 3)] == [False, False, True]


def test_two_looks_a_minute_apart_prove_that_nothing_was_launched() -> None:
    def gone(misses: int, seconds: float) -> bool:
        before = AT - timedelta(seconds=seconds)
        return is_gone(Intent(token="o", backend="slurm", created_at=AT, misses=misses, missed_at=before), AT)

    assert [gone(1, 59), gone(0, 600), gone(1, 60)] == [False, False, True]


@pytest.mark.parametrize(
    ("cause", "budget"),
    [
        (Cause.NODE_FAILURE, 8),
        (Cause.PREEMPTED, 8),
        (Cause.LOST, 8),
        (Cause.LAUNCH_FAILURE, 8),
        (Cause.GPU_FAULT, 8),
        (Cause.KILLED, 3),
    ],
)
def test_so_many_failures_are_resubmitted_and_no_more(cause: Cause, budget: int) -> None:
    def then(number: int) -> JobState:
        past = [Failure(cause=cause, node="n1")] * (number - 1)
        now = Failure(cause=cause, node="n1")
        return decide(Situation(job=1, attempt=number, now=AT, failure=now, earlier=past)).then

    assert [then(number) for number in (1, budget, budget + 1)] == [JobState.QUEUED, JobState.QUEUED, JobState.FAILED]


def test_what_failed_before_the_last_checkpoint_advance_is_forgiven() -> None:
    past = [Failure(cause=Cause.KILLED, checkpoint_step=step) for step in (5, 5, 5, 9)]
    now = Failure(cause=Cause.KILLED, checkpoint_step=9)
    decision = decide(Situation(job=1, attempt=5, now=AT, failure=now, earlier=past, start_step=9))
    assert (decision.then, decision.sentence) == (
        JobState.QUEUED,
        "killed: resubmitted (2 of 3 since the last checkpoint)",
    )


def test_fifty_endings_are_enough_whatever_they_advanced() -> None:
    def then(number: int) -> JobState:
        past = [Failure(cause=Cause.TIMEOUT, checkpoint_step=step) for step in range(number - 1)]
        now = Failure(cause=Cause.TIMEOUT, checkpoint_step=number)
        situation = Situation(job=1, attempt=number, now=AT, failure=now, earlier=past, start_step=number - 1)
        return decide(situation).then

    assert (then(49), then(50)) == (JobState.QUEUED, JobState.FAILED)
    assert Policy().overall == 50


def test_only_a_kill_within_a_minute_of_the_start_is_held_against_the_node() -> None:
    def strikes(seconds: float) -> bool:
        failure = Failure(cause=Cause.KILLED, node="n1")
        return decide(Situation(job=1, attempt=1, now=AT, failure=failure, ran_seconds=seconds)).strike

    assert (strikes(59.0), strikes(60.0)) == (True, False)
