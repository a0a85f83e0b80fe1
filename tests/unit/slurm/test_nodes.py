"""Node health and the grouping of jobs into arrays."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.resources import Resources
from jobs.words import Cause
from slurm.backend import QueuedJob
from slurm.cluster.arrays import SubmitLimit, group, request
from slurm.nodes import Policy, Strike, excluded
from slurm.pools import Pools

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
NAMES = ("n1", "n2", "n3", "n4")


def pools(down: Collection[str] = (), **partitions: Collection[str]) -> Pools:
    states = {node: "down*" if node in down else "idle" for nodes in partitions.values() for node in nodes}
    return Pools(partitions={name: frozenset(nodes) for name, nodes in partitions.items()}, states=states)


FOUR = pools(main=NAMES)


def strikes(node: str, count: int, minutes_ago: float = 1, cause: Cause = Cause.LAUNCH_FAILURE) -> list[Strike]:
    return [Strike(node=node, at=NOON - timedelta(minutes=minutes_ago), cause=cause)] * count


def test_one_failure_blames_nobody_and_three_exclude() -> None:
    assert excluded(strikes("n1", 2), FOUR, NOON).nodes == frozenset()
    verdict = excluded(strikes("n1", 3), FOUR, NOON)
    assert verdict.nodes == {"n1"} and not verdict.stopped
    assert verdict.until["n1"] == NOON + timedelta(minutes=59)


def test_strikes_and_exclusions_expire() -> None:
    assert excluded(strikes("n1", 3, minutes_ago=60), FOUR, NOON).nodes == frozenset()
    assert excluded(strikes("n1", 2, minutes_ago=300) + strikes("n1", 1), FOUR, NOON).nodes == {"n1"}
    assert excluded(strikes("n1", 2, minutes_ago=361) + strikes("n1", 1), FOUR, NOON).nodes == frozenset()


@pytest.mark.parametrize("back", [0, 30, 24 * 60])
def test_a_clock_that_is_set_back_keeps_nothing_out_for_longer(back: int) -> None:
    """Two strikes of before it was set back say to be later than the third: an hour after that one it is over."""
    marks = strikes("n1", 2, minutes_ago=59 - back) + strikes("n2", 1, minutes_ago=58) + strikes("n1", 1, 57)
    assert excluded(marks, FOUR, NOON).until == {"n1": NOON + timedelta(minutes=3)}
    assert not excluded(marks, FOUR, NOON + timedelta(minutes=3)).until
    assert excluded(marks[:2], FOUR, NOON, Policy(strikes=2)).until["n1"] <= NOON + timedelta(hours=1)


def test_never_more_than_the_share_of_a_partition_and_the_worst_first() -> None:
    marks = strikes("n1", 3) + strikes("n2", 5) + strikes("n3", 4)
    verdict = excluded(marks, FOUR, NOON)
    assert verdict.nodes == {"n2", "n3"} and verdict.spared == {"n1"} and not verdict.stopped


def test_the_share_holds_in_every_partition_of_a_node() -> None:
    verdict = excluded(strikes("n1", 3) + strikes("n2", 4), pools(main=NAMES, small=["n1", "n2"]), NOON)
    assert verdict.nodes == {"n2"} and "small" in verdict.stopped and "main" not in verdict.stopped


def test_with_all_nodes_bad_there_is_a_sentence() -> None:
    marks = [strike for node in NAMES for strike in strikes(node, 3, cause=Cause.GPU_FAULT)]
    verdict = excluded(marks, FOUR, NOON)
    assert verdict.stopped["main"].startswith("all 4 nodes of 'main' are bad (3 failures each, the last a gpu_fault on")
    assert "before 2026-05-01 12:59 UTC" in verdict.stopped["main"] and "`orch nodes`" in verdict.stopped["main"]


def test_down_nodes_help_nobody_but_alone_stop_nothing() -> None:
    three = strikes("n1", 3) + strikes("n2", 4) + strikes("n3", 5)
    assert not excluded(three, FOUR, NOON).stopped
    verdict = excluded(three, pools(main=NAMES, down=["n4"]), NOON)
    assert verdict.spared == {"n1"}
    assert verdict.stopped["main"].startswith("all nodes of 'main' are down or bad")
    two_kept_out = strikes("n1", 3) + strikes("n2", 3)
    assert not excluded(two_kept_out, pools(main=NAMES, down=["n3", "n4"]), NOON).stopped, "it may wait in the queue"
    assert not excluded([], pools(main=NAMES, down=NAMES), NOON).stopped


def test_with_all_excluded_nothing_is_sent_either() -> None:
    marks = [strike for node in NAMES for strike in strikes(node, 3)]
    verdict = excluded(marks, FOUR, NOON, Policy(largest_share=1.0))
    assert verdict.nodes == set(NAMES) and "main" in verdict.stopped


def test_the_only_node_is_never_excluded_but_stops() -> None:
    verdict = excluded(strikes("n1", 3), pools(main=["n1"]), NOON)
    assert verdict.nodes == frozenset() and verdict.stopped["main"].startswith("the only node of 'main' is bad")


def test_nodes_that_are_gone_are_left_out() -> None:
    assert excluded(strikes("gone", 9), FOUR, NOON).until == {}


@given(
    st.lists(st.tuples(st.sampled_from(["n1", "n2", "n3", "n4", "x"]), st.integers(0, 500)), max_size=40),
    st.floats(0, 1),
    st.integers(1, 4),
)
def test_the_cap_holds_whatever_happens(marks: list[tuple[str, int]], share: float, count: int) -> None:
    oldest_first = sorted(marks, key=lambda mark: -mark[1])
    made = [Strike(node=node, at=NOON - timedelta(minutes=ago), cause=Cause.LOST) for node, ago in oldest_first]
    policy = Policy(largest_share=share, strikes=count)
    verdict = excluded(made, FOUR, NOON, policy)
    assert len(verdict.nodes) <= 4 * share and verdict.nodes <= set(NAMES)
    assert verdict.nodes | verdict.spared == set(verdict.until)
    of_one_moment_otherwise = made[::-1]
    of_one_moment_otherwise.sort(key=lambda strike: strike.at)
    assert verdict == excluded(of_one_moment_otherwise, FOUR, NOON, policy)


def job(number: int, gpus: int = 0, **options: Any) -> QueuedJob:
    return QueuedJob(job=number, resources=Resources(gpus=gpus), options=options)


def test_equal_requests_go_together_in_order() -> None:
    jobs = [job(1), job(2, gpus=1), job(3), job(4, slurm={"partition": "a", "qos": "b"}), job(5, gpus=1)]
    jobs.append(job(6, slurm={"qos": "b", "partition": "a"}))
    assert [[item.job for item in batch.jobs] for batch in group(jobs)] == [[1, 3], [2, 5], [4, 6]]


def test_jobs_that_avoid_different_nodes_are_not_mixed() -> None:
    plain, shy = job(1), QueuedJob(job=2, resources=Resources(), avoid=frozenset({"n1"}))
    assert request(plain) != request(shy)
    assert request(shy) == request(QueuedJob(job=3, resources=Resources(), avoid=frozenset({"n1"})))


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["a", "b"])), max_size=60),
    st.integers(1, 9),
    st.integers(0, 70),
)
def test_arrays_hold_every_job_once_and_keep_their_bounds(asked: list[tuple[int, str]], size: int, room: int) -> None:
    jobs = [job(number, gpus, slurm={"partition": name}) for number, (gpus, name) in enumerate(asked)]
    batches = group(jobs, size, room)
    assert sorted(item.job for batch in batches for item in batch.jobs) == list(range(min(room, len(jobs))))
    for batch in batches:
        assert len(batch.jobs) <= size
        assert len({request(item) for item in batch.jobs}) == 1
        assert [item.job for item in batch.jobs] == sorted(item.job for item in batch.jobs)


@pytest.mark.parametrize("limit", [1, 7, 10, 1000])
def test_a_submit_limit_is_found_and_then_kept_full(limit: int) -> None:
    known, live, refusals = SubmitLimit(), 0, 0
    for step in range(60):
        now = NOON + timedelta(seconds=step)
        room = known.room(live, now)
        size = 2000 if room is None else min(room, 2000)
        if size == 0:
            continue
        if live + size > limit:
            known, refusals = known.refuse(live + size, now), refusals + 1
        else:
            live += size
            known = known.accept(live, now)
    assert live == limit and refusals <= 13


def test_a_raised_limit_is_noticed() -> None:
    known = SubmitLimit().refuse(11, NOON).accept(10, NOON)
    assert known.room(10, NOON + timedelta(seconds=5)) == 0
    later = NOON + timedelta(minutes=3)
    assert known.room(10, later) == 2
    assert known.accept(12, later).room(12, later) is None
