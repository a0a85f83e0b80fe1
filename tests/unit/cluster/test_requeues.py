"""Who took a job that SLURM requeued: what rows of the queue, the records and the nodes say together."""

from __future__ import annotations

from datetime import UTC, datetime

from jobs.words import Cause
from slurm.backend import LiveAttempt
from slurm.cluster.requeues import EXPLAINED_WITHIN_S, Requeues
from slurm.cluster.rows import Row


def attempt(*, running: bool, node: str) -> LiveAttempt:
    return LiveAttempt(
        job=1,
        attempt=1,
        token="o-a",
        index=0,
        size=1,
        native_id="4",
        running=running,
        slot=None,
        submitted_at=datetime(2026, 1, 1, tzinfo=UTC),
        node=node,
    )


def test_a_requeue_of_its_own_blames_nobody() -> None:
    known = Requeues(clock=lambda: 0.0)
    live = attempt(running=True, node="n1")
    known.note(live, Row(job="4", task=None, name="o-a", state="PENDING", restarts=1, reason="BeginTime"))
    assert known.explain((1, 1, None), {"n1": "mixed"}, []) is None and known.open((1, 1, None))
    requeued = Row(job="4", task=None, name="o-a", state="REQUEUED", node="n1", source="sacct")
    assert known.explain((1, 1, None), {"n1": "mixed"}, [requeued]) is None and not known.open((1, 1, None))
    assert not known.of_bad_nodes


def test_a_launch_that_failed_is_told() -> None:
    known = Requeues(clock=lambda: 0.0)
    row = Row(job="4", task=None, name="o-a", state="PENDING", restarts=1, reason="launch failed requeued held")
    known.note(attempt(running=True, node="n1"), row)
    told = known.explain((1, 1, None), {}, None)
    assert told is not None and (told.cause, told.node) == (Cause.LAUNCH_FAILURE, "n1")


def test_a_requeue_that_nobody_explains_is_let_go() -> None:
    time = [0.0]
    known = Requeues(clock=lambda: time[0])
    known.note(attempt(running=True, node="n1"), Row(job="4", task=None, name="o-a", state="PENDING", restarts=1))
    time[0] = EXPLAINED_WITHIN_S
    assert known.explain((1, 1, None), {}, None) is None and not known.open((1, 1, None))


def test_a_requeue_between_two_looks_is_seen_by_the_node() -> None:
    known = Requeues(clock=lambda: 0.0)
    live = attempt(running=True, node="n1")
    known.note(live, Row(job="4", task=None, name="o-a", state="RUNNING", node="n1", restarts=0))
    known.note(live, Row(job="4", task=None, name="o-a", state="RUNNING", node="n2", restarts=1))
    told = known.explain((1, 1, None), {"n1": "down*"}, None)
    assert told is not None and (told.cause, told.node) == (Cause.NODE_FAILURE, "n1")
    known.note(live, Row(job="4", task=None, name="o-a", state="RUNNING", node="n2", restarts=1))
    assert not known.open((1, 1, None))
    known.forget_all_but([])
    assert known.nodes() == frozenset()


def test_of_several_nodes_the_one_that_failed_is_to_blame() -> None:
    """The worker is on the first one, and a job that runs on is on none of them for the first time."""
    known = Requeues(clock=lambda: 0.0)
    live = attempt(running=True, node="n1")
    both = Row(job="4", task=None, name="o-a", state="RUNNING", node="n[1-2]", restarts=0)
    known.note(live, both)
    known.note(live, both)
    assert not known.open((1, 1, None)), "it has not moved"
    known.note(live, Row(job="4", task=None, name="o-a", state="PENDING", restarts=1))
    assert known.nodes() == {"n1", "n2"}
    told = known.explain((1, 1, None), {"n1": "idle", "n2": "down*"}, None)
    assert told is not None and (told.cause, told.node) == (Cause.NODE_FAILURE, "n2")
    assert told.nodes == {"n1", "n2"}, "its execution was on one of these"

    known = Requeues(clock=lambda: 0.0)
    known.note(live, both)
    known.note(live, Row(job="4", task=None, name="o-a", state="PENDING", restarts=1))
    record = Row(job="4", task=None, name="o-a", state="NODE_FAIL", node="n[1-2]", source="sacct")
    told = known.explain((1, 1, None), {"n1": "idle", "n2": "idle"}, [record])
    assert told is not None and told.cause is Cause.NODE_FAILURE and told.node is None, "nobody knows which it was"
