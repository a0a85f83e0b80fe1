"""A shared folder that may show files late and in another order than they were written."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import msgspec

from tests.simulation.clock import VirtualClock


class SharedFolder:
    """Writes of workers, each visible to everybody after its own delay of up to `lag` seconds."""

    def __init__(self, clock: VirtualClock, random: Random) -> None:
        self.clock = clock
        self.random = random
        self.lag = 0.0
        self._visible: dict[Path, float] = {}
        """When the last write of a file becomes visible: writes of one file never overtake each other."""

    def put(self, path: Path, value: Any) -> None:
        """A whole file, as JSON."""
        self._write(path, msgspec.json.encode(value) + b"\n", "wb")

    def beat(self, path: Path, beat: int) -> None:
        """A heartbeat."""
        self._write(path, b"%d\n" % beat, "wb")

    def append(self, path: Path, data: bytes) -> None:
        """The next bytes of a growing file."""
        self._write(path, data, "ab")

    def _write(self, path: Path, data: bytes, mode: str) -> None:
        def write() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open(mode) as handle:
                handle.write(data)

        now = self.clock.seconds
        visible = max(now + self.random.uniform(0.0, self.lag), self._visible.get(path, now))
        if visible <= now:
            write()
        else:
            self._visible[path] = visible
            self.clock.after(visible - now, write)
