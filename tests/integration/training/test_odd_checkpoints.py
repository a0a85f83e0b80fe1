"""A checkpoint whose hash is right and whose content is not: it is skipped, and the training is the same bit by bit."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.files import write_bytes, write_json
from jobs.node.checkpoints import CheckpointRecord, Checkpoints
from tests.helpers import train_child
from tests.helpers.context import MemoryContext
from tests.integration.training.test_resume import interrupted, own_cache, same, undisturbed

__all__ = ["own_cache", "undisturbed"]


def saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def without(name: str) -> Callable[[dict[str, Any]], bytes]:
    return lambda state: saved({key: value for key, value in state.items() if key != name})


def with_another(name: str, value: Any) -> Callable[[dict[str, Any]], bytes]:
    return lambda state: saved({**state, name: value})


def wrong_shape(state: dict[str, Any]) -> bytes:
    return saved({**state, "network": {key: tensor[..., None] for key, tensor in state["network"].items()}})


ODD: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "nothing": lambda state: b"",
    "no pickle": lambda state: b"\x80\x02nonsense" * 50,
    "half of one": lambda state: saved(state)[:5000],
    "a list": lambda state: saved([1, 2]),
    "a foreign class": lambda state: saved(Path("x")),
    "an empty dict": lambda state: saved({}),
    "no network": without("network"),
    "no sums": without("sums"),
    "no random state": without("torch_random"),
    "a text for a tensor": with_another("sums", "many"),
    "too few momenta": with_another("momenta", []),
    "a short random state": with_another("torch_random", torch.zeros(3, dtype=torch.uint8)),
    "another net": wrong_shape,
    "another format": with_another("format", "x"),
}


@pytest.mark.parametrize(
    ("odd", "alone"), [*((odd, False) for odd in ODD), ("no pickle", True), ("no random state", True)]
)
def test_it_is_skipped(odd: str, alone: bool, tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """For the one before it, or for a start from the seed, though it was loaded in part."""
    (folder,) = interrupted(tmp_path, [7])
    record, path = Checkpoints(folder).candidates()[0]
    data = ODD[odd](torch.load(path, weights_only=True))
    if alone:
        path.with_suffix(".json").unlink()
    later = CheckpointRecord(step=9, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), history=record.history)
    write_bytes(folder / "step-00000009.pt", data)
    write_json(folder / "step-00000009.json", later)
    context = MemoryContext(train_child.config(), tmp_path / "last", earlier=(folder,))
    with pytest.warns(UserWarning, match=r"skipped checkpoint .*step-00000009"):
        found = train_child.final(context)
    same(found, undisturbed)
    assert [line.epoch for line in context.lines] == list(range(1, 7))


def test_what_is_no_checkpoint_of_ours_is_let_be(tmp_path: Path) -> None:
    """A FIFO in the payload's place never blocks, and odd names neither count nor are pruned."""
    mine = Checkpoints(tmp_path / "checkpoints", every=0)
    for step in range(1, 5):
        mine.save(step, {"x": step}, ())
    (mine.folder / "step-mine.json").write_text("{}")
    os.mkfifo(mine.folder / "step-00000009.pt")
    write_json(mine.folder / "step-00000009.json", CheckpointRecord(step=9, bytes=1, sha256=""))
    with pytest.warns(UserWarning, match="step-00000009"):
        found = mine.load()
    assert found is not None and found[:2] == (4, {"x": 4})
    mine.save(10, {"x": 10}, ())
    assert (mine.folder / "step-mine.json").exists()
