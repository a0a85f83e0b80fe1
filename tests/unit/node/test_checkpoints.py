"""Checkpoints: the newest valid one of all executions wins, and neither damage nor a full disk ends the work."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs import files
from jobs.node import checkpoints
from jobs.node.checkpoints import Checkpoints


def state(value: float) -> dict[str, Any]:
    return {"weights": torch.full((3,), value)}


def value(kept: Checkpoints) -> float | None:
    found = kept.load()
    return None if found is None else float(found[1]["weights"][0])


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "own", [tmp_path / "before", tmp_path / "long before"])


def earlier(tmp_path: Path, name: str, *steps: int) -> Checkpoints:
    made = Checkpoints(tmp_path / name)
    for step in steps:
        made.save(step, state(float(step)), ())
    return made


def test_the_newest_step_wins_whoever_wrote_it_and_whenever(tmp_path: Path, kept: Checkpoints) -> None:
    kept.save(7, state(7.0), ())
    earlier(tmp_path, "long before", 11)
    earlier(tmp_path, "before", 5, 9)
    for path in (tmp_path / "long before").iterdir():
        os.utime(path, (0, 0))
    assert value(kept) == 11.0 and kept.newest_step == 11


def test_what_was_pruned_are_its_own_older_ones(tmp_path: Path, kept: Checkpoints) -> None:
    earlier(tmp_path, "before", 1, 2)
    for step in (3, 4, 5, 6):
        kept.save(step, state(float(step)), ())
    assert files.names(tmp_path / "own") == [f"step-{step:08d}.{end}" for step in (5, 6) for end in ("json", "pt")]
    assert len(files.names(tmp_path / "before")) == 4


def test_one_flipped_bit_is_not_trained_on(tmp_path: Path, kept: Checkpoints) -> None:
    earlier(tmp_path, "before", 4)
    path = kept.save(5, state(5.0), ())
    assert path is not None
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.warns(UserWarning, match="torn or damaged"):
        assert value(kept) == 4.0


def test_a_state_that_its_owner_calls_invalid_is_skipped(tmp_path: Path, kept: Checkpoints) -> None:
    earlier(tmp_path, "before", 4)
    kept.save(5, state(float("nan")), ())
    with pytest.warns(UserWarning, match="it diverged"):
        found = kept.load(lambda state: None if bool(torch.isfinite(state["weights"]).all()) else "it diverged")
    assert found is not None and found[0] == 4


def test_a_payload_without_its_record_is_torn_by_definition(tmp_path: Path, kept: Checkpoints) -> None:
    earlier(tmp_path, "before", 4)
    path = kept.save(5, state(5.0), ())
    assert path is not None
    path.with_suffix(".json").unlink()
    assert value(kept) == 4.0


def test_without_room_the_work_goes_on_and_what_waiting_cannot_mend_is_told(
    tmp_path: Path, kept: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.save(3, state(3.0), ())

    def refuse(number: int) -> None:
        def write(path: Path, data: bytes) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(checkpoints, "write_bytes", write)

    refuse(errno.ENOSPC)
    with pytest.warns(UserWarning, match="no room for checkpoint"):
        assert kept.save(4, state(4.0), ()) is None
    assert value(kept) == 3.0
    refuse(errno.EACCES)
    with pytest.raises(PermissionError):
        kept.save(5, state(5.0), ())
