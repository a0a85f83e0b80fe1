"""How long a piece is, and how many are sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import BadInput
from jobs.words import Cause, JobState
from orchestrator import amounts
from orchestrator.supervision.policy import Failure, Situation, decide
from orchestrator.supervision.slicing import LONGEST_MINUTES, SHORTEST_MINUTES, Learnt, length, plan
from tests.unit.cluster.test_pieces import DAWN

NOTHING = Learnt()


def test_auto_learns_from_epochs_and_says_so() -> None:
    assert length("auto", NOTHING)[0] == 30 and "no job like it" in length("auto", NOTHING)[1]
    minutes, why = length("auto", Learnt(seconds=(7200.0, 6600.0, 7800.0), epochs=50))
    assert minutes == 30 and "144 s" in why, "ten epochs of 144 s, and the warning, to the next five minutes"
    assert length("auto", Learnt(seconds=(60.0,), epochs=60))[0] == SHORTEST_MINUTES
    assert length("auto", Learnt(seconds=(1e6,), epochs=10))[0] == LONGEST_MINUTES
    assert length(45, NOTHING) == (45, "asked for")


def test_what_fits_into_one_piece_is_sent_as_ever() -> None:
    assert plan(30, 30, NOTHING, 0.0) is None
    assert plan(30, 31, NOTHING, 0.0) is not None
    assert plan(30, 600, Learnt(seconds=(900.0,)), 0.0) is None, "jobs like it take a quarter of an hour"


def test_so_many_as_the_time_still_needed_takes() -> None:
    first = plan(30, 720, NOTHING, 0.0)
    later = plan(30, 720, NOTHING, 36_000.0)
    assert first is not None and later is not None
    assert first.pieces == 28, "43,200 s, of each piece 1,650 s count, and one more"
    assert later.pieces == 12, "half of what was used, where that is more than the rest"


@given(st.integers(1, 600), st.integers(1, 20_000), st.floats(0, 1e7), st.lists(st.floats(1, 1e7), max_size=5))
def test_pieces_always_suffice_for_the_time_left(each: int, minutes: int, used: float, took: list[float]) -> None:
    found = plan(each, minutes, Learnt(seconds=tuple(took), epochs=5), used)
    wanted = min(minutes * 60.0, 1.25 * max(took)) if took else minutes * 60.0
    if found is None:
        assert used == 0 and wanted <= each * 60
    else:
        assert found.pieces >= 2 and found.pieces * found.minutes * 60 >= wanted - used


def test_a_slice_without_progress_ends_the_job_with_its_cause() -> None:
    failure = Failure(cause=Cause.TIMEOUT, error="no progress in a whole slice (30 minutes): give longer ones")
    found = decide(Situation(job=1, attempt=1, now=DAWN, failure=failure, minutes=600, sliced=True))
    assert found.then is JobState.FAILED and found.error == failure.error
    advanced = Failure(cause=Cause.TIMEOUT, checkpoint_step=7)
    found = decide(Situation(job=1, attempt=1, now=DAWN, failure=advanced, sliced=True))
    assert found.then is JobState.QUEUED and found.sentence.startswith("all its pieces were used")


def test_what_a_person_may_write() -> None:
    found = [amounts.slices(text) for text in ("30m", "2h", "45", "90s", "auto", "off")]
    assert found == [30, 120, 45, 2, "auto", 0]
    for text in ("", "5s", "-3m", "soon"):
        with pytest.raises(BadInput, match="--slices takes a time of at least a minute"):
            amounts.slices(text)
