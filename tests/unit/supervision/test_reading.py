"""Which histories a new supervisor reads again, by the files alone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from jobs.files import encode, now
from jobs.records import MetricLine
from orchestrator.supervision.reading import goes_on
from orchestrator.supervision.seen import OLD_SECONDS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three epochs and a torn line, and an outcome that has lain there for long."""
    lines = [encode(MetricLine(epoch=epoch, epochs=9, at=now(), values={"loss": 0.5})) for epoch in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join([*lines, b'{"epoch": 9']))
    (tmp_path / "outcome.json").write_bytes(b"{}")
    long_ago = time.time() - 2 * OLD_SECONDS
    os.utime(tmp_path / "outcome.json", (long_ago, long_ago))
    return tmp_path


@pytest.mark.parametrize(("epoch", "more"), [(3, False), (2, True), (-1, True), (None, False)])
def test_an_old_history_is_read_again_where_the_store_knows_less(folder: Path, epoch: int | None, more: bool) -> None:
    assert goes_on(folder, epoch) is more


def test_a_young_outcome_may_be_ahead_of_its_history(folder: Path) -> None:
    os.utime(folder / "outcome.json")
    assert (goes_on(folder, 3), goes_on(folder, None)) == (True, False)


@pytest.mark.parametrize("data", [b"", b"\n", b"no JSON\n", b'{"epoch": 1}'])
def test_a_history_that_tells_nothing_holds_no_more(folder: Path, data: bytes) -> None:
    (folder / "metrics.jsonl").write_bytes(data)
    assert goes_on(folder, 3) is False
    (folder / "metrics.jsonl").unlink()
    assert goes_on(folder, -1) is False
