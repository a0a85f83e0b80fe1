"""TensorBoard's event files: written by its own writer, read while they grow, torn, old, in several folders."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.numbers import events
from jobs.numbers.events import EventFiles

if not events.is_installed():
    pytest.fail("tensorboard is in the extra 'dev': 'make install' brings it, and without it nothing is tested here")


class Writer:
    """One run's folder."""

    def __init__(self, folder: Path) -> None:
        self._summary = importlib.import_module("tensorboard.compat.proto.summary_pb2").Summary
        self._event = importlib.import_module("tensorboard.compat.proto.event_pb2").Event
        module = importlib.import_module("tensorboard.summary.writer.event_file_writer")
        self._writer: Any = module.EventFileWriter(str(folder))

    def scalar(self, tag: str, value: float, step: int) -> None:
        summary = self._summary(value=[self._summary.Value(tag=tag, simple_value=value)])
        self._writer.add_event(self._event(step=step, summary=summary))

    def tensor(self, tag: str, value: Any, step: int, plugin: str = "scalars") -> None:
        """As TensorFlow 2 and Keras write it."""
        tensor = importlib.import_module("tensorboard.util.tensor_util").make_tensor_proto(value)
        one = self._summary.Value(tag=tag, tensor=tensor)
        one.metadata.plugin_data.plugin_name = plugin
        self._writer.add_event(self._event(step=step, summary=self._summary(value=[one])))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def said(files: EventFiles) -> list[str]:
    return [text for _, text in files.lacks()] + files.remarks()


def at_once(files: EventFiles) -> list[tuple[int, dict[str, float | None]]]:
    found = []
    while True:
        lines = files.read(closed=True)
        found += [(line.epoch, line.values) for line in lines]
        if not files.more:
            return found


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(["loss", "acc"]), st.floats(width=32), st.integers(0, 99)), max_size=9))
def test_scalars_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, scalars: list[tuple[str, float, int]]
) -> None:
    folder = tmp_path_factory.mktemp("events")
    files = EventFiles(folder, "events")
    writer = Writer(folder)
    for tag, value, step in scalars:
        writer.scalar(tag, value, step)
    writer.close()
    told = [(step, {tag: value if math.isfinite(value) else None}) for tag, value, step in scalars]
    assert at_once(files) == told
    assert files.values == {tag: value if math.isfinite(value) else None for tag, value, _ in scalars}
    assert said(files) == ([] if scalars else ["events has no scalar (event files of TensorBoard)"])


def test_live_torn_old_and_in_several_folders(tmp_path: Path) -> None:
    old = Writer(tmp_path / "version_0")
    old.scalar("acc", 99.0, 1)
    old.close()
    files = EventFiles(tmp_path, "{out}")
    first, train, val = (Writer(tmp_path / name) for name in ("version_1", "logs/train", "logs/validation"))
    first.scalar("acc", 1.0, 1)
    first.flush()
    assert at_once(files) == [(1, {"acc": 1.0})]
    first.scalar("acc", 2.0, 2)
    train.tensor("epoch_loss", 0.5, 3)
    val.tensor("epoch_loss", 0.25, 3)
    val.tensor("picture", [[1.0, 2.0]], 3, plugin="images")
    val.tensor("odd", b"text", 3)
    for writer in (first, train, val):
        writer.flush()
    assert at_once(files) == [
        (3, {"train/epoch_loss": 0.5}),
        (3, {"validation/epoch_loss": 0.25}),
        (3, {"validation/odd": None}),
        (2, {"acc": 2.0}),
    ]
    (path,) = (tmp_path / "version_1").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[-20:-3])
    assert at_once(files) == []
    other = Writer(tmp_path / "version_2")
    other.scalar("acc", 3.0, 3)
    other.close()
    (tmp_path / "events.out.tfevents.garbage").write_bytes(b"garbage" * 100)
    assert at_once(files) == [(3, {"version_2/acc": 3.0})]
    assert files.values["acc"] == 2.0
    assert said(files) == ["{out} has the same tag in several folders: version_2/acc"]
    for writer in (first, train, val):
        writer.close()


def test_what_was_there_before_alone_is_no_number(tmp_path: Path) -> None:
    old = Writer(tmp_path)
    old.scalar("acc", 99.0, 1)
    old.close()
    files = EventFiles(tmp_path, "logs")
    assert at_once(files) == [] and files.values == {}
    assert said(files) == ["logs has event files of before the program started alone (event files of TensorBoard)"]


def test_without_the_package_it_is_a_remark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "is_installed", lambda: False)
    files = EventFiles(tmp_path, "logs")
    assert files.read(closed=True) == []
    assert said(files) == ["logs was not read: the package tensorboard is not installed on this node"]
