"""Waiting for a launch, as no supervisor does."""

from __future__ import annotations

import time

from slurm.backend import Launch


def native_id(launch: Launch, seconds: float = 90.0) -> str:
    """What becomes of it. Raises what `poll` raises."""
    end = time.monotonic() + seconds
    while (found := launch.poll()) is None:
        assert time.monotonic() < end, f"the launch is in flight for {seconds} s"
        time.sleep(0.01)
    return found
