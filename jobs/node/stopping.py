"""Why a running job should stop at its next step boundary: a signal, or another copy that made this one useless.

The handler only sets a flag: it never saves half a step.
"""

from __future__ import annotations

import signal
import threading
import time
from enum import StrEnum
from pathlib import Path
from types import FrameType

from jobs.files import names, read_json, write_bytes
from jobs.layout import EXECUTION, Layout
from jobs.records import Accepted, Started

HEARTBEAT_SECONDS = 5.0


class StopReason(StrEnum):
    """What asked for the stop."""

    USER_SIGNAL = "user signal"
    """USR2: SLURM's warning before the time limit, or before a preemption."""
    TERMINATED = "terminated"
    """TERM: a cancel, or a preemption without a user signal."""
    SUPERSEDED = "superseded"
    """Another execution's result was accepted, or a later sibling began (scancel cannot reach an orphan)."""


class Stop:
    """A flag that signals and the heartbeat set, and that jobs ask at step boundaries."""

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self.at = 0.0

    def ask(self, reason: StopReason) -> None:
        """Ask to stop; the first reason stays."""
        if self.reason is None:
            self.at = time.monotonic()
            self.reason = reason

    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return self.reason is not None

    def asked_since(self, seconds: float) -> bool:
        """Whether it was asked for at least so long ago."""
        return self.reason is not None and time.monotonic() - self.at >= seconds

    def on_signals(self) -> None:
        """Take over USR2 and TERM from submitit, whose own handler would requeue in the middle of a step."""
        signal.signal(signal.SIGUSR2, self._on_user_signal)
        signal.signal(signal.SIGTERM, self._on_term)
        # whoever forked this worker may have kept them back until now
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR2, signal.SIGTERM))

    def _on_user_signal(self, number: int, frame: FrameType | None) -> None:
        self.ask(StopReason.USER_SIGNAL)

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        self.ask(StopReason.TERMINATED)


class Heartbeat(threading.Thread):
    """Writes a counter every few seconds and looks for copies of the job that make this one useless.

    The counter's change, not its time, is what the supervisor watches: so it is judged on one clock.
    """

    def __init__(self, layout: Layout, folder: Path, mine: Started, stop: Stop) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.layout = layout
        self.folder = folder
        self.mine = mine
        self.stop_flag = stop
        self.ended = threading.Event()

    def run(self) -> None:
        beat = 0
        while True:
            try:
                write_bytes(self.folder / "heartbeat", b"%d\n" % beat, durable=False)
                if beat % 2 == 1 and self.useless():
                    self.stop_flag.ask(StopReason.SUPERSEDED)
            except OSError:
                pass  # a full or unreachable disk must not kill the job: its own writes will say so
            beat += 1
            if self.ended.wait(HEARTBEAT_SECONDS):
                return

    def useless(self) -> bool:
        """Whether a result of the job was accepted, or an execution began after this one."""
        if has_result(self.layout, self.mine.job, self.mine.generation):
            return True
        for attempt in self.layout.attempts(self.mine.job):
            if attempt > self.mine.attempt:
                return any(EXECUTION.match(name) for name in names(self.layout.attempt(self.mine.job, attempt)))
        for path in self.layout.executions(self.mine.job, self.mine.attempt):
            other = read_json(path / "started.json", Started)
            if path != self.folder and other is not None and began_after(other, self.mine):
                return True
        return False


def has_result(layout: Layout, job: int, generation: int) -> bool:
    """Whether a result of this generation, or of a later one, was accepted: that of an earlier one stops nobody."""
    accepted = read_json(layout.job(job) / "accepted.json", Accepted)
    path = layout.execution(job, accepted.attempt, accepted.execution) if accepted is not None else None
    if accepted is None or path is None:
        return False
    if accepted.generation is not None:
        return accepted.generation >= generation
    started = read_json(path / "started.json", Started)
    return started is None or started.generation >= generation


def began_after(one: Started, other: Started) -> bool:
    """Whether one execution of an attempt began after another.

    The restart count goes before the clock, which may have been set back, or be another node's.
    """
    return (one.restart, one.at) > (other.restart, other.at)
