"""One failure of a node is one strike, however many jobs ran there; one that eats job after job gets one for each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from db.health import StoredStrike
from jobs.words import Cause
from orchestrator.supervision.incidents import AT_ONCE, WINDOW, is_same

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return AT - timedelta(seconds=seconds)


def struck(seconds: float, cause: Cause = Cause.NODE_FAILURE) -> StoredStrike:
    return StoredStrike(node="n1", at=ago(seconds), cause=cause, job=1)


@pytest.mark.parametrize("cause", [Cause.NODE_FAILURE, Cause.LAUNCH_FAILURE, Cause.GPU_FAULT, Cause.KILLED])
def test_jobs_that_were_there_together_are_one_incident(cause: Cause) -> None:
    assert is_same(struck(5, cause), cause, ago(60), AT)
    assert not is_same(struck(5, cause), cause, ago(4), AT), "it began after the strike: the node did it again"
    assert not is_same(struck(5, cause), Cause.LOST, ago(60), AT)


@pytest.mark.parametrize("cause", [Cause.LAUNCH_FAILURE, Cause.GPU_FAULT, Cause.KILLED])
def test_a_node_that_eats_job_after_job_is_seen_late_and_struck_for_each(cause: Cause) -> None:
    assert not is_same(struck(1, cause), cause, ago(8), AT), "it began after the first had ended, before orch saw that"
    assert is_same(struck(1), Cause.NODE_FAILURE, ago(8), AT), "a node that failed begins nothing"


def test_where_nobody_knows_the_start_only_node_failures_at_once_are_one() -> None:
    assert is_same(struck(5), Cause.NODE_FAILURE, None, AT)
    assert not is_same(struck(AT_ONCE.total_seconds() + 1), Cause.NODE_FAILURE, None, AT)
    assert not is_same(struck(1, Cause.LAUNCH_FAILURE), Cause.LAUNCH_FAILURE, None, AT)


def test_clocks_that_differ_never_hide_a_node_for_long() -> None:
    late = WINDOW.total_seconds() + 1
    assert not is_same(struck(late), Cause.NODE_FAILURE, ago(2 * late), AT)
    assert not is_same(struck(-5), Cause.NODE_FAILURE, ago(60), AT), "a strike of the future: the clock was set back"
