"""How fast a running job is and when it ends, from its newest metric lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from jobs.records import NO_PLACE, MetricLine

WINDOW = 6
"""So many newest epochs tell the rate: enough to be steady, few enough to follow a change."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """`epoch_seconds`: wall time of an epoch; `left_seconds`: until its last epoch's end. None where not known yet.

    `silent_seconds`: since the newest epoch ended.
    """

    epoch: int
    epochs: int
    epoch_seconds: float | None = None
    left_seconds: float | None = None
    silent_seconds: float = 0.0

    @property
    def late(self) -> bool:
        """Whether the next epoch takes far longer than those before."""
        return self.epoch_seconds is not None and self.silent_seconds > max(60.0, 5 * self.epoch_seconds)


def progress(lines: Sequence[MetricLine], ready_at: datetime | None, now: datetime) -> Progress | None:
    """From the metric lines of one execution, oldest first; None without any.

    Lines that a checkpoint restored are older than `ready_at` and tell nothing of this execution's speed.
    """
    lines = [line for line in lines if line.epoch != NO_PLACE]
    if not lines:
        return None
    last = lines[-1]
    own = [line for line in lines if ready_at is None or line.at >= ready_at][-WINDOW:]
    pace = _pace(own, ready_at)
    silent = max(0.0, (now - last.at).total_seconds())
    left = None
    if pace is not None and last.epochs:
        left = max(0.0, (last.epochs - last.epoch) * pace - silent)
    return Progress(epoch=last.epoch, epochs=last.epochs, epoch_seconds=pace, left_seconds=left, silent_seconds=silent)


def _pace(own: Sequence[MetricLine], ready_at: datetime | None) -> float | None:
    """Seconds an epoch."""
    if len(own) > 1 and own[-1].epoch > own[0].epoch:
        seconds = (own[-1].at - own[0].at).total_seconds() / (own[-1].epoch - own[0].epoch)
    elif own and ready_at is not None:
        seconds = (own[0].at - ready_at).total_seconds()  # readiness is after the first step: slightly too little
    else:
        return None
    return seconds if seconds > 0 else None
