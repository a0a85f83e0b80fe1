"""What is learnt of silences, and what follows from it."""

from __future__ import annotations

import itertools
import random
from statistics import median

import msgspec
import pytest

from jobs.rhythm import (
    ENOUGH,
    FACTOR,
    FEW_FLOOR_SECONDS,
    FLOOR_SECONDS,
    LEAST,
    OWN_FLOOR_SECONDS,
    TOPS,
    Limit,
    Pulse,
    Rhythm,
    limit,
    together,
)


def pulse(*silences: float, first: float = 1.0) -> Pulse:
    """Of a program with these silences."""
    made = Pulse(began=100.0)
    for at in itertools.accumulate((first, *silences), initial=100.0):
        if at > 100.0:
            made.sign(at)
    return made


def steady(silences: int, every: float = 10.0, *, whole: int = 0) -> Rhythm:
    return msgspec.structs.replace(pulse(*[every] * silences).rhythm(), whole=whole)


def test_a_pulse_tells_median_spread_and_the_longest_silences() -> None:
    dice = random.Random(5)
    silences = [dice.lognormvariate(3.0, 0.5) for _ in range(500)]
    found = pulse(*silences, first=77.0).rhythm()
    assert found.silences == 500 and found.first == 77.0
    assert found.median == pytest.approx(median(silences), rel=0.1)
    assert found.spread == pytest.approx(0.5, rel=0.25)
    assert found.longest == pytest.approx(sorted(silences, reverse=True)[:TOPS], abs=0.06)


def test_what_it_keeps_does_not_grow() -> None:
    short, long = pulse(*[1.0, 2.0, 900.0] * 10), pulse(*[1.0, 2.0, 900.0] * 1000)
    assert len(msgspec.json.encode(long.rhythm())) < len(msgspec.json.encode(short.rhythm())) + 10 < 250
    assert msgspec.json.decode(msgspec.json.encode(long.rhythm()), type=Rhythm) == long.rhythm()


def test_a_time_that_it_stood_still_is_no_silence() -> None:
    one = pulse(10.0, 10.0)
    one.stood_still(5000.0)
    assert one.silent(5004.0) == 4.0
    one.sign(5005.0)
    assert one.rhythm().longest[0] == 10.0


def test_several_executions_are_judged_by_the_most_silent_one() -> None:
    both = together([steady(40, 10.0, whole=1), steady(20, 300.0)])
    assert both is not None and (both.silences, both.whole, both.longest[0]) == (60, 1, 300.0)
    assert both.median == pytest.approx(300, rel=0.1)
    assert together([]) is None


@pytest.mark.parametrize(
    ("own", "known", "floor"),
    [
        (steady(LEAST - 1), None, None),
        (steady(LEAST), None, FEW_FLOOR_SECONDS),
        (steady(ENOUGH), None, OWN_FLOOR_SECONDS),
        (steady(LEAST), steady(40, whole=1), FLOOR_SECONDS),
        (steady(0), steady(40, whole=1), FLOOR_SECONDS),
        (steady(0), steady(LEAST, whole=1), FEW_FLOOR_SECONDS),
        (steady(0), steady(40), OWN_FLOOR_SECONDS),
        (steady(0), steady(LEAST - 1, whole=1), None),
    ],
)
def test_how_much_is_known_says_how_soon_it_may_be_called_a_hang(
    own: Rhythm, known: Rhythm | None, floor: float | None
) -> None:
    found = limit(own, known)
    assert (None if found is None else found.seconds) == floor


def test_the_longest_silence_says_it_where_the_floor_does_not() -> None:
    known = msgspec.structs.replace(pulse(*[300.0] * 9, 3000.0, *[300.0] * 90).rhythm(), whole=1)
    found = limit(steady(4), known)
    assert found is not None and found.seconds >= FACTOR * 3000.0
    assert found.why == "an earlier run was never silent for longer than 50 min"


def test_an_evaluation_every_tenth_epoch_is_no_tail() -> None:
    """Nine epochs of a minute and one of ten, again and again: an hour of silence is a hang."""
    found = limit(pulse(*([60.0] * 9 + [600.0]) * 10).rhythm(), steady(100, 60.0, whole=1))
    assert found is not None and found.seconds == FACTOR * 600.0


def test_before_the_first_sign_only_whole_runs_tell() -> None:
    silent = Pulse(began=0.0).rhythm()
    assert limit(silent, None) is None and limit(silent, steady(40)) is None
    compiles = msgspec.structs.replace(steady(40, whole=2), first=3600.0)
    assert limit(silent, compiles) == Limit(
        FACTOR * 3600, "each of 2 earlier runs of it gave a first sign within 60 min"
    )
