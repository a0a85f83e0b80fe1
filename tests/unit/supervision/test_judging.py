"""What becomes of an attempt by its files and by what the machines say: files first, then records, then silence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.records import Outcome
from jobs.words import AttemptState, Cause
from orchestrator.supervision.judging import (
    LOST_CYCLES,
    SETTLE_SECONDS,
    STALE_SECONDS,
    UNSEEN_SECONDS,
    Accept,
    Case,
    Nothing,
    Over,
    Requeued,
    Running,
    Verdict,
    judge,
)
from orchestrator.supervision.seen import Seen
from slurm.backend import Observation, Phase
from tests.helpers.cases import AT, attempt, execution, outcome
from tests.helpers.matching import match


def verdict(
    *executions: Seen,
    phase: Phase | None = None,
    cause: Cause | None = None,
    age: float = 1000.0,
    ended: float = 1000.0,
    evidence: tuple[str, ...] = (),
    **stored: Any,
) -> Verdict:
    seen = None if phase is None else Observation(phase=phase, node="n9", cause=cause, evidence=evidence)
    return judge(
        Case(attempt=attempt(**stored), executions=executions, observation=seen, age_seconds=age, ended_seconds=ended)
    )


PHASES = (None, *Phase)


@pytest.mark.parametrize("phase", PHASES)
def test_a_success_file_is_believed_whatever_the_machines_say(phase: Phase | None) -> None:
    first = execution(0, outcome("success", second=5))
    later = execution(1, outcome("success", second=9))
    assert verdict(later, first, phase=phase, cause=Cause.NODE_FAILURE) == Accept(seen=first)


@pytest.mark.parametrize("phase", PHASES)
def test_a_success_waits_for_its_last_epochs(phase: Phase | None) -> None:
    assert verdict(execution(0, outcome("success"), complete=False), phase=phase) == Nothing()


@pytest.mark.parametrize("phase", [None, Phase.RUNNING, Phase.COMPLETING, Phase.ENDED, Phase.ABSENT])
def test_a_failure_file_is_believed(phase: Phase | None) -> None:
    failed = execution(0, outcome("failure", Cause.ERROR, error="ValueError: no"))
    assert verdict(failed, phase=phase) == match(
        Over, cause=Cause.ERROR, error="ValueError: no", node="n1", seen=failed
    )


def test_a_failure_counts_only_when_no_copy_is_alive() -> None:
    failed = execution(1, outcome("failure", Cause.ERROR))
    assert verdict(execution(0), failed, phase=Phase.ENDED) == Nothing()
    silent = execution(0, silent=STALE_SECONDS)
    assert verdict(silent, failed, phase=Phase.ENDED) == match(Over, cause=Cause.ERROR, seen=failed)


def test_a_copy_that_gave_way_ends_nothing() -> None:
    gave_way = execution(0, outcome("interrupted", Cause.CANCELLED, superseded=True))
    assert verdict(gave_way, phase=Phase.RUNNING, state=AttemptState.RUNNING) == Running(node="n9")


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.HELD])
def test_interrupted_and_pending_again_is_a_requeue(phase: Phase) -> None:
    stopped = execution(0, outcome("interrupted", Cause.PREEMPTED, requeued=True))
    assert verdict(stopped, phase=phase) == Requeued()


def test_what_waits_again_is_not_running_because_its_old_execution_beats_on() -> None:
    """Between two looks at the machines the files alone speak: of a power cut the last heartbeat is still young."""
    old, new = execution(0), execution(1)
    waits = attempt(state=AttemptState.SUBMITTED)
    case = Case(attempt=waits, executions=[old], observation=None, age_seconds=99.0, left=old.name)
    assert judge(case) == Nothing()
    assert judge(replace(case, left=None)) == Running(node="n1")
    assert judge(replace(case, executions=[old, new])) == Running(node="n1")


def test_interrupted_without_a_requeue_is_over_once_the_machines_say_so() -> None:
    stopped = execution(0, outcome("interrupted", Cause.PREEMPTED))
    promised = execution(0, outcome("interrupted", Cause.TIMEOUT, requeued=True))
    assert verdict(stopped, phase=Phase.ENDED, ended=0.0) == match(Over, cause=Cause.PREEMPTED)
    assert verdict(promised, phase=Phase.ENDED, ended=0.0) == Nothing(), "its requeue may still happen"
    assert verdict(promised, phase=Phase.ENDED, ended=SETTLE_SECONDS) == match(Over, cause=Cause.TIMEOUT)
    assert verdict(promised, phase=None) == Nothing()
    assert verdict(promised, phase=Phase.RUNNING) == Nothing()
    for cause in (Cause.NODE_FAILURE, Cause.PREEMPTED):
        for_a_moment = verdict(stopped, phase=Phase.ENDED, cause=cause, ended=0.0)
        assert for_a_moment == Nothing(), f"SLURM records {cause} before it requeues under the same id"
        for_good = verdict(stopped, phase=Phase.ENDED, cause=cause, ended=SETTLE_SECONDS)
        assert for_good == match(Over, cause=cause)
    by_a_person = verdict(stopped, phase=Phase.ENDED, cause=Cause.CANCELLED, ended=0.0)
    assert by_a_person == match(Over, cause=Cause.CANCELLED)


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.SUCCESS])
def test_without_a_file_the_machines_record_counts_after_a_while(cause: Cause) -> None:
    assert verdict(phase=Phase.ENDED, cause=cause, ended=0.0) == Nothing(), "the outcome file may be on its way"
    evidence = ("record", "last line")
    assert verdict(phase=Phase.ENDED, cause=cause, ended=SETTLE_SECONDS, evidence=evidence) == match(
        Over, cause=cause, node="n9", evidence=evidence, error="last line" if cause is Cause.ERROR else None
    )


def test_a_record_of_one_execution_says_nothing_of_another_that_lives() -> None:
    """Only its slurmd died: SLURM's second run ended on n9, while the first goes on, unseen, on n1."""
    orphan = execution(0)
    assert verdict(orphan, phase=Phase.ENDED, cause=Cause.ERROR) == Nothing()
    silent = execution(0, silent=STALE_SECONDS)
    nothing_left = match(Over, seen=None, node="n9")
    assert verdict(silent, phase=Phase.ENDED, cause=Cause.ERROR) == nothing_left, "that run never was ready"
    own = execution(1, node="n9")
    assert verdict(orphan, own, phase=Phase.ENDED, cause=Cause.KILLED) == Nothing()
    assert verdict(silent, own, phase=Phase.ENDED, cause=Cause.KILLED) == match(Over, cause=Cause.KILLED, seen=own)


def test_of_several_nodes_the_record_is_of_the_execution_on_one_of_them() -> None:
    own = execution(0, node="n1", silent=STALE_SECONDS)
    for blamed in ("n2", None):
        seen = Observation(phase=Phase.ENDED, node=blamed, nodes=frozenset({"n1", "n2"}), cause=Cause.NODE_FAILURE)
        case = Case(attempt=attempt(), executions=[own], observation=seen, age_seconds=99.0, ended_seconds=99.0)
        assert judge(case) == match(Over, cause=Cause.NODE_FAILURE, seen=own, node=blamed)
    failed = execution(0, outcome("failure", Cause.NODE_FAILURE, node="n2"), node="n1")
    assert verdict(failed, phase=Phase.ENDED, cause=Cause.ERROR) == match(Over, cause=Cause.NODE_FAILURE, node="n2")


def test_absent_is_not_dead() -> None:
    young = {"age": UNSEEN_SECONDS - 1.0, "absent": LOST_CYCLES}
    assert verdict(phase=Phase.ABSENT, **young) == Nothing()  # type: ignore[arg-type]
    assert verdict(phase=Phase.ABSENT, absent=LOST_CYCLES - 2) == Nothing()
    assert verdict(execution(0), phase=Phase.ABSENT, absent=LOST_CYCLES) == Nothing(), "its heart beats"
    silent = execution(0, silent=STALE_SECONDS)
    assert verdict(silent, phase=Phase.ABSENT, absent=LOST_CYCLES - 1) == match(Over, cause=Cause.LOST, seen=silent)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.HELD])
def test_running_and_pending_again_was_requeued(phase: Phase) -> None:
    assert verdict(phase=phase) == Nothing()
    assert verdict(phase=phase, state=AttemptState.RUNNING) == Requeued()


def test_where_nobody_was_asked_a_heartbeat_says_that_it_runs() -> None:
    assert verdict() == Nothing()
    assert verdict(execution(0)) == Running(node="n1")
    assert verdict(execution(0, silent=STALE_SECONDS)) == Nothing()


def test_completing_claims_nothing() -> None:
    assert verdict(phase=Phase.COMPLETING) == Nothing()


endings = st.sampled_from(["success", "failure", "interrupted"])
outcomes = st.none() | st.builds(
    lambda ending, cause, **more: Outcome(ending=ending, cause=Cause.SUCCESS if ending == "success" else cause, **more),
    ending=endings,
    cause=st.sampled_from([cause for cause in Cause if cause is not Cause.SUCCESS]),
    requeued=st.booleans(),
    superseded=st.booleans(),
    at=st.integers(0, 9).map(lambda second: AT + timedelta(seconds=second)),
)
executions = st.lists(st.tuples(outcomes, st.sampled_from([0.0, STALE_SECONDS]), st.booleans()), max_size=4).map(
    lambda items: [execution(i, o, silent=s, complete=c) for i, (o, s, c) in enumerate(items)]
)


@settings(max_examples=500)
@given(
    executions,
    st.sampled_from(PHASES),
    st.sampled_from([None, *Cause]),
    st.sampled_from([0.0, 1000.0]),
    st.sampled_from([0.0, 1000.0]),
    st.integers(0, 5),
    st.sampled_from([AttemptState.SUBMITTED, AttemptState.RUNNING]),
)
def test_every_case_has_a_verdict_and_no_finished_job_is_given_up(
    seen: list[Seen],
    phase: Phase | None,
    cause: Cause | None,
    age: float,
    ended: float,
    absent: int,
    state: AttemptState,
) -> None:
    found = verdict(*seen, phase=phase, cause=cause, age=age, ended=ended, absent=absent, state=state)
    succeeded = [one for one in seen if one.outcome is not None and one.outcome.ending == "success"]
    if succeeded:
        assert isinstance(found, Accept if any(one.complete for one in succeeded) else Nothing)
    stopped = bool(seen) and seen[-1].outcome is not None and seen[-1].outcome.ending == "interrupted"
    if isinstance(found, Over) and not stopped and phase is not Phase.ABSENT:  # those are tried again, not failed
        alive = [one for one in seen if one.outcome is None and one.silent_seconds() < STALE_SECONDS]
        assert not [one for one in alive if one is not found.seen], "a copy may still succeed"
