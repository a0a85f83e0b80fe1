"""What a program tells of itself: its metric lines, handed on as it writes them, and its result file."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from jobs.files import now, open_regular
from jobs.metrics import last_values, line_numbers
from jobs.node.endings import CommandFailed
from jobs.numbers.source import place
from jobs.patience import may_pass, never, reading
from jobs.records import NO_PLACE, MetricLine

CHUNK = 1 << 20
"""Bytes of metric lines read at once: a stop is heard between two chunks."""
LARGEST_RESULT = 64 << 20
NAMED = 5
MOST_NAMED = 100
"""How many skipped lines are printed; the rest is counted."""
WRITE_AGAIN_SECONDS = 1.0
CLOSING_SECONDS = 0.2
"""More than this the lines left at the program's end may not hold up its result."""


class LineReader:
    """Makes metric lines of a program's JSON lines: {"epoch": 3, "loss": 0.1}. Its state is where it stands."""

    def __init__(self) -> None:
        self.epoch = 0
        """Of the last line; it counts up by itself where a line has none."""
        self.values: dict[str, float | None] = {}
        """Of the newest line that names each metric."""
        self.skipped = 0
        self.unplaced = 0
        """Lines whose epoch is none: their numbers count."""
        self.nested: dict[str, None] = {}
        """Names that hold an object or a list, in which a number may have been meant."""
        self.inside = False
        """Whether what comes next goes on a line that was skipped already: it is longer than a chunk."""

    def copy(self) -> LineReader:
        """Another one that stands at the same place."""
        made = LineReader()
        made.epoch, made.values = self.epoch, dict(self.values)
        made.skipped, made.unplaced, made.nested = self.skipped, self.unplaced, dict(self.nested)
        made.inside = self.inside
        return made

    def take(self, data: bytes, at: datetime) -> list[MetricLine]:
        """The lines in `data`; odd ones are skipped, named and counted."""
        found = []
        texts = data.split(b"\n")
        rest, self.inside = texts[1:] if self.inside else texts, bool(texts[-1]) or (self.inside and len(texts) == 1)
        for text in rest:
            if text and (line := self._one(text, at)) is not None:
                found.append(line)
        return found

    def _one(self, text: bytes, at: datetime) -> MetricLine | None:
        given = read_object(text)
        if given is None:
            if text.strip():
                self._skip(text)
            return None
        epoch, epochs = place(given.get("epoch", self.epoch + 1)), place(given.get("epochs", 0))
        values = line_numbers(given, self.values)
        if len(self.nested) < MOST_NAMED:
            found = (name for name, value in given.items() if isinstance(value, dict | list) and name not in values)
            self.nested.update(dict.fromkeys(found))
        if epoch is None:
            self.unplaced += 1
            if self.unplaced <= NAMED:
                _say("a metrics line whose epoch is no number from 0 on has no place on the curve", text)
            if not values:
                return None
            epoch = NO_PLACE
        else:
            self.epoch = epoch
        self.values.update(values)
        return MetricLine(epoch=epoch, epochs=epochs or 0, at=at, values=values)

    def _skip(self, text: bytes) -> None:
        self.skipped += 1
        if self.skipped <= NAMED:
            _say("skipped a metrics line that is no JSON object", text)


def _say(what: str, text: bytes) -> None:
    with contextlib.suppress(OSError):
        print(f"orch: {what}: {text[:200]!r}", file=sys.stderr, flush=True)


class Reporting(Protocol):
    """What takes metric lines: a context, or what stands before it."""

    def report_lines(self, lines: Sequence[MetricLine]) -> None:
        """As `Context.report_lines`."""

    def report_later(self, epoch: int, rest: Callable[[], None]) -> None:
        """As `Context.report_later`."""

    def stop_requested(self) -> bool:
        """As `Context.stop_requested`."""


class MetricsRelay:
    """Hands the program's metric lines on as they come, in time that grows with their number alone."""

    def __init__(self, context: Reporting, path: Path) -> None:
        self.context = context
        self.path = path
        self.reader = LineReader()
        self._ahead: LineReader | None = None
        self._offset = 0
        self._file = 0
        self._not_before = 0.0

    @property
    def last(self) -> dict[str, float | None]:
        """The value of every metric that was named, None where the newest line has no number for it."""
        return (self._ahead or self.reader).values

    @property
    def skipped(self) -> int:
        """How many lines were none."""
        return (self._ahead or self.reader).skipped

    @property
    def unplaced(self) -> int:
        """How many lines have no place on the curve."""
        return (self._ahead or self.reader).unplaced

    @property
    def nested(self) -> list[str]:
        """Names that never had a number, but an object or a list."""
        return [name for name in (self._ahead or self.reader).nested if name not in self.last]

    def forward(self) -> bool:
        """Report the next new whole lines. True where there was any, and so there may be more."""
        if time.monotonic() < self._not_before:
            return False
        try:
            return self._report(self._next(self._offset))
        except OSError:  # no room: the same lines are tried again, and the program is not held up
            self._not_before = time.monotonic() + WRITE_AGAIN_SECONDS
            return False

    def close(self) -> None:
        """After the program's end: report what is left, or, where that takes time, let it wait for the outcome.

        Either way `last` is complete afterwards. Raises OSError where a failing disk hides what is left.
        """
        until = time.monotonic() + CLOSING_SECONDS
        self._not_before = 0.0
        while time.monotonic() < until and self.forward():
            pass
        ahead, offset = self.reader.copy(), self._offset
        while data := reading(partial(self._next, offset, closed=True), self.context.stop_requested):
            ahead.take(data, now())
            offset += len(data)
        if offset > self._offset:
            self.reader.skipped += NAMED  # those that are left are named by now
            self.reader.unplaced += NAMED
            self._ahead = ahead
            self.context.report_later(ahead.epoch, self._rest)

    def _rest(self) -> None:
        """Go on to the end of the file. Raises OSError; it may be called again then."""
        while self._report(self._next(self._offset, closed=True)):
            pass

    def _report(self, data: bytes) -> bool:
        """Hand these lines on. Raises OSError, and nothing has happened then."""
        if not data:
            return False
        reader = self.reader.copy()
        self.context.report_lines(reader.take(data, now()))
        self.reader = reader
        self._offset += len(data)
        return True

    def _next(self, offset: int, *, closed: bool = False) -> bytes:
        """The whole lines in the next chunk of the file; with `closed`, also a last one without its end.

        Of a line that is longer than a chunk, a piece of it. A file that was begun anew is read from its start. Raises
        OSError with `closed`, where the disk fails.
        """
        try:
            with open_regular(self.path) as handle:
                state = os.fstat(handle.fileno())
                if state.st_ino != self._file or state.st_size < self._offset:
                    if self._file:
                        self._offset = offset = self.reader.epoch = 0
                        self.reader.inside = False
                    self._file = state.st_ino
                handle.seek(offset)
                data = handle.read(CHUNK)
        except OSError as error:
            if closed and may_pass(error):
                raise
            return b""
        whole = data[: data.rfind(b"\n") + 1]
        return whole or (data if closed or len(data) == CHUNK else b"")


def read_object(text: bytes) -> dict[str, Any] | None:
    """A JSON object as Python's own json writes it, NaN and Infinity included; None where it is none."""
    try:
        values = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            return None
    return values if isinstance(values, dict) else None


def read_result(path: Path, unwanted: Callable[[], bool] = never) -> dict[str, Any] | None:
    """The object in the result file as it is; None where the program wrote no file.

    Raises CommandFailed, and OSError where the disk fails and does not get well.
    """
    try:
        data = reading(lambda: _content(path), unwanted)
    except FileNotFoundError:
        if path.is_symlink():
            raise CommandFailed("ORCH_RESULT cannot be read: it is a link that leads nowhere") from None
        return None
    except OSError as error:
        if may_pass(error):
            raise
        raise CommandFailed(f"ORCH_RESULT cannot be read: {error.strerror}") from None
    values = read_object(data) if len(data) <= LARGEST_RESULT else None
    if values is None:
        raise CommandFailed("ORCH_RESULT holds no JSON object of numbers")
    numbers = last_values([], values)
    if values and not any(value is not None for value in numbers.values()):
        raise CommandFailed(f"ORCH_RESULT has no finite number for {', '.join(map(ascii, sorted(values)[:NAMED]))}")
    return values


def _content(path: Path) -> bytes:
    with open_regular(path) as handle:
        return handle.read(LARGEST_RESULT + 1)


def left_out(result: dict[str, Any]) -> str:
    """What a result names that is no finite number, in words; '' for nothing."""
    numbers = last_values([], result)
    odd = [name for name in sorted(result) if numbers.get(name) is None]
    named = [f"{name} is {json.dumps(result[name])[:40]}" for name in odd[:NAMED]]
    more = [f"{len(odd) - NAMED} more"] if len(odd) > NAMED else []
    return ", ".join([*named, *more]).encode(errors="backslashreplace").decode()
