"""Time as the supervisor sees it, so that a simulation can run it on a virtual clock."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from jobs import files


class Clock(Protocol):
    """A wall clock in UTC and one that never steps back."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...


@dataclass(frozen=True)
class SystemClock:
    """This host's clocks."""

    def now(self) -> datetime:
        return files.now()

    def monotonic(self) -> float:
        return time.monotonic()
