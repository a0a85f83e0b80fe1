"""All that a program tells of its numbers, while it runs and at its end, and which of it counts.

For a name that several ways give, the first of these counts: ORCH_RESULT, result files, ORCH_METRICS, printed lines,
event files. Within one way it is the newest line that names it (jobs/metrics.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from jobs.metrics import last_values, newest_place
from jobs.node.context import Context
from jobs.node.reports import WRITE_AGAIN_SECONDS, MetricsRelay
from jobs.numbers.events import EventFiles
from jobs.numbers.printed import Printed
from jobs.numbers.resultfile import ResultFile
from jobs.numbers.source import Source, listed
from jobs.odd import to_text
from jobs.patience import reading
from jobs.records import NO_PLACE, MetricLine
from jobs.reported import MISSING, Reported

FILES, LINES, PRINTED, EVENTS = range(4)
"""The ways below ORCH_RESULT, the first one first."""
STOPPED_SECONDS = 5.0
"""So long what is left is read where the worker was told to stop, and may be killed soon."""
LONGEST = 1000
"""Characters of a remark."""
MOST_HELD = 100_000
"""Lines that wait for a full disk: what comes then is read when they are written."""


class Ranks:
    """Which way gives a name: lines of a lower one no longer report what a higher one has named."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}
        self._epochs = 0

    def kept(self, rank: int, lines: Sequence[MetricLine]) -> list[MetricLine]:
        """The lines without what belongs to a higher way."""
        found = []
        for line in lines:
            others = [name for name in line.values if self._first.setdefault(name, rank) < rank]
            for name in line.values:
                self._first[name] = min(rank, self._first[name])
            if others:
                values = {name: value for name, value in line.values.items() if name not in others}
                line = msgspec.structs.replace(line, values=values)
            self._epochs = line.epochs or self._epochs
            if line.epochs == 0 and line.epoch <= self._epochs:  # one way says of how many, and not for itself alone
                line = msgspec.structs.replace(line, epochs=self._epochs)
            if line.values or not others:
                found.append(line)
        return found


class _Ranked:
    """A context for one way."""

    def __init__(self, context: Context, ranks: Ranks, rank: int) -> None:
        self._context, self._ranks, self._rank = context, ranks, rank

    def report_lines(self, lines: Sequence[MetricLine]) -> None:
        self._context.report_lines(self._ranks.kept(self._rank, lines))

    def report_later(self, epoch: int, rest: Callable[[], None]) -> None:
        self._context.report_later(epoch, rest)

    def stop_requested(self) -> bool:
        return self._context.stop_requested()


class Sources:
    """What a program writes and prints, from before its start to after its end."""

    def __init__(
        self, context: Context, metrics: Path, path: Callable[[str], Path], streams: Sequence[Path] | None
    ) -> None:
        """`metrics`: what ORCH_METRICS names; `path`: where a declared path lies on this node; `streams`: files of what
        the program prints (None: it prints to a terminal, where nothing is read). Raises BadInput for a pattern that is
        none."""
        self.context = context
        self.reported = Reported.of(context.options)
        self._ranks = Ranks()
        self.relay = MetricsRelay(_Ranked(context, self._ranks, LINES), metrics)
        self._others: list[tuple[int, Source]] = []
        for given in self.reported.result_files:
            self._others.append((FILES, ResultFile(path(given), to_text(given))))
        patterns = {name: one.pattern for name, one in self.reported.metrics.items() if one.pattern}
        self._unread = frozenset(patterns) if streams is None else frozenset[str]()
        if patterns and streams is not None:
            self._others.append((PRINTED, Printed(patterns, list(streams))))
        for given in self.reported.tensorboard:
            self._others.append((EVENTS, EventFiles(path(given), to_text(given))))
        self._held: list[MetricLine] = []
        self._not_before = 0.0

    @property
    def environment(self) -> dict[str, str]:
        """What makes a program print its lines at once where they are read, unless it says otherwise itself."""
        return {"PYTHONUNBUFFERED": "1"} if any(rank == PRINTED for rank, _ in self._others) else {}

    def forward(self) -> bool:
        """Hand on what is new. True where there was any, and so there may be more."""
        more = self.relay.forward()
        if self._others and len(self._held) < MOST_HELD and self._read():
            more = True
        return more

    def _read(self, *, closed: bool = False) -> bool:
        """Read a piece of each. True where there may be more."""
        more = False
        for rank, source in self._others:
            lines = reading(partial(source.read, closed=closed), self.context.stop_requested)
            self._held += self._ranks.kept(rank, lines)
            more = more or source.more
        if self._held and (closed or time.monotonic() >= self._not_before):
            try:
                self._write()
            except OSError:  # no room: the same lines are tried again, and the program is not held up
                self._not_before = time.monotonic() + WRITE_AGAIN_SECONDS
        return more

    def _write(self) -> None:
        """Report the lines that wait. Raises OSError; it may be called again then."""
        if self._held:
            self.context.report_lines(self._held)
            self._held = []

    def close(self) -> None:
        """After the program's end: all that it wrote is read, and handed on as far as there is room for it.

        Raises OSError where a failing disk hides it: an older number would count as the last one.
        """
        until = time.monotonic() + STOPPED_SECONDS if self.context.stop_requested() else math.inf
        while self._read(closed=True) and time.monotonic() < until:
            pass
        self.relay.close()
        if self._held:
            self.context.report_later(newest_place(self._held, NO_PLACE), self._write)

    def result(self, given: Mapping[str, Any] | None) -> dict[str, float | None]:
        """The value of every metric; `given`: what ORCH_RESULT holds. What was odd or missing becomes remarks."""
        found: dict[str, float | None] = {}
        for rank in (EVENTS, PRINTED, LINES, FILES):
            if rank == LINES:
                found.update(self.relay.last)
            for other, source in self._others:
                if other == rank:
                    found.update(source.values)
        values = last_values([found], given)
        self._remark(values, given or {})
        return values

    def _remark(self, values: Mapping[str, float | None], given: Mapping[str, Any]) -> None:
        missing = {name: "" for name in self.reported.expected if values.get(name) is None and name not in self._unread}
        others = []
        for _, source in self._others:
            for name, text in source.lacks():
                if name in missing:
                    missing[name] = f"{name}: {text}"
                elif values.get(name) is None:
                    others.append(f"{name}: {text}" if name else text)
        told = [text or name for name, text in missing.items()]
        if self._others and not missing and not any(value is not None for value in values.values()):
            told.append("any number")
        if told or others:
            self.context.keep_flag(MISSING, "; ".join(map(to_text, told + others))[:LONGEST])
        if odd := [text for _, source in self._others for text in source.remarks()]:
            self.context.keep_flag("numbers", "; ".join(odd)[:LONGEST])
        none = [name for name, value in values.items() if value is None and name not in given and name not in missing]
        if none and self._others:
            self.context.keep_flag("no finite number", listed(none))


def streams(folder: Path) -> list[Path]:
    """Where a worker puts what its program prints."""
    return [folder / "stdout", folder / "stderr"]
