"""Rows of a result file: JSON lines and CSV, each row an epoch. Pure: a reader's state is where it stands."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from jobs.metrics import PLACE, numbers
from jobs.numbers.source import LONGEST_NAME, MOST_NAMES, clean, counted, listed, number_of, place
from jobs.records import NO_PLACE, MetricLine

SEPARATORS = "\t,;"
"""Of those that stand equally often in the line of names, the first one."""
DEEPEST = 16
"""Objects in objects become names with / between, up to here."""
PLACES = ("epoch", "step")
"""Columns that say where a row stands, the first one that a row has; capitals do not matter."""
_NOT_METRICS = PLACE | set(PLACES)


class Rows(Protocol):
    """Makes metric lines of the bytes of a file."""

    values: dict[str, float | None]
    rows: int

    def take(self, data: bytes, at: datetime) -> list[MetricLine]:
        """The rows in these whole lines."""

    def forget(self) -> None:
        """What was taken so far was there before: it counts for nothing."""

    def remarks(self) -> list[str]:
        """What was odd, a phrase each."""


class Counting:
    """What all formats share: where a row stands, which numbers it has, what was odd."""

    def __init__(self) -> None:
        self.values: dict[str, float | None] = {}
        self.rows = 0
        self.odd: dict[str, int] = {}
        self.not_utf8 = False
        self.texts: dict[str, None] = {}
        """Names that hold no number, but a text or a list."""
        self._epoch: int | None = None
        """Of the last row that says one: a row that says none is of the same."""
        self._alone: MetricLine | None = None
        """The first row, if it says no epoch: where no other follows it is the result, and no epoch."""

    def forget(self) -> None:
        self.values, self.rows, self._alone, self._epoch = {}, 0, None, None
        self.odd, self.texts = {}, {}

    def remarks(self) -> list[str]:
        texts = [name for name in self.texts if name not in self.values]
        return [
            *counted(self.odd),
            *(["bytes that are no UTF-8"] if self.not_utf8 else []),
            *([f"no number for {listed(texts)}"] if texts else []),
        ]

    def strange(self, what: str) -> None:
        self.odd[what] = self.odd.get(what, 0) + 1

    def row(self, given: Mapping[str, Any], at: datetime) -> list[MetricLine]:
        """The metric lines that this row completes: none, one, or with the one that was held back two."""
        where = _place_of(given)
        if where is None:
            epoch = self.rows + 1 if self._epoch is None else self._epoch
        else:
            said = place(where)
            epoch = NO_PLACE if said is None else said
            if said is None:
                self.strange("rows with no place on the curve: their epoch is no number from 0 on")
            else:
                self._epoch = said
        self.rows += 1
        named = given
        if where is not None:
            named = {name: value for name, value in given.items() if name.lower() not in _NOT_METRICS}
        found = numbers(named, self.values)
        if len(found) < len(named):
            self.texts.update(dict.fromkeys(name for name in named if name not in found and len(self.texts) < 100))
        if len(self.values) + len(found) > MOST_NAMES:
            found = self._first(found)
        self.values.update(found)
        epochs = place(given.get("epochs", 0)) or 0
        line = MetricLine(epoch=epoch, epochs=epochs, at=at, values=found)
        if where is None and self.rows == 1 and self._epoch is None:
            self._alone = line
            return []
        before, self._alone = self._alone, None
        return [line] if before is None else [before, line]

    def _first(self, found: dict[str, float | None]) -> dict[str, float | None]:
        """Without names that are too many."""
        room = MOST_NAMES - len(self.values)
        new = [name for name in found if name not in self.values]
        if len(new) > room:
            self.strange(f"rows with more than {MOST_NAMES} metrics")
        left = set(new[room:])
        return {name: value for name, value in found.items() if name not in left}

    def text(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            self.not_utf8 = True
            return data.decode(errors="replace")


def _place_of(given: Mapping[str, Any]) -> Any:
    """What a row says of its epoch; None where it says nothing."""
    for name in PLACES:
        if name in given:
            return given[name]
    for key, value in given.items():
        if key.lower() in PLACES:
            return value
    return None


class JsonLines(Counting):
    """One JSON object a line."""

    def take(self, data: bytes, at: datetime) -> list[MetricLine]:
        found: list[MetricLine] = []
        for text in data.split(b"\n"):
            if text.strip():
                given = decoded(text)
                if not isinstance(given, dict):
                    given = decoded(self.text(text).encode())
                if isinstance(given, dict):
                    found += self.row(flat(given), at)
                else:
                    self.strange("lines that are no JSON object")
        return found


class Csv(Counting):
    """Rows under one line of names; commas, semicolons or tabs between. An empty cell says nothing of its metric."""

    def __init__(self) -> None:
        super().__init__()
        self._names: list[str] = []
        self._header = ""
        self._sign = ","

    def take(self, data: bytes, at: datetime) -> list[MetricLine]:
        found: list[MetricLine] = []
        for line in self.text(data).replace("\r\n", "\n").replace("\r", "\n").split("\n"):
            if not line.strip():
                continue
            if not self._names:
                self._head(line)
            elif line != self._header:
                found += self._cells(line, at)
        return found

    def remarks(self) -> list[str]:
        without = self._names and all(number_of(name) is not None for name in self._names)
        return [*super().remarks(), *(["no names in its first line"] if without else [])]

    def _head(self, line: str) -> None:
        self._header = line
        bare = line.lstrip("\ufeff").removeprefix("#").strip(" ")
        self._sign = max(SEPARATORS, key=bare.count) if any(sign in bare for sign in SEPARATORS) else ","
        self._names = [clean(name) for name in self._split(bare)]

    def _split(self, line: str) -> list[str]:
        if '"' not in line:
            return line.split(self._sign)
        try:
            return next(csv.reader([line], delimiter=self._sign, skipinitialspace=True))
        except (csv.Error, StopIteration):
            return []

    def _cells(self, line: str, at: datetime) -> list[MetricLine]:
        cells = self._split(line)
        if len(cells) != len(self._names):
            while len(cells) > len(self._names) and not cells[-1].strip():
                cells.pop()
            if len(cells) != len(self._names):
                self.strange(f"lines that have not {len(self._names)} cells")
                return []
        given: dict[str, Any] = {}
        for name, cell in zip(self._names, cells, strict=True):
            if not name or not cell or cell.isspace():
                continue
            try:
                given[name] = float(cell) if "_" not in cell else cell
            except ValueError:
                number = number_of(cell.replace(",", ".") if self._sign == ";" else cell)
                given[name] = cell if number is None else number
        return self.row(given, at) if given else []


def decoded(text: bytes) -> Any:
    """JSON as Python writes it, NaN and Infinity included; None where it is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None


def flat(given: Mapping[str, Any]) -> dict[str, Any]:
    """Objects in an object by their path: {"val": {"acc": 1}} is val/acc."""
    if all(name.isprintable() and len(name) <= LONGEST_NAME for name in given) and not any(
        isinstance(value, dict) for value in given.values()
    ):
        return dict(given)
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Mapping[str, Any], int]] = [("", given, 0)]
    while waiting and len(found) <= 2 * MOST_NAMES:
        before, one, depth = waiting.pop()
        for name, value in one.items():
            path = f"{before}{clean(name)}"
            if isinstance(value, dict) and depth < DEEPEST:
                waiting.append((f"{path}/", value, depth + 1))
            else:
                found[clean(path)] = value
    return found
