"""How often a program gives a sign of life, and after how much silence it hangs. Pure.

A sign is a line of its metrics, anything that it prints, or a change of its checkpoints. What is learnt of an execution
is a few numbers; the worker of the next one is given those of the same config (docs/hangs.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

OPTION = "hang_after"
"""Of a job, as `--hang-after` says: seconds, 0 for off; -1, as without it, learns."""
TOPS = 8
"""So many of the longest silences are kept: they tell how heavy the tail is."""
FACTOR, OWN_FACTOR = 5.0, 15.0
"""A silence so many times the longest one that ended well is none of them: where a whole run is known, and where not"""
SPREADS = 6.0
"""The same in spreads of the silences' logarithms above their median."""
RARE = 1e-6
"""A silence that the tail makes rarer than this for each report is none of the program's own."""
FLOOR_SECONDS = 1800.0
"""Nothing is called a hang sooner: file systems and licence servers stall for minutes, and things go on."""
OWN_FLOOR_SECONDS = 7200.0
"""The same while no whole run of this config is known: an evaluation or a last test may be still to come."""
FEW_FLOOR_SECONDS = 86_400.0
"""The same with fewer reports than `ENOUGH`."""
MOST_SECONDS = 86_400.0
"""A day of silence is more than a tail says, where it is also `FACTOR` times the longest one."""
LEAST, SOME, ENOUGH = 3, 10, 30
"""Silences between reports: with fewer than the first a program may be one that never reports; so many as the second of
whole runs tell how it goes; and with so many as the third an evaluation every tenth epoch has been seen three times."""
BINS = 8
"""Of the histogram of silences, to each doubling."""

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Rhythm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The silences of one execution, or of several together, in seconds."""

    silences: Count = 0
    """How many there were between two signs, and from the last one to the end."""
    median: Seconds = 0.0
    spread: Seconds = 0.0
    """Of their natural logarithms: 1.48 times the median deviation from the median, a normal distribution's sigma."""
    longest: Annotated[tuple[Seconds, ...], msgspec.Meta(max_length=TOPS)] = ()
    """The longest ones, the longest first."""
    first: Seconds | None = None
    """From the start to the first sign, at most; None where there was no sign."""
    whole: Count = 0
    """How many of the executions ran from their beginning to a success."""
    device: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """What they ran on: a GPU's name, or empty. Another device has another rhythm."""


@dataclass(frozen=True)
class Limit:
    """After how much silence an execution hangs, and from what that was learnt."""

    seconds: float
    why: str


def together(found: Iterable[Rhythm]) -> Rhythm | None:
    """The rhythm of several executions; None of none. The median and the spread are the largest of theirs."""
    each = list(found)
    if not each:
        return None
    return Rhythm(
        silences=sum(one.silences for one in each),
        median=max(one.median for one in each),
        spread=max(one.spread for one in each),
        longest=tuple(sorted((gap for one in each for gap in one.longest), reverse=True)[:TOPS]),
        first=max((one.first for one in each if one.first is not None), default=None),
        whole=sum(one.whole for one in each),
        device=each[0].device,
    )


def limit(own: Rhythm, known: Rhythm | None) -> Limit | None:
    """After how much silence an execution hangs that has reported as `own`; None: nobody can say yet.

    `known`: of earlier executions of the same config on such a device.
    """
    if known is not None and known.silences < LEAST:
        known = None
    if own.first is None:  # it loads, or compiles: what its reports say is not to be compared with that
        if known is None or known.first is None or not known.whole:
            return None
        seconds = max(OWN_FLOOR_SECONDS, FACTOR * max(known.first, longest(known)))
        return Limit(seconds, f"{_runs(known)} of it gave a first sign within {_time(known.first)}")
    learnt = [one for one in (own, known) if one is not None and one.silences >= LEAST]
    if not learnt:
        return None
    factor = OWN_FACTOR
    if known is not None and known.whole and known.silences >= SOME:
        floor, factor, why = FLOOR_SECONDS, FACTOR, _runs(known)
    elif sum(one.silences for one in learnt) >= ENOUGH:
        floor, why = OWN_FLOOR_SECONDS, "so far it"
    else:
        floor, why = FEW_FLOOR_SECONDS, "so far it"
    seconds = max(floor, *(_bound(one, factor) for one in learnt))
    most = max(map(longest, learnt))
    return Limit(seconds, f"{why} was never silent for longer than {_time(most)}")


def longest(one: Rhythm) -> float:
    """The longest silence; 0 of none."""
    return one.longest[0] if one.longest else 0.0


def _bound(one: Rhythm, factor: float) -> float:
    """By the longest silence, by the spread, and by the tail, of which a day is the most."""
    spread = one.median * math.exp(min(SPREADS * one.spread, 50.0))
    return max(factor * longest(one), min(MOST_SECONDS, max(spread, _tail(one.longest, one.silences))))


def _tail(tops: Sequence[float], count: int) -> float:
    """The silence that one report in 1/RARE is followed by, were the tail a power law.

    Hill's estimate of the index from the longest ones, two standard errors upwards; Weissman's quantile (Hill 1975,
    Annals of Statistics 3; Weissman 1978, JASA 73). Of the estimates by three longest ones and more the least counts:
    an evaluation every tenth epoch is a second kind of silence, and no tail.
    """
    tops = [top for top in tops if top > 0]
    return min((_quantile(tops[: k + 1], count) for k in range(LEAST, len(tops))), default=0.0)


def _quantile(tops: Sequence[float], count: int) -> float:
    k, least = len(tops) - 1, tops[-1]
    index = sum(math.log(top / least) for top in tops[:-1]) / k
    index *= 1 + 2 / math.sqrt(k)
    return float(least * math.exp(min(index * math.log(max(1.0, k / (count * RARE))), 50.0)))


def _runs(known: Rhythm) -> str:
    return "an earlier run" if known.whole == 1 else f"each of {known.whole} earlier runs"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


@dataclass
class Pulse:
    """Signs of life as they come, at times of one clock that never jumps. What it keeps does not grow."""

    began: float
    device: str = ""
    silences: int = 0
    first: float | None = None
    _last: float = 0.0
    _longest: list[float] = field(default_factory=list)
    _bins: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._last = self.began

    def silent(self, at: float) -> float:
        """Seconds since the last sign."""
        return at - self._last

    def sign(self, at: float) -> None:
        """It lives."""
        gap = max(0.0, at - self._last)
        self._last = at
        if self.first is None:
            self.first = gap
            return
        self.silences += 1
        number = math.floor(BINS * math.log2(max(gap, 1e-3)))
        self._bins[number] = self._bins.get(number, 0) + 1
        if len(self._longest) < TOPS or gap > self._longest[-1]:
            self._longest = sorted([*self._longest, gap], reverse=True)[:TOPS]

    def stood_still(self, at: float) -> None:
        """It was stopped, or nobody could see it: that silence says nothing, and begins anew."""
        self._last = at

    def rhythm(self, *, whole: bool = False) -> Rhythm:
        """What was learnt so far."""
        total = self.silences
        middle = _median(sorted(self._bins.items()), total)
        away: dict[int, int] = {}
        for number, count in self._bins.items():
            away[abs(number - middle)] = away.get(abs(number - middle), 0) + count
        return Rhythm(
            silences=total,
            median=round(2 ** ((middle + 0.5) / BINS), 3) if total else 0.0,
            spread=round(1.4826 * _median(sorted(away.items()), total) / BINS * math.log(2), 3),
            longest=tuple(round(gap, 1) for gap in self._longest),
            first=None if self.first is None else round(self.first, 1),
            whole=int(whole),
            device=self.device,
        )


def _median(bins: Sequence[tuple[int, int]], total: int) -> int:
    seen = 0
    for number, count in bins:
        seen += count
        if 2 * seen >= total:
            return number
    return 0
