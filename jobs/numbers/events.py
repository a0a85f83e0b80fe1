"""TensorBoard's event files (`--tensorboard`), read by tensorboard's own reader where that package is installed."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import math
import os
import sys
import time
import types
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from jobs.files import now
from jobs.numbers.source import MOST_NAMES, clean, finite, listed, place
from jobs.records import NO_PLACE, MetricLine

PACKAGE = "tensorboard"
LOOK_SECONDS = 1.0
EVENTS = 2000
"""Read at once: a stop is heard between two pieces."""
MOST_FILES = 1000
MARK = "tfevents"
PARTS = frozenset({"train", "training", "val", "valid", "validation", "eval", "evaluation", "test", "dev"})
"""Folders that say of what a number is: Keras writes epoch_loss to train/ and to validation/."""


def is_installed() -> bool:
    return importlib.util.find_spec(PACKAGE) is not None


class EventFiles:
    """The scalars of all event files below a folder; the step is the epoch."""

    def __init__(self, folder: Path, shown: str) -> None:
        """`shown`: the folder as it was given. Event files that are there now are nobody's result."""
        self.folder = folder
        self.shown = shown
        self.values: dict[str, float | None] = {}
        self.more = False
        self._old = set(_files(folder))
        self._loaders: dict[Path, Iterator[Any]] = {}
        self._open: dict[Path, Any] = {}
        self._owners: dict[str, str] = {}
        self._odd: list[str] = []
        self._not_before = 0.0
        self._missing = not is_installed()

    def read(self, *, closed: bool = False) -> list[MetricLine]:
        if self._missing or (not closed and not self.more and time.monotonic() < self._not_before):
            return []
        self._not_before = time.monotonic() + LOOK_SECONDS
        self.more = False
        found: list[MetricLine] = []
        for path in _files(self.folder):
            if path not in self._old and len(found) < EVENTS:
                found += self._of(path, EVENTS - len(found))
        return found

    def _of(self, path: Path, most: int) -> list[MetricLine]:
        """The next events of a file."""
        try:
            if path not in self._open:
                self._open[path] = _loader(path)
            going = self._loaders.pop(path, None) or self._open[path].Load()
            events = list(islice(going, most))
        except Exception as error:  # whatever tensorboard, protobuf or a disk say of it
            self._old.add(path)
            self._odd.append(f"{path.name} cannot be read ({type(error).__name__})")
            return []
        if len(events) == most:
            self._loaders[path], self.more = going, True
        at = now()
        return [line for event in events if (line := self._line(path, event, at)) is not None]

    def _line(self, path: Path, event: Any, at: datetime) -> MetricLine | None:
        where = place(event.step)
        values: dict[str, float | None] = {}
        for value in event.summary.value:
            number = _scalar(value)
            if number is not None and (name := self._named(path, value.tag)):
                values[name] = finite(number)
        self.values.update(values)
        epoch = NO_PLACE if where is None else where
        return MetricLine(epoch=epoch, at=at, values=values) if values else None

    def _named(self, path: Path, tag: str) -> str:
        """The tag; behind the folder where that tells parts apart, or where another folder has the same tag."""
        where = str(path.parent.relative_to(self.folder))
        part = path.parent.name.lower() if where != "." else ""
        name = clean(f"{path.parent.name}/{tag}" if part in PARTS else tag)
        if not name or name == "epoch" or (name not in self._owners and len(self._owners) >= MOST_NAMES):
            return ""
        if self._owners.setdefault(name, where) == where:
            return name
        return clean(f"{where}/{tag}")

    def lacks(self) -> list[tuple[str, str]]:
        if self._missing:
            return [("", f"{self.shown} was not read: the package {PACKAGE} is not installed on this node")]
        if not self.values:
            why = "event files of before the program started alone" if self._old and not self._odd else "no scalar"
            return [("", f"{self.shown} has {why} (event files of TensorBoard)")]
        return []

    def remarks(self) -> list[str]:
        told = [f"{self.shown}: {odd}" for odd in self._odd[:3]]
        twice = [name for name in self.values if "/" in name and name not in self._owners]
        return [*told, *([f"{self.shown} has the same tag in several folders: {listed(twice)}"] if twice else [])]


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place_, _, names in os.walk(folder):
        found += [path for name in names if MARK in name and (path := Path(place_, name)).is_file()]
        if len(found) > MOST_FILES:
            break
    return sorted(found)[:MOST_FILES]


def _loader(path: Path) -> Any:
    """tensorboard's reader of one file, which goes on where it stood."""
    # The way that tensorboard itself has to do without TensorFlow (its compat module): importing that takes seconds.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
    logging.getLogger(PACKAGE).setLevel(logging.ERROR)
    module = importlib.import_module("tensorboard.backend.event_processing.event_file_loader")
    return module.LegacyEventFileLoader(str(path))


def _scalar(value: Any) -> float | None:
    """The number of one summary value; None where it is an image, a histogram, a text."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind != "tensor" or value.metadata.plugin_data.plugin_name not in ("", "scalars"):
        return None
    try:
        array = importlib.import_module("tensorboard.util.tensor_util").make_ndarray(value.tensor)
        return float(array.reshape(()))
    except (TypeError, ValueError):
        return math.nan if value.metadata.plugin_data.plugin_name == "scalars" else None
