"""A result file (`--result-file`): JSON lines, CSV, or one JSON document, read while the program writes it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from jobs.files import now, open_regular
from jobs.numbers.rows import Counting, Csv, JsonLines, Rows, decoded, flat
from jobs.numbers.tailing import Before, Tail, look
from jobs.patience import may_pass
from jobs.records import MetricLine

LOOK_SECONDS = 0.2
LARGEST_DOCUMENT = 64 << 20
PATIENCE = 10
"""The next look comes only after so many times the time that the last one took."""
HEAD = 1 << 16
CSV, LINES = frozenset({".csv", ".tsv"}), frozenset({".jsonl", ".ndjson"})


class ResultFile:
    """Its format is told by its name, else by how it begins."""

    def __init__(self, path: Path, shown: str) -> None:
        """`shown`: the path as it was given. The file as it is now is nobody's result."""
        self.path = path
        self.shown = shown
        self.before: Before | None = look(path)
        self._had_any = self.before is not None
        self._reader: Follower | Document | None = None
        self._not_before = 0.0

    @property
    def values(self) -> dict[str, float | None]:
        return self._reader.values if self._reader is not None else {}

    @property
    def more(self) -> bool:
        return self._reader is not None and self._reader.more

    def read(self, *, closed: bool = False) -> list[MetricLine]:
        if not closed and not self.more and time.monotonic() < self._not_before:
            return []
        self._not_before = time.monotonic() + LOOK_SECONDS
        if self._reader is None:
            self._reader = self._made(closed)
        if self._reader is None:
            return []
        began = time.monotonic()
        found = self._reader.read(closed=closed)
        spent = min(time.monotonic() - began, LOOK_SECONDS * 100)  # a large file that is written anew is read anew
        self._not_before = time.monotonic() + max(LOOK_SECONDS, PATIENCE * spent)
        if isinstance(self._reader, Document) and self._reader.lines:  # its first line was not whole before
            self._reader = Follower(self.path, None, JsonLines)
            found = self._reader.read(closed=closed)
        return found

    def _made(self, closed: bool) -> Follower | Document | None:
        suffix = self.path.suffix.lower()
        if suffix in CSV or suffix in LINES:
            return Follower(self.path, self.before, Csv if suffix in CSV else JsonLines)
        try:
            with open_regular(self.path) as handle:
                facts = os.fstat(handle.fileno())
                head = handle.read(HEAD)
        except OSError as error:
            if closed and may_pass(error):
                raise
            return None
        was = self.before
        if was is not None and (was.inode, was.size, was.changed) == (facts.st_ino, facts.st_size, facts.st_mtime_ns):
            return None
        first, end, _ = head.lstrip(b"\xef\xbb\xbf \t\r\n").partition(b"\n")
        if not first or (not end and not closed and len(head) < HEAD and first[:1] not in b"{["):
            return None  # its first line is not whole yet
        if first[:1] == b"[" or (first[:1] == b"{" and not (end and isinstance(decoded(first), dict))):
            return Document(self.path)
        return Follower(self.path, was, JsonLines if first[:1] == b"{" else Csv)

    def lacks(self) -> list[tuple[str, str]]:
        reader = self._reader
        if reader is None or not reader.found:
            if self._had_any:
                text = "was there before the program started, and it wrote nothing to it: not counted"
                return [("", f"{self.shown} {text}")]
            return [("", f"{self.shown} was not written")]
        if not any(value is not None for value in self.values.values()):
            return [("", f"{self.shown} has no number")]
        return []

    def remarks(self) -> list[str]:
        told = self._reader.remarks() if self._reader is not None else []
        return [f"{self.shown} has {', '.join(told)}"] if told else []


class Follower:
    """A file that grows by rows."""

    def __init__(self, path: Path, before: Before | None, form: type[Csv] | type[JsonLines]) -> None:
        self._tail = Tail(path, before=before)
        self._form = form
        self._rows: Rows = form()
        self._anew = 0

    @property
    def values(self) -> dict[str, float | None]:
        return self._rows.values

    @property
    def more(self) -> bool:
        return self._tail.more

    @property
    def found(self) -> bool:
        return self._tail.found

    def read(self, *, closed: bool = False) -> list[MetricLine]:
        data = self._tail.read(closed=closed)
        if self._tail.anew:
            self._anew += self._rows.rows > 1
            self._tail.anew, self._rows = False, self._form()
        if not data:
            return []
        if self._tail.old:
            old, self._tail.old = data[: self._tail.old], max(0, self._tail.old - len(data))
            self._rows.take(old, now())
            self._rows.forget()
            data = data[len(old) :]
        return self._rows.take(data, now())

    def remarks(self) -> list[str]:
        again = [f"rows that were written anew {self._anew} times" if self._anew > 1 else "rows that were written anew"]
        return [*self._rows.remarks(), *(again if self._anew else [])]


class Document(Counting):
    """One JSON object, or a list of them, a row each; it is written anew as a whole."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.more = False
        self.lines = False
        """It is none: it holds a JSON object a line."""
        self.found = False
        self._seen: tuple[int, int, int] | None = None
        self._unread = ""
        self._told: list[dict[str, Any]] = []

    def read(self, *, closed: bool = False) -> list[MetricLine]:
        try:
            with open_regular(self.path) as handle:
                facts = os.fstat(handle.fileno())
                now_seen = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
                if now_seen == self._seen:
                    return []
                data = handle.read(LARGEST_DOCUMENT + 1)
        except OSError as error:
            if closed and may_pass(error):
                raise
            return []
        self._seen, self.found = now_seen, True
        if len(data) > LARGEST_DOCUMENT:
            self._unread = f"more than {LARGEST_DOCUMENT >> 20} MiB in one JSON document (write JSON lines)"
            return []
        given = decoded(data.lstrip(b"\xef\xbb\xbf"))
        if given is None:
            given = decoded(self.text(data).encode())
        if not isinstance(given, dict | list):
            self.lines = isinstance(decoded(data.lstrip(b"\xef\xbb\xbf \t\r\n").partition(b"\n")[0]), dict)
            self._unread = "no JSON that can be read"
            if closed:
                self.forget()  # what it held before is not its last word
            return []
        self._unread = ""
        rows = [flat(one) for one in (given if isinstance(given, list) else [given]) if isinstance(one, dict)]
        return self._rows(rows)

    def _rows(self, rows: list[dict[str, Any]]) -> list[MetricLine]:
        """The rows that are new or other than before; the values are those of the whole document."""
        before, self._told = self._told, rows
        self.forget()
        found: list[MetricLine] = []
        for number, row in enumerate(rows):
            lines = self.row(row, now())
            if number >= len(before) or before[number] != row:
                found += lines
        return found

    def remarks(self) -> list[str]:
        return [*super().remarks(), *([self._unread] if self._unread else [])]
