"""The words: states, their transitions and causes, the same everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from db import rules
from jobs.words import FINAL, LIVE, TRANSITIONS, BackendName, Cause, JobState
from orchestrator.supervision.policy import Policy


def test_every_state_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(JobState)
    assert all(before not in afters for before, afters in TRANSITIONS.items())


def test_what_has_ended_moves_only_into_its_next_generation() -> None:
    """But for a late success of a job that had failed."""
    assert {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED} == FINAL
    again = {JobState.QUEUED, JobState.WAITING}
    assert {state: TRANSITIONS[state] - again for state in FINAL} == {
        JobState.SUCCEEDED: set(),
        JobState.FAILED: {JobState.SUCCEEDED},
        JobState.CANCELLED: set(),
    }


def test_a_cancelled_job_never_succeeds_by_itself() -> None:
    assert TRANSITIONS[JobState.CANCELLED] == {JobState.QUEUED, JobState.WAITING}


def test_a_job_runs_only_through_submitted() -> None:
    """Intent first: there is no way to `running` but from `submitted`."""
    assert [before for before, afters in TRANSITIONS.items() if JobState.RUNNING in afters] == [JobState.SUBMITTED]
    assert {before for before, afters in TRANSITIONS.items() if JobState.SUBMITTED in afters} == {
        JobState.QUEUED,
        JobState.RUNNING,
    }


def test_every_state_can_be_reached() -> None:
    reached = {JobState.WAITING}
    for _ in JobState:
        reached |= {after for before in reached for after in TRANSITIONS[before]}
    assert reached == set(JobState)
    assert {JobState.SUBMITTED, JobState.RUNNING} == LIVE


def test_the_database_knows_the_same_transitions() -> None:
    (statement,) = [text for text in rules.triggers() if "TRIGGER job_transition " in text]
    for before in JobState:
        for after in JobState:
            assert (f"('{before}', '{after}')" in statement) == (after in TRANSITIONS[before])


@pytest.mark.parametrize("words", [JobState, Cause, BackendName])
def test_words_are_written_as_they_are_said(words: type[JobState | Cause | BackendName]) -> None:
    assert all(word.value == word.name.lower() for word in words)


def test_every_cause_that_is_resubmitted_has_a_budget() -> None:
    decided_otherwise = {Cause.SUCCESS, Cause.ERROR, Cause.CANCELLED, Cause.OUT_OF_MEMORY, Cause.TIMEOUT}
    assert set(Policy().budgets) == set(Cause) - decided_otherwise


def test_the_documented_words_are_the_words() -> None:
    docs = Path(__file__).parents[3] / "docs"
    assert [word for word in JobState if word not in (docs / "architecture.md").read_text()] == []
    assert [word for word in Cause if word not in (docs / "resubmission.md").read_text()] == []
