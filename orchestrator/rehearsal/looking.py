"""A run while it goes on: its executions as their folders show them, what they write, and which processes they are."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

from jobs.files import read_json, read_lines
from jobs.layout import Layout
from jobs.node import progress
from jobs.records import MetricLine, Outcome, Started
from orchestrator.rehearsal.histories import Line, Saved, Stretch
from orchestrator.rehearsal.watching import Event, Eyes, is_temporary

METRICS = "metrics.jsonl"
PROGRAMS = "user_metrics.jsonl"
"""What ORCH_METRICS names: on a loaded host its lines are there before the worker has taken them over."""
LIST_SECONDS = 0.02
"""How often folders are listed; what is written in them is told by the kernel."""


class Execution:
    """One execution of a run, looked at again and again."""

    def __init__(self, folder: Path, attempt: int, eyes: Eyes) -> None:
        self.folder = folder
        self.attempt = attempt
        self.first_seen = time.time()
        self.events: list[Event] = []
        self.found = False
        self.eyes = eyes
        self._watched = False
        self._there: set[Path] = set()
        self._started: Started | None = None
        self._sizes: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._pids: list[int] = []

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def started(self) -> Started | None:
        if self._started is None:
            self._started = read_json(self.folder / "started.json", Started)
        return self._started

    @property
    def began(self) -> float:
        return self.started.at.timestamp() if self.started is not None else self.first_seen

    def look(self) -> None:
        """Begin to watch its checkpoints, once what it was handed lies there."""
        if not self._watched and self.checkpoints.is_dir():
            is_program = (self.folder / "program.json").exists()
            if not is_program or (self.folder / progress.FILE).exists():
                with contextlib.suppress(OSError):
                    self.found = any(True for _ in progress.entries(self.checkpoints))
                self._watched = self.eyes.watch(self.checkpoints)
                if not is_program:
                    self._take_what_is_there()

    def _take_what_is_there(self) -> None:
        """A kind of ours makes the folder with its first checkpoint, which may lie there before anybody watches.

        Each of its files is written once, under another name first.
        """
        with contextlib.suppress(OSError):
            for entry in progress.entries(self.checkpoints):
                path = self.checkpoints / entry.path
                if not is_temporary(path.name):
                    self._there.add(path)
                    self.events.append(Event(at=entry.mtime_ns / 1e9, path=path, moved_here=True))

    def take(self, event: Event) -> None:
        """What was written in it; a file that was there before anybody watched is known already."""
        if event.path not in self._there:
            self.events.append(event)

    @property
    def lines(self) -> int:
        """How many metric lines it has written."""
        return max(self._count(METRICS), self._count(PROGRAMS))

    def _count(self, name: str) -> int:
        """Lines of a file, which is read only where it grew."""
        with contextlib.suppress(OSError):
            size = (self.folder / name).stat().st_size
            if size != self._sizes.get(name):
                self._sizes[name] = size
                self._counts[name] = (self.folder / name).read_bytes().count(b"\n")
        return self._counts.get(name, 0)

    def saves(self) -> list[Event]:
        """Checkpoints that were written to their end."""
        moved = {event.path for event in self.events if event.moved_away}
        return [event for event in self.events if event.whole and event.path not in moved]

    def in_place(self) -> str:
        """The newest file that is written under its final name; empty where files get theirs by a rename."""
        if any(event.moved_here for event in self.events):
            return ""
        written = [event.path.name for event in self.events if not is_temporary(event.path.name)]
        return written[-1] if written else ""

    # ---- its processes

    @property
    def here(self) -> bool:
        """Whether it runs on this very host."""
        return self.started is not None and self.started.host == os.uname().nodename

    def pids(self, *, again: bool = True) -> list[int]:
        """The worker and all that it started, where that is on this host."""
        if again and self.started is not None and self.here:
            with contextlib.suppress(psutil.Error):
                worker = psutil.Process(self.started.pid)
                if abs(worker.create_time() - self.started.process_start) < 1:
                    self._pids = [worker.pid, *(child.pid for child in worker.children(recursive=True))]
        return self._pids

    def alive(self) -> bool:
        """Whether its worker runs."""
        if self.started is None:
            return False
        try:
            worker = psutil.Process(self.started.pid)
            same = abs(worker.create_time() - self.started.process_start) < 1
            return same and worker.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        except psutil.Error:
            return False

    def works(self) -> bool:
        """Whether its program runs, which of a kind is the worker itself."""
        found = self.pids()
        return self.alive() and (len(found) > 1 or not (self.folder / "program.json").exists())

    def kill(self, *, again: bool = True) -> None:
        """SIGKILL to all of it: the worker first, so that it writes nothing about its program's end."""
        for pid in self.pids(again=again):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def tell(self, number: signal.Signals) -> None:
        """A signal to its worker alone."""
        if self.started is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.started.pid, number)

    # ---- what is left

    def stretch(self, zero: float) -> Stretch:
        """All of it, in seconds since `zero`."""
        lines = tuple(
            Line(
                epoch=line.epoch,
                epochs=line.epochs,
                at=line.at.timestamp() - zero,
                values={name: value for name, value in line.values.items() if value is not None},
            )
            for line in read_lines(self.folder / METRICS, MetricLine)
            if line.epoch >= 0
        )
        outcome = read_json(self.folder / "outcome.json", Outcome)
        return Stretch(
            began=self.began - zero,
            lines=lines,
            saves=tuple(Saved(at=one.at - zero, name=one.path.name) for one in self.saves()),
            ending=outcome.ending if outcome is not None else "",
            error=(outcome.error or "") if outcome is not None else "",
            found=self.found,
        )


class Executions:
    """All executions of one job, in the order in which they began."""

    def __init__(self, layout: Layout, job: int) -> None:
        self.layout = layout
        self.job = job
        self.eyes = Eyes()
        self.found: dict[Path, Execution] = {}
        self._next = 0.0

    def close(self) -> None:
        self.eyes.close()

    def look(self, *, again: bool = False) -> list[Event]:
        """See new ones, and what was written: the new events, already with their executions."""
        if again or time.monotonic() >= self._next:
            self._next = time.monotonic() + LIST_SECONDS
            self._list()
        news = self.eyes.look()
        for event in news:
            for folder, one in self.found.items():
                if event.path.is_relative_to(folder):
                    one.take(event)
        return news

    def _list(self) -> None:
        for attempt in self.layout.attempts(self.job):
            for folder in self.layout.executions(self.job, attempt):
                if folder not in self.found:
                    self.found[folder] = Execution(folder, attempt, self.eyes)
        for one in self.found.values():
            one.look()

    def in_order(self) -> list[Execution]:
        return sorted(self.found.values(), key=lambda one: (one.attempt, one.began))
