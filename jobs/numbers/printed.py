"""Numbers out of what a program prints, line by line, on both of its streams, while it runs."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from jobs.files import now
from jobs.metrics import PLACE
from jobs.numbers.patterns import MOST_LATE, SEARCH_SECONDS, Pattern, compiled
from jobs.numbers.source import counted, finite, number_of, place
from jobs.numbers.tailing import Tail
from jobs.records import NO_PLACE, MetricLine

LONGEST = 4 << 10
"""Characters of a line that are looked at."""
LOOK_SECONDS = 0.1
OURS = "orch: "
"""With this the worker's own remarks begin."""
_COLOUR = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_ENDS = re.compile(r"[\r\n]")


class Lines:
    """Finds metrics in printed lines. Its state is where it stands: pure."""

    def __init__(self, patterns: Mapping[str, str]) -> None:
        """Raises BadInput for a pattern that is none."""
        made = compiled(patterns)
        self.places = [one for one in made if one.name in PLACE]
        self.metrics = [one for one in made if one.name not in PLACE]
        self.values: dict[str, float | None] = {}
        self.matched: set[str] = set()
        self.odd: dict[str, int] = {}
        self._counts = dict.fromkeys((one.name for one in self.metrics), 0)
        self._epoch: int | None = 0 if any(one.name == "epoch" for one in self.places) else None
        self._epochs = 0

    def take(self, text: str, at: datetime) -> list[MetricLine]:
        """The metric lines of whole printed lines; a carriage return ends one too, so progress bars are lines."""
        found: list[MetricLine] = []
        for line in _ENDS.split(text):
            if line and not line.startswith(OURS):
                if len(line) > LONGEST:
                    line = line[:LONGEST]
                    self._strange(f"lines longer than {LONGEST >> 10} KiB, of which only that was looked at")
                found += self._line(_COLOUR.sub("", line) if "\x1b" in line else line, at)
        return found

    def _line(self, line: str, at: datetime) -> list[MetricLine]:
        for one in self.places:
            if one.needed in line:
                self._place(one, line)
        found: dict[int, dict[str, float | None]] = {}
        for one in self.metrics:
            if one.needed not in line:
                continue
            for text in one.found(line):
                number = number_of(text)
                if number is None:
                    self._strange(f"matches of '{one.name}' that are no number")
                    continue
                self.matched.add(one.name)
                self._counts[one.name] += 1
                epoch = self._counts[one.name] if self._epoch is None else self._epoch
                found.setdefault(epoch, {})[one.name] = self.values[one.name] = finite(number)
        if not found:
            return []
        return [MetricLine(epoch=epoch, epochs=self._epochs, at=at, values=values) for epoch, values in found.items()]

    def _place(self, one: Pattern, line: str) -> None:
        for text in one.found(line):
            where = place(number_of(text))
            if where is None:
                self._strange(f"matches of '{one.name}' that are no number from 0 on")
                if one.name == "epoch":
                    self._epoch = NO_PLACE  # what follows is not of the epoch before
                continue
            self.matched.add(one.name)
            if one.name == "epoch":
                self._epoch = where
            else:
                self._epochs = where

    def _strange(self, what: str) -> None:
        self.odd[what] = self.odd.get(what, 0) + 1

    def remarks(self) -> list[str]:
        every = [*self.places, *self.metrics]
        slow = [
            f"the pattern of '{one.name}' was given up after {MOST_LATE} lines that took it more than "
            f"{SEARCH_SECONDS:g} s each"
            for one in every
            if one.given_up
        ]
        late = [
            f"{one.late} lines that took the pattern of '{one.name}' more than {SEARCH_SECONDS:g} s were passed over"
            for one in every
            if one.late and not one.given_up
        ]
        return [*counted(self.odd), *slow, *late]

    def lacks(self) -> list[tuple[str, str]]:
        return [
            (one.name, f"no printed line matched '{one.text}'")
            for one in (*self.places, *self.metrics)
            if one.name not in self.matched
        ]


class Printed:
    """What both streams of a running program hold of metrics."""

    def __init__(self, patterns: Mapping[str, str], streams: list[Path]) -> None:
        """`streams`: files that the program is about to append to; what is in them is not its own.

        Raises BadInput for a pattern that is none.
        """
        self._lines = Lines(patterns)
        self._not_before = 0.0
        self._tails = [Tail(path, offset=_size(path), ends=_end) for path in streams]

    @property
    def values(self) -> dict[str, float | None]:
        return self._lines.values

    @property
    def more(self) -> bool:
        return any(tail.more for tail in self._tails)

    def read(self, *, closed: bool = False) -> list[MetricLine]:
        if not closed and not self.more and time.monotonic() < self._not_before:
            return []
        self._not_before = time.monotonic() + LOOK_SECONDS
        found = []
        for tail in self._tails:
            if data := tail.read(closed=closed):
                found += self._lines.take(data.decode(errors="replace"), now())
        return found

    def lacks(self) -> list[tuple[str, str]]:
        return self._lines.lacks()

    def remarks(self) -> list[str]:
        return self._lines.remarks()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _end(data: bytes) -> int:
    """How much of it is whole lines."""
    return max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
