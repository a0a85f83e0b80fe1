"""What a graph of jobs will cost, before anything ran."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.submitting.graph import Planned

SECONDS_PER_EPOCH = 1.6
"""One training epoch of VGG19 on CIFAR-10 on an H100: 4 minutes for 150 (an estimate from the step's memory traffic,
docs/benchmarks.md; a search epoch is counted threefold)."""
SEARCH_FACTOR = 3.0


def gpu_hours(planned: Sequence[Planned]) -> float:
    """Estimated GPU hours of a graph at full width."""
    seconds = sum(
        line.epochs * SECONDS_PER_EPOCH * (SEARCH_FACTOR if line.what.startswith("search") else 1.0) for line in planned
    )
    return seconds / 3600
