"""What people are told: each failure once, a study once it stands still, and nothing that they know."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from db.news import Failure
from jobs.words import JobState
from orchestrator.supervision import news
from orchestrator.supervision.news import Told


def failure(job: int, generation: int = 1, error: str = "ValueError: no") -> Failure:
    return Failure(job=job, generation=generation, study="mine", kind="command", seed=job, error=error)


def counts(**states: int) -> dict[str, dict[JobState, int]]:
    return {"mine": {state: states.get(state.value, 0) for state in JobState}}


def test_a_failure_is_told_once_for_each_generation() -> None:
    running = counts(running=1, failed=1)
    first = news.now([failure(3)], running, {})
    said = news.lines(Told(), first, [failure(3)])
    assert said == ["job 3 (command, seed 3, study mine) failed: ValueError: no"]
    assert news.lines(first, first, [failure(3)]) == []
    again = news.now([failure(3, 2)], running, {})
    assert len(news.lines(first, again, [failure(3, 2)])) == 1


def test_many_failures_are_one_message() -> None:
    these = [failure(number, error="x " * 300) for number in range(1, 101)]
    said = news.lines(Told(), news.now(these, counts(running=1), {}), these)
    assert len(said) == news.SHOWN + 1 and said[-1].startswith("and 95 more jobs failed")
    assert all(len(line) < 300 for line in said)
    assert news.subject(said).endswith("(and 5 more)") and news.subject(said[:1]) == f"orch: {said[0]}"


def test_a_study_is_told_when_it_stands_and_again_when_it_stood_again() -> None:
    moving, done = news.now([], counts(running=1, succeeded=2), {}), news.now([], counts(succeeded=3), {})
    assert news.lines(moving, done, []) == ["study mine is done: 3 succeeded"]
    assert news.is_urgent(moving, done) and not news.is_urgent(done, done)
    assert news.lines(done, done, []) == []
    assert news.lines(done, moving, []) == []
    assert news.lines(moving, done, []) == ["study mine is done: 3 succeeded"]
    blocked = news.now([], counts(waiting=2, failed=1), {})
    assert news.lines(moving, blocked, []) == ["study mine stands still: 2 waiting, 1 failed"]
    held = news.now([], counts(queued=2), {}, idle=True)
    assert news.lines(moving, held, []) == ["study mine stands still: 2 queued"]


def test_a_stopped_dispatch_is_told_with_its_reason() -> None:
    stopped = news.now([], counts(queued=1), {"main": "all 4 nodes are bad"})
    assert news.lines(Told(), stopped, []) == ["nothing is sent to main any more: all 4 nodes are bad"]
    assert news.lines(stopped, stopped, []) == []


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 3)), max_size=20, unique_by=lambda pair: pair[0]))
def test_nothing_is_ever_told_twice(pairs: list[tuple[int, int]]) -> None:
    these = [failure(job, generation) for job, generation in pairs]
    after = news.now(these, counts(succeeded=1), {"a": "b"})
    assert news.lines(after, after, these) == []
    assert bool(news.lines(Told(), after, these))
