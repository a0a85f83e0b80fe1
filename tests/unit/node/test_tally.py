"""What an execution uses, added up: whatever is read and whenever, the file is whole, small and never says too much."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.files import Unreadable, decode, encode, now
from jobs.node.tally import Tally
from jobs.usage import GAP_SECONDS, POINTS, Folding, GpuReading, Reading, UsageFile

MAYBE = st.none() | st.floats(0, 1e6)
GPUS = st.builds(
    GpuReading,
    percent=st.none() | st.integers(0, 100).map(float),
    memory_mb=MAYBE,
    watts=MAYBE,
    joules=MAYBE,
)
STEPS = st.tuples(st.floats(0.01, 2000), st.floats(0, 1e6), st.lists(GPUS, min_size=2, max_size=2), st.integers(-1, 5))


def read(tally: Tally, at: float, cpu: float = 0.0, *percents: float | None, **more: Any) -> None:
    gpus = tuple(GpuReading(percent=percent, **more) for percent in percents)
    tally.read(at, Reading(cpu_seconds=cpu, memory_mb=10.0, gpus=gpus))


def told(tally: Tally, at: float) -> UsageFile:
    """The file as a reader takes it."""
    return decode(encode(tally.file(at, now(), 15.0)), UsageFile)


@given(st.lists(STEPS, max_size=30), st.booleans())
def test_whatever_is_read_the_file_can_be_read_and_is_small(steps: list[Any], whole: bool) -> None:
    tally, at = Tally(gpus=2, whole=whole), 0.0
    for seconds, cpu, gpus, newest in steps:
        at += seconds
        tally.steps(at, 1, newest)
        tally.read(at, Reading(cpu_seconds=cpu, memory_mb=1.0, gpus=tuple(gpus)))
        usage = told(tally, at).usage
        assert usage.kept is None or usage.kept.seconds <= usage.sums.seconds
        assert whole or (usage.sums.cpu_seconds, usage.sums.busy_seconds, usage.idle) == (None, None, ())
    assert len(encode(tally.file(at, now(), 15.0))) < 8192


@given(st.lists(st.tuples(st.floats(0.01, 500), st.floats(0, 100)), min_size=1, max_size=200))
def test_a_curve_never_grows_and_keeps_the_area_under_it(spans: list[tuple[float, float]]) -> None:
    folding, at = Folding(), 0.0
    for seconds, value in spans:
        folding.add(at, at + seconds, (value, None, None, None, None))
        at += seconds
    assert len(folding.curve().points) <= POINTS and folding.span * POINTS >= at
    area = sum(one.sums[0] for one in folding.bins)
    assert math.isclose(area, sum(seconds * value for seconds, value in spans), rel_tol=1e-9, abs_tol=1e-9)
    assert math.isclose(sum(one.known[0] for one in folding.bins), at, rel_tol=1e-9)
    assert all(point[1] is None for point in folding.curve().points), "what is not known is no 0"


def test_cpu_time_and_busy_time_are_those_of_the_intervals() -> None:
    tally = Tally(gpus=2)
    read(tally, 0.0, 3.0, 0.0, 0.0)
    read(tally, 10.0, 13.0, 100.0, 50.0)
    read(tally, 30.0, 12.0, 0.0, 50.0)  # a process ended whose parent did not ask for it
    read(tally, 40.0, 22.0, 0.0, 0.0)
    usage = told(tally, 40.0).usage
    assert usage.sums.cpu_seconds == 20.0
    assert usage.sums.busy_seconds == 10 * 1.5 + 20 * 0.5
    assert usage.idle == (30.0, 10.0)


def test_what_was_used_before_the_first_reading_counts_and_what_the_worker_had_used_does_not() -> None:
    tally = Tally(gpus=1, used=2.0)
    read(tally, 1.0, 2.5, 0.0)
    assert told(tally, 1.0).usage.sums.cpu_seconds == 0.5


def test_energy_is_what_the_counters_rose_by_and_unknown_once_one_began_anew() -> None:
    tally = Tally(gpus=1)
    for at, joules in ((0.0, 1e6), (10.0, 1e6 + 700), (20.0, 1e6 + 1500)):
        read(tally, at, 0.0, 50.0, joules=joules)
    assert told(tally, 20.0).usage.sums.joules == 1500.0
    read(tally, 30.0, 0.0, 50.0, joules=3.0)
    read(tally, 40.0, 0.0, 50.0, joules=900.0)
    assert told(tally, 40.0).usage.sums.joules is None


def test_a_driver_that_tells_nothing_leaves_it_unknown_and_one_that_pauses_does_not() -> None:
    tally = Tally(gpus=1)
    read(tally, 0.0, 0.0, None)
    assert told(tally, 0.0).usage.sums.busy_seconds is None and told(tally, 0.0).usage.idle == ()
    read(tally, 15.0, 0.0, 40.0)
    read(tally, 30.0, 0.0, None)
    read(tally, 45.0, 0.0, 100.0)
    assert told(tally, 45.0).usage.sums.busy_seconds == 15 * 0.4 + 30
    read(tally, 50.0 + GAP_SECONDS, 0.0, None)
    read(tally, 60.0 + GAP_SECONDS, 0.0, 0.0)
    assert told(tally, 60.0 + GAP_SECONDS).usage.sums.busy_seconds is None


def test_a_checkpoint_keeps_what_was_used_until_then() -> None:
    tally = Tally(gpus=0)
    read(tally, 0.0, 0.0)
    assert not tally.steps(1.0, -1, -1)
    read(tally, 10.0, 8.0)
    assert tally.steps(12.0, -1, 4)
    read(tally, 20.0, 16.0)
    usage = told(tally, 20.0).usage
    assert usage.kept is not None and (usage.kept.seconds, usage.kept.cpu_seconds) == (12.0, 8.0)
    assert (usage.saved_step, usage.resumed_step) == (4, -1)
    assert tally.steps(21.0, 4, 4), "it only went on from there"
    assert (told(tally, 21.0).usage.kept, told(tally, 21.0).usage.saved_step) == (None, -1)


ODD = [
    {"kept": {"seconds": 50.0}},
    {"kept": {"seconds": 50.0}, "saved_step": 3},
    {"saved_step": 3},
    {"sums": {"seconds": 10.0, "busy_seconds": 500.0}},
    {"sums": {"seconds": -1.0}},
    {"sums": {"seconds": 1e300}},
    {"idle": [5000.0]},
    {"gpus": 10**9},
    {"resumed_step": 2**63},
    {"at": "9999-12-31T23:59:59Z"},
    {"at": "2026-01-01T00:00:00"},
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_what_cannot_be_is_refused(odd: dict[str, Any]) -> None:
    good = {"sums": {"seconds": 10.0, "cpu_seconds": 2.0}, "gpus": 1, "at": "2026-01-01T00:00:00Z"}
    assert decode(msgspec.json.encode({"usage": good}), UsageFile).usage.sums.seconds == 10.0
    with pytest.raises(Unreadable):
        decode(msgspec.json.encode({"usage": {**good, **odd}}), UsageFile)


def test_a_curve_of_more_points_than_anybody_wrote_is_refused() -> None:
    usage = {"at": "2026-01-01T00:00:00Z"}
    with pytest.raises(Unreadable):
        decode(msgspec.json.encode({"usage": usage, "curve": {"points": [[None] * 5] * (POINTS + 1)}}), UsageFile)
