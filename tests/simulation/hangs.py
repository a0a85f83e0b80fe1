"""Simulated histories of programs: how often they report, and where one of them hangs. Not the rule's own words.

Each history has none to four earlier runs of the same config, and a run that is watched. Mixed into it, each in a part
of the histories: silences with heavy tails, stalls of a file system, an evaluation every tenth epoch, a first epoch
that compiles, a last test, a GPU that is up to four times slower than before, epochs that grow longer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from jobs.rhythm import ENOUGH, FLOOR_SECONDS, LEAST, Limit, Pulse, Rhythm, limit, together

MOST = 12 * 3600.0
"""Nobody waits for longer without a word from a program."""
FAMILIES = ("regular", "lognormal", "pareto", "stalls", "printed")


@dataclass(frozen=True, kw_only=True)
class Program:
    """How one program reports."""

    family: str
    median: float
    sigma: float
    alpha: float
    reports: int
    evaluation: float
    """Every tenth epoch takes so many times longer; 1: there is none."""
    compiles: float
    """Seconds before the first report."""
    cached: bool
    """Only the first run compiles."""
    last_test: float
    grows: float


def program(dice: random.Random) -> Program:
    """One that somebody may have."""
    family = dice.choice(FAMILIES)
    printed = family == "printed"  # a line each second or so, and an evaluation without any
    return Program(
        family=family,
        median=math.exp(dice.uniform(math.log(1), math.log(3 if printed else 1800))),
        sigma=dice.uniform(0.5, 1.5) if family == "lognormal" else dice.uniform(0.01, 0.3),
        alpha=dice.uniform(2.0, 3.0),
        reports=round(math.exp(dice.uniform(math.log(3), math.log(2000)))),
        evaluation=dice.choice((1.0, 1.0, dice.uniform(2, 20), dice.uniform(50, 500) if printed else 30.0)),
        compiles=dice.choice((0.0, dice.uniform(0, 60), dice.uniform(60, 3600))),
        cached=dice.random() < 0.5,
        last_test=dice.choice((0.0, 0.0, dice.uniform(0, 1800))),
        grows=dice.choice((1.0, 1.0, dice.uniform(1, 3))),
    )


def silences(one: Program, dice: random.Random, *, first: bool, slower: float) -> Iterator[float]:
    """Seconds before each report, then to the end."""
    start = dice.uniform(1, 60) + (one.compiles if first or not one.cached else 0.0)
    yield start * slower + one.median
    for number in range(1, one.reports):
        gap = one.median * math.exp(dice.gauss(0, one.sigma))
        if one.family == "pareto":
            gap = one.median * min(dice.paretovariate(one.alpha), 1000)
        if one.evaluation > 1 and (number + 1) % 10 == 0:
            gap *= one.evaluation
        gap *= slower * one.grows ** (number / one.reports)
        if one.family == "stalls" and dice.random() < 0.01:
            gap += min(20 * dice.paretovariate(one.alpha), 1200)
        yield min(gap, MOST)
    yield one.median * dice.random() + one.last_test * dice.uniform(0.7, 1.3)


@dataclass(frozen=True, kw_only=True)
class History:
    """One program with its earlier runs, and the silences of the run that is watched."""

    program: Program
    known: Rhythm | None
    now: tuple[float, ...]


def history(seed: int) -> History:
    """The one of that number."""
    dice = random.Random(seed)
    one = program(dice)
    runs = []
    for number in range(dice.choice((0, 0, 1, 2, 4))):
        pulse, at = Pulse(began=0.0), 0.0
        for gap in silences(one, dice, first=number == 0, slower=1.0):
            at += gap
            pulse.sign(at)
        runs.append(pulse.rhythm(whole=True))
    slower = dice.choice((1.0, 1.0, dice.uniform(1, 4)))
    now = tuple(silences(one, dice, first=not runs, slower=slower))
    return History(program=one, known=together(runs), now=now)


def alarm(one: History, gaps: tuple[float, ...]) -> Limit | None:
    """What the rule would have called a hang in a run with these silences; None: nothing."""
    pulse, at = Pulse(began=0.0), 0.0
    for gap in gaps:
        if gap >= FLOOR_SECONDS:  # no limit is lower
            found = limit(pulse.rhythm(), one.known)
            if found is not None and gap >= found.seconds:
                return found
        at += gap
        pulse.sign(at)
    return None


def planted(one: History, seed: int) -> tuple[int, Limit | None]:
    """The run hangs after some of its reports: (how many, what the rule says after how long)."""
    dice = random.Random(seed + 1)
    place = dice.randrange(len(one.now))
    pulse, at = Pulse(began=0.0), 0.0
    for gap in one.now[:place]:
        at += gap
        pulse.sign(at)
    return place, limit(pulse.rhythm(), one.known)


def can_be_known(one: History, place: int) -> bool:
    """Whether anything at all can be said then: a config without a past that has hardly reported may be one that never
    does."""
    return (one.known is not None and one.known.silences >= LEAST) or place > LEAST


def experience(one: History, place: int) -> str:
    """A word for how much was known."""
    if one.known is not None and one.known.silences >= LEAST:
        return "a whole run" if place else "a whole run, before the first report"
    return "its own reports" if place > ENOUGH else "few reports"
