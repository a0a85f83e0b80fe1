"""The table of docs/resubmission.md, row by row, and what holds for every history."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.words import Cause, JobState
from orchestrator.supervision.policy import (
    Decision,
    Failure,
    Policy,
    Situation,
    backoff,
    decide,
    final_cause,
    is_shared,
    same_error,
)
from tests.helpers.matching import match

NOW = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
RETRIED = (
    Cause.NODE_FAILURE,
    Cause.PREEMPTED,
    Cause.LOST,
    Cause.LAUNCH_FAILURE,
    Cause.GPU_FAULT,
    Cause.KILLED,
)
ENDINGS = tuple(cause for cause in Cause if cause is not Cause.SUCCESS)


def situation(cause: Cause, times: int = 1, **more: object) -> Situation:
    """That cause for the `times`-th time, without a checkpoint in between."""
    failure = Failure(cause=cause, node="n1", error=str(more.pop("error", "")) or None)
    values: dict[str, object] = {
        "job": 7,
        "attempt": times,
        "now": NOW,
        "failure": failure,
        "earlier": [failure] * (times - 1),
        "ran_seconds": 1000.0,
        "several_nodes": True,
        **more,
    }
    return Situation(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("cause", RETRIED)
def test_resubmitted_up_to_the_budget_then_failed_with_a_sentence(cause: Cause) -> None:
    budget = Policy().budgets[cause]
    assert budget == (3 if cause is Cause.KILLED else 8)
    for times in range(1, budget + 1):
        decision = decide(situation(cause, times))
        assert decision.then is JobState.QUEUED, times
        assert decision.delay > timedelta()
    assert decide(situation(cause, budget + 1)) == match(
        Decision, then=JobState.FAILED, cause=cause, error=re.compile(f"{cause}.*given up")
    )


@pytest.mark.parametrize("cause", RETRIED)
def test_a_checkpoint_advance_renews_the_budget(cause: Cause) -> None:
    worn = [Failure(cause=cause, checkpoint_step=4)] * Policy().budgets[cause]
    at_rest = Situation(
        job=1, attempt=9, now=NOW, failure=Failure(cause=cause, checkpoint_step=4), earlier=worn, start_step=4
    )
    advanced = Situation(
        job=1, attempt=9, now=NOW, failure=Failure(cause=cause, checkpoint_step=5), earlier=worn, start_step=4
    )
    assert decide(at_rest) == match(Decision, then=JobState.FAILED)
    assert decide(advanced) == match(Decision, then=JobState.QUEUED)


def test_other_causes_do_not_wear_the_budget() -> None:
    earlier = [Failure(cause=Cause.NODE_FAILURE)] * 7
    case = Situation(job=1, attempt=8, now=NOW, failure=Failure(cause=Cause.KILLED), earlier=earlier)
    assert decide(case) == match(Decision, then=JobState.QUEUED, sentence=re.compile("1 of 3"))


@pytest.mark.parametrize(
    ("cause", "ran_seconds", "strikes"),
    [
        (Cause.NODE_FAILURE, 1000.0, True),
        (Cause.LAUNCH_FAILURE, 1000.0, True),
        (Cause.GPU_FAULT, 1000.0, True),
        (Cause.KILLED, 59.0, True),
        (Cause.KILLED, 61.0, False),
        (Cause.PREEMPTED, 1.0, False),
        (Cause.LOST, 1.0, False),
        (Cause.ERROR, 1.0, False),
        (Cause.OUT_OF_MEMORY, 1.0, False),
    ],
)
def test_which_endings_strike_the_node(cause: Cause, ran_seconds: float, strikes: bool) -> None:
    assert decide(situation(cause, ran_seconds=ran_seconds)) == match(Decision, strike=strikes)


def test_an_error_fails_at_once_with_its_last_line() -> None:
    assert decide(situation(Cause.ERROR, error="ValueError: no")) == match(
        Decision, then=JobState.FAILED, cause=Cause.ERROR, error="ValueError: no"
    )


def test_an_exception_before_ready_is_the_launch_unless_it_repeats_elsewhere() -> None:
    first = Failure(cause=Cause.ERROR, node="n1", error="OSError: /data", ready=False)
    same_node = Failure(cause=Cause.ERROR, node="n1", error="OSError: /data", ready=False)
    elsewhere = Failure(cause=Cause.ERROR, node="n2", error="OSError: /data", ready=False)
    other_text = Failure(cause=Cause.ERROR, node="n2", error="OSError: /tmp", ready=False)
    assert final_cause(first, [], several_nodes=True) is Cause.LAUNCH_FAILURE
    assert final_cause(same_node, [first], several_nodes=True) is Cause.LAUNCH_FAILURE
    assert final_cause(other_text, [first], several_nodes=True) is Cause.LAUNCH_FAILURE
    assert final_cause(elsewhere, [first], several_nodes=True) is Cause.ERROR


def test_an_exception_that_many_seeds_meet_on_many_nodes_is_the_programs() -> None:
    failure = Failure(cause=Cause.ERROR, node="n1", error="KeyError: 7", ready=False)
    assert final_cause(failure, [], several_nodes=True, shared_error=True) is Cause.ERROR
    assert same_error("ValueError: seed 7 at 0x7f3e", "ValueError: seed 12 at 0x8f4e")
    assert not same_error("OSError: /data", "OSError: /tmp")
    assert is_shared({"n1", "n2", "n3"}, 100) and not is_shared({"n1", "n2"}, 100)
    assert is_shared({"n1", "n2"}, 2) and not is_shared({"n1"}, 2)


def test_with_one_host_only_an_exception_before_ready_is_an_error() -> None:
    failure = Failure(cause=Cause.ERROR, node="here", error="OSError: /data", ready=False)
    assert final_cause(failure, [], several_nodes=False) is Cause.ERROR


def test_a_timeout_goes_on_at_once_while_its_checkpoint_advances() -> None:
    moved = Failure(cause=Cause.TIMEOUT, checkpoint_step=3)
    advancing = Situation(job=1, attempt=1, now=NOW, failure=moved, start_step=2, minutes=60)
    assert decide(advancing) == match(Decision, then=JobState.QUEUED, delay=timedelta())
    assert decide(replace(advancing, start_step=3)) == match(
        Decision, then=JobState.FAILED, error=re.compile(r"no progress in a whole time limit \(60 minutes\)")
    )


def test_out_of_memory_fails_with_peak_and_request_unless_more_was_opted_in() -> None:
    assert decide(situation(Cause.OUT_OF_MEMORY, memory_mb=2000, peak_memory_mb=1990.0)) == match(
        Decision, then=JobState.FAILED, error=re.compile("peak 1990 MB.*requested 2000 MB")
    )
    assert decide(situation(Cause.OUT_OF_MEMORY, memory_mb=2000, retry_oom_factor=1.5)) == match(
        Decision, then=JobState.QUEUED, memory_mb=3000
    )
    often = situation(Cause.OUT_OF_MEMORY, 5, memory_mb=9000, retry_oom_factor=1.5)
    assert decide(often) == match(Decision, then=JobState.FAILED)


def test_gpu_out_of_memory_waits_only_for_memory_that_others_hold() -> None:
    assert decide(situation(Cause.GPU_OUT_OF_MEMORY, error="CUDA out of memory: 20 GiB used")) == match(
        Decision, then=JobState.FAILED, error=re.compile("20 GiB used")
    )
    foreign = situation(Cause.GPU_OUT_OF_MEMORY, foreign_gpu_memory=True)
    assert decide(foreign) == match(Decision, then=JobState.QUEUED)


def test_cancelled_stays() -> None:
    assert decide(situation(Cause.CANCELLED)).then is JobState.CANCELLED


def test_the_overall_cap_counts_everything() -> None:
    mixed = [Failure(cause=RETRIED[i % 6], checkpoint_step=i) for i in range(49)]
    failure = Failure(cause=Cause.PREEMPTED, checkpoint_step=49)
    below = Situation(job=1, attempt=49, now=NOW, failure=failure, earlier=mixed[:48], start_step=48)
    capped = Situation(job=1, attempt=50, now=NOW, failure=failure, earlier=mixed, start_step=48)
    assert decide(below).then is JobState.QUEUED
    assert decide(capped).then is JobState.FAILED


failures = st.builds(
    Failure,
    cause=st.sampled_from(ENDINGS),
    node=st.sampled_from([None, "n1", "n2"]),
    error=st.sampled_from([None, "A: a", "B: b"]),
    ready=st.booleans(),
    checkpoint_step=st.integers(-1, 5),
)
situations = st.builds(
    Situation,
    job=st.integers(1, 10**6),
    attempt=st.integers(1, 60),
    now=st.just(NOW),
    failure=failures,
    earlier=st.lists(failures, max_size=60),
    ran_seconds=st.floats(0, 1e6),
    start_step=st.integers(-1, 5),
    several_nodes=st.booleans(),
    foreign_gpu_memory=st.booleans(),
    memory_mb=st.integers(0, 10**6),
    peak_memory_mb=st.floats(0, 1e6),
    retry_oom_factor=st.sampled_from([0.0, 1.0, 1.5]),
    minutes=st.integers(0, 10**5),
)


@given(situations)
def test_every_ending_has_a_decision_that_says_why(case: Situation) -> None:
    decision = decide(case)
    assert decision.sentence
    assert decision.then in (JobState.QUEUED, JobState.FAILED, JobState.CANCELLED)
    assert (decision.then is JobState.CANCELLED) == (decision.cause is Cause.CANCELLED)
    if decision.then is JobState.FAILED:
        assert decision.error
    assert timedelta() <= decision.delay <= timedelta(seconds=1.5 * Policy().backoff_most_seconds)


@given(situations)
def test_an_error_is_never_tried_again_and_nothing_beyond_the_cap(case: Situation) -> None:
    decision = decide(case)
    if decision.cause is Cause.ERROR:
        assert decision.then is JobState.FAILED
    memory_raised = decision.cause is Cause.OUT_OF_MEMORY  # has a cap of its own: four times
    if len(case.earlier) + 1 >= Policy().overall and decision.cause is not Cause.CANCELLED and not memory_raised:
        assert decision.then is JobState.FAILED


@given(st.lists(st.tuples(st.sampled_from(RETRIED), st.booleans()), min_size=1, max_size=80))
def test_a_job_is_never_resubmitted_for_ever(endings: list[tuple[Cause, bool]]) -> None:
    """Play a whole generation: it fails at the latest at the cap, and never before a budget is spent."""
    earlier: list[Failure] = []
    step = -1
    spent: dict[Cause, int] = {}
    for number, (cause, advances) in enumerate(endings, start=1):
        before, step = step, step + advances
        spent = {cause: 1} if advances else {**spent, cause: spent.get(cause, 0) + 1}
        failure = Failure(cause=cause, checkpoint_step=step)
        decision: Decision = decide(
            Situation(job=1, attempt=number, now=NOW, failure=failure, earlier=earlier, start_step=before)
        )
        over = spent[cause] > Policy().budgets[cause] or number >= Policy().overall
        assert (decision.then is JobState.FAILED) == over, (number, cause, decision)
        if over:
            return
        earlier.append(failure)


@given(st.integers(1, 10**6), st.integers(1, 50), st.integers(1, 50))
def test_the_backoff_doubles_within_its_jitter_and_is_bounded(job: int, attempt: int, spent: int) -> None:
    policy = Policy()
    base = min(policy.backoff_seconds * 2 ** (spent - 1), policy.backoff_most_seconds)
    delay = backoff(policy, job, attempt, spent).total_seconds()
    assert 0.5 * base <= delay <= 1.5 * base + 1e-6
    assert delay == backoff(policy, job, attempt, spent).total_seconds()


def test_a_hang_goes_on_from_its_checkpoint_three_times() -> None:
    hang = Failure(cause=Cause.HANG, node="n1", checkpoint_step=4)
    for spent in range(4):
        case = Situation(job=1, attempt=spent + 1, now=NOW, failure=hang, earlier=(hang,) * spent, start_step=4)
        found = decide(case)
        assert (found.then is JobState.QUEUED) == (spent < 3) and not found.strike
    further = Situation(
        job=1, attempt=5, now=NOW, failure=replace(hang, checkpoint_step=5), earlier=(hang,) * 3, start_step=4
    )
    assert decide(further).then is JobState.QUEUED, "its budget begins anew with each checkpoint"


@pytest.mark.parametrize("before", [True, False])
def test_a_place_is_struck_for_a_second_hang(before: bool) -> None:
    case = Situation(job=1, attempt=1, now=NOW, failure=Failure(cause=Cause.HANG, node="n1"), hung_there=before)
    assert decide(case).strike is before
