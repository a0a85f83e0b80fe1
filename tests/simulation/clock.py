"""A virtual clock with events: nothing in a schedule waits for real time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

BEGIN = datetime(2031, 5, 7, 9, 0, tzinfo=UTC)


class VirtualClock:
    """`supervision.clock.Clock`, moved by `advance`; what was put on it with `after` happens on the way."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.set_back = 0.0
        """Seconds by which somebody set the wall clocks back."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def now(self) -> datetime:
        """The wall clock; every reading differs, as on a real machine."""
        self.seconds += 1e-5
        return BEGIN + timedelta(seconds=self.seconds - self.set_back)

    def monotonic(self) -> float:
        """Seconds."""
        self.seconds += 1e-5
        return self.seconds

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Do that so many seconds from now."""
        heapq.heappush(self._events, (self.seconds + seconds, next(self._numbers), what))

    def advance(self, seconds: float) -> None:
        """Let time pass, with everything that happens in it."""
        end = self.seconds + seconds
        while self._events and self._events[0][0] <= end:
            at, _, what = heapq.heappop(self._events)
            self.seconds = max(self.seconds, at)
            what()
        self.seconds = max(self.seconds, end)
