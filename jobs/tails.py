"""The newest lines of a running execution's metrics, straight from its file: nobody has taken them in yet."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from jobs import files
from jobs.records import MetricLine

TAIL_BYTES = 16_384
"""Enough for the newest epochs' lines of any kind of ours."""


def newest_metrics(folder: Path) -> list[MetricLine]:
    """The newest lines of an execution's metrics.jsonl, oldest first; none where there is no file yet."""
    lines = []
    for text in files.tail(folder / "metrics.jsonl", TAIL_BYTES).split(b"\n"):
        with suppress(files.Unreadable):
            lines.append(files.decode(text, MetricLine))
    return lines
