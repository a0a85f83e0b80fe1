"""One execution as its files tell of it, as far as they have been read."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from jobs.files import LONGEST_LINE, Unreadable, decode, names, open_regular, read_bytes, read_json, tail
from jobs.metrics import newest_place
from jobs.node.checkpoints import newest_step
from jobs.node.progress import COST, FILE, Progress, counted
from jobs.records import NO_PLACE, MetricLine, Outcome, Ready, Started
from jobs.usage import FILE as USAGE
from jobs.usage import Usage, UsageFile

log = logging.getLogger(__name__)

CHUNK = 8 << 20
"""Bytes of an execution's history that are read, and stored in one transaction, at once."""
LONGEST_BEAT, LONGEST_ERROR = 4096, 8192
"""Bytes of a heartbeat, characters of an exception's last line: more was not written by a worker."""
USAGE_SECONDS = 30.0
"""How often it is looked what a running execution uses."""
LAG_SECONDS = 60.0
"""How long a shared folder may show an old size of a file: NFS caches attributes up to acregmax (nfs(5))."""
OLD_SECONDS = 20 * LAG_SECONDS


@dataclass(kw_only=True)
class Seen:
    """The files of one execution, as far as they are known, and when its heartbeat last changed on our own clock."""

    folder: Path
    started: Started
    ready: Ready | None = None
    outcome: Outcome | None = None
    complete: bool = False
    """Whether the outcome is there and so is the history that it tells of: files may show out of order. Where that
    history is still being written, the result does not wait for it."""
    more: bool = False
    """Whether its history goes on beyond what was read."""
    lines: list[MetricLine] = field(default_factory=list)
    """Not yet stored."""
    checkpoint_step: int = -1
    usage: Usage | None = None
    heartbeat: bytes = b""
    heartbeat_at: float
    monotonic: Callable[[], float]
    row: int | None = None
    """Its row in the database, once stored."""
    changed: bool = True
    _ended_at: float = 0.0
    _epoch: int = -1
    _offset: int = 0
    _size: tuple[int, int] = (0, 0)
    _progress: tuple[int, int, int] = (0, 0, 0)
    """Inode, time and size of progress.json when it was read."""
    _kept: Progress | None = None
    _look_again: float = 0.0
    _use_again: float = float("-inf")

    @property
    def name(self) -> str:
        return self.folder.name

    def silent_seconds(self) -> float:
        """How long the heartbeat has not changed, on one clock: ours."""
        return self.monotonic() - self.heartbeat_at

    def refresh(self) -> None:
        """Read what changed since the last look: one listing, then only new or grown files."""
        there = names(self.folder)
        if "outcome.json" in there:
            self._read_outcome()
        if "ready.json" in there and self.ready is None:
            self.ready = read_json(self.folder / "ready.json", Ready)
            self.changed |= self.ready is not None
        if "heartbeat" in there:
            try:
                beat = read_bytes(self.folder / "heartbeat", LONGEST_BEAT)
            except OSError:
                beat = self.heartbeat
            if beat != self.heartbeat:
                self.heartbeat, self.heartbeat_at = beat, self.monotonic()
        if "metrics.jsonl" in there:
            self._read_metrics()
        if FILE in there:
            self.look_at_progress()
        elif "checkpoints" in there:
            self._came_to(max(self.checkpoint_step, newest_step([self.folder / "checkpoints"])))
        if USAGE in there:
            self.look_at_usage(last=self.outcome is not None)
        if self.outcome is not None:
            told = self.outcome.epoch
            late = self.monotonic() - self._ended_at >= LAG_SECONDS or (not self.complete and is_old(self.folder))
            if not self.complete and (self.outcome.lines_follow or late or told in (-1, self._epoch, self._tail())):
                self.complete = self.changed = True
            if self.outcome.lines_follow and told != self._epoch and not late:
                self.more = True

    def _read_outcome(self) -> None:
        outcome = read_json(self.folder / "outcome.json", Outcome)
        if outcome is not None and outcome.error is not None and len(outcome.error) > LONGEST_ERROR:
            outcome = msgspec.structs.replace(outcome, error=f"{outcome.error[:LONGEST_ERROR]}…")
        if outcome is not None and outcome != self.outcome:
            self.outcome, self.changed = outcome, True
            self._ended_at = self.monotonic()
            told = outcome.checkpoint_step
            self.checkpoint_step = max(told, self._kept.step if self._kept else self.checkpoint_step)

    def look_at_usage(self, *, last: bool = False) -> None:
        """What it has used, now and then; `last`: now. It was written before the outcome, so with that it is whole."""
        at = self.monotonic()
        if not last and at < self._use_again:
            return
        self._use_again = at + USAGE_SECONDS
        found = read_json(self.folder / USAGE, UsageFile)
        if found is not None and found.usage != self.usage:
            self.usage, self.changed = found.usage, True

    def settled(self) -> bool:
        """Whether nothing new is to come of it."""
        over = self.outcome is not None and self.outcome.ending != "interrupted"
        return over and self.complete and not self.changed and not self.more

    def look_at_progress(self, *, last: bool = False) -> None:
        """How far a program came: progress.reached, by the files as they are now, whatever they showed before.

        `last`: now, though its folder is so large that it is looked at seldom.
        """
        try:
            state = (self.folder / FILE).stat()
        except OSError:
            return
        if (seen := (state.st_ino, state.st_mtime_ns, state.st_size)) != self._progress:
            self._progress, self._kept = seen, read_json(self.folder / FILE, Progress)
        if self._kept is None:
            return
        began = self.monotonic()
        if self.outcome is not None:
            self._came_to(max(self._kept.step, self.outcome.checkpoint_step))
        elif last or began >= self._look_again:
            self._came_to(counted(self.folder, self._kept))
            ended = self.monotonic()
            self._look_again = ended + COST * (ended - began)
        else:
            self._came_to(max(self._kept.step, self.checkpoint_step))

    @property
    def counts(self) -> bool:
        """Whether its step is a program's count, which what a slow shared folder shows may have set too high."""
        return self._kept is not None

    def _came_to(self, step: int) -> None:
        if step != self.checkpoint_step:
            self.checkpoint_step, self.changed = step, True

    def _read_metrics(self) -> None:
        """The next new whole lines; the file is replaced as a whole when a checkpoint's history is restored."""
        path = self.folder / "metrics.jsonl"
        try:
            with open_regular(path) as handle:
                state = os.fstat(handle.fileno())
                if (state.st_ino, state.st_size) == self._size and not self.more:
                    return
                if state.st_ino != self._size[0]:
                    self._offset = 0
                self._size = (state.st_ino, state.st_size)
                handle.seek(self._offset)
                data = handle.read(CHUNK)
        except OSError:
            return
        self.more = len(data) == CHUNK
        whole = data[: data.rfind(b"\n") + 1]
        if self.more and not whole:
            whole = data  # a piece of a line that nobody of ours wrote
        self._offset += len(whole)
        for line in whole.split(b"\n"):
            if line:
                with contextlib.suppress(Unreadable):  # torn: its writer was killed in the middle
                    self.lines.append(decode(line, MetricLine))
        if self.lines:
            self._epoch = newest_place(self.lines, self._epoch)
            self.changed = True

    def _tail(self) -> int:
        """The epoch of the last whole line: a long history must not hold its result up."""
        return last_epoch(self.folder, self._epoch) if self.more else self._epoch


def is_old(folder: Path) -> bool:
    """Whether an execution's outcome has lain there for so long that whoever looks for the first time need not wait.

    By two clocks, hence the margin; without it, commands that only look would never believe an odd history.
    """
    try:
        return time.time() - (folder / "outcome.json").stat().st_mtime >= OLD_SECONDS
    except OSError:
        return False


def last_epoch(folder: Path, otherwise: int) -> int:
    """The epoch of the last whole line of an execution's history that says one; `otherwise` where that tells none."""
    with contextlib.suppress(OSError, Unreadable, IndexError):
        for text in reversed(tail(folder / "metrics.jsonl", LONGEST_LINE).split(b"\n")[:-1]):
            if (epoch := decode(text, MetricLine).epoch) != NO_PLACE:
                return epoch
    return otherwise
