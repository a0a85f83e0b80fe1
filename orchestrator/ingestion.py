"""Reading what executions wrote, and putting it into the store. Deciding comes afterwards (orchestrator/judging.py)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from db import executions
from db.attempts import StoredAttempt
from jobs.checkpoints import newest_step
from jobs.files import names, read_json
from jobs.layout import Layout
from jobs.records import MetricLine, Outcome, Ready, Started
from jobs.words import Cause

log = logging.getLogger(__name__)

LAG_SECONDS = 60.0
"""How long a shared folder may show an old size of a file: NFS caches attributes up to acregmax (nfs(5))."""


@dataclass(kw_only=True)
class Seen:
    """The files of one execution, as far as they are known, and when its heartbeat last changed on our own clock."""

    folder: Path
    started: Started
    ready: Ready | None = None
    outcome: Outcome | None = None
    complete: bool = False
    """Whether the outcome is there and so is the history that it tells of: files may show out of order."""
    lines: list[MetricLine] = field(default_factory=list)
    """Not yet stored."""
    checkpoint_step: int = -1
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

    @property
    def name(self) -> str:
        return self.folder.name

    def silent_seconds(self) -> float:
        """How long the heartbeat has not changed, on one clock: ours."""
        return self.monotonic() - self.heartbeat_at

    def refresh(self) -> None:
        """Read what changed since the last look: one listing, then only new or grown files."""
        there = names(self.folder)
        if "ready.json" in there and self.ready is None:
            self.ready = read_json(self.folder / "ready.json", Ready)
            self.changed |= self.ready is not None
        if "heartbeat" in there:
            try:
                beat = (self.folder / "heartbeat").read_bytes()
            except OSError:
                beat = self.heartbeat
            if beat != self.heartbeat:
                self.heartbeat, self.heartbeat_at = beat, self.monotonic()
        if "metrics.jsonl" in there:
            self._read_metrics()
        if "checkpoints" in there:
            step = newest_step([self.folder / "checkpoints"])
            if step > self.checkpoint_step:
                self.checkpoint_step, self.changed = step, True
        if "outcome.json" in there:
            outcome = read_json(self.folder / "outcome.json", Outcome)
            if outcome is not None and outcome != self.outcome:
                self.outcome, self.changed = outcome, True
                self._ended_at = self.monotonic()
                self.checkpoint_step = max(self.checkpoint_step, outcome.checkpoint_step)
        if self.outcome is not None and not self.complete:
            whole = self.outcome.epoch in (-1, self._epoch)
            if whole or self.monotonic() - self._ended_at >= LAG_SECONDS:
                self.complete = self.changed = True

    def _read_metrics(self) -> None:
        """New whole lines; the file is replaced as a whole when a checkpoint's history is restored."""
        path = self.folder / "metrics.jsonl"
        try:
            state = path.stat()
            if (state.st_ino, state.st_size) == self._size:
                return
            if state.st_ino != self._size[0]:
                self._offset = 0
            self._size = (state.st_ino, state.st_size)
            with path.open("rb") as handle:
                handle.seek(self._offset)
                data = handle.read()
        except OSError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            try:
                self.lines.append(msgspec.json.decode(line, type=MetricLine))
                self._epoch = self.lines[-1].epoch
            except msgspec.DecodeError:
                continue  # a torn line: its writer was killed in the middle
        self.changed |= bool(self.lines)


class Ingestion:
    """Remembers what it has read, so that a cycle costs what changed."""

    def __init__(self, layout: Layout, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.layout = layout
        self.monotonic = monotonic
        self._seen: dict[tuple[int, int], dict[str, Seen]] = {}

    def look(self, attempts: Iterable[StoredAttempt]) -> dict[tuple[int, int], list[Seen]]:
        """The executions of those attempts, oldest first. Reads files, touches no database.

        An attempt whose folder cannot be listed now (a stale handle, a server that is down) is left out.
        """
        found = {}
        for attempt in attempts:
            key = (attempt.job, attempt.number)
            try:
                found[key] = self._look_at(*key)
            except OSError as error:
                log.warning("the files of job %d, attempt %d cannot be read now: %s", *key, error)
        return found

    def _look_at(self, job: int, attempt: int) -> list[Seen]:
        known = self._seen.setdefault((job, attempt), {})
        for path in self.layout.executions(job, attempt):
            if path.name not in known:
                started = read_json(path / "started.json", Started)
                if started is None:
                    continue  # just made: it will be there at the next look
                known[path.name] = Seen(
                    folder=path, started=started, heartbeat_at=self.monotonic(), monotonic=self.monotonic
                )
            seen = known[path.name]
            if not seen.complete or seen.changed or (seen.outcome and seen.outcome.ending == "interrupted"):
                seen.refresh()
        return sorted(known.values(), key=lambda item: (item.started.restart, item.started.at, item.name))

    def forget(self, keep: Iterable[tuple[int, int]]) -> None:
        """Drop what is no longer looked at."""
        wanted = set(keep)
        self._seen = {key: value for key, value in self._seen.items() if key in wanted}


def changed(found: dict[tuple[int, int], list[Seen]]) -> bool:
    """Whether any execution has news for the database."""
    return any(seen.changed for items in found.values() for seen in items)


def store(connection: Connection, attempt: int, items: Sequence[Seen]) -> None:
    """Put the news of an attempt's executions into the database (idempotent)."""
    for seen in items:
        if not seen.changed:
            continue
        row = executions.began(connection, attempt, seen.name, seen.started)
        if seen.ready is not None:
            executions.is_ready(connection, row, seen.ready.at)
        executions.progressed(connection, row, seen.lines)
        executions.checkpointed(connection, row, seen.checkpoint_step)
        if seen.outcome is not None:
            executions.ended(connection, row, seen.outcome, cause_of(seen))
        seen.row = row


def stored(found: dict[tuple[int, int], list[Seen]]) -> None:
    """After the commit: the news are in the database."""
    for items in found.values():
        for seen in items:
            if seen.row is not None:
                seen.changed = False
                seen.lines = []


def cause_of(seen: Seen) -> Cause:
    """What the outcome file says."""
    return seen.outcome.cause if seen.outcome is not None else Cause.LOST
