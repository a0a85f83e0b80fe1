"""An interrupted and resumed training ends bit-identical to an uninterrupted one, however it was interrupted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.node.context import Interrupted
from jobs.training.loop import invalid
from tests.helpers import train_child
from tests.helpers.context import MemoryContext


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, own_cache: None) -> dict[str, Any]:
    return train_child.final(MemoryContext(train_child.config(), tmp_path_factory.mktemp("whole")))


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Metrics and weights are equal bit by bit."""
    assert one["lines"] == other["lines"]
    assert one["network"].keys() == other["network"].keys()
    different = [name for name, tensor in one["network"].items() if not torch.equal(tensor, other["network"][name])]
    assert different == []


class Counter:
    """Asks to stop at the n-th step boundary of an execution."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


def interrupted(folder: Path, steps: list[int]) -> list[Path]:
    """Executions that were each asked to stop after so many steps; returns their checkpoint folders."""
    earlier: list[Path] = []
    for number, count in enumerate(steps):
        context = MemoryContext(
            train_child.config(), folder / f"e{number}", earlier=tuple(earlier), stop=Counter(count), every=1e9
        )
        with pytest.raises(Interrupted):
            train_child.final(context)
        assert context.readies == 1
        earlier.append(context.folder / "checkpoints")
    return earlier


# 200 images in batches of 64: 4 steps an epoch, 24 in all
@pytest.mark.parametrize("steps", [[1], [4], [5], [23], [24], [1, 1, 2, 3, 4, 5], [7, 9]])
def test_stopped_at_a_step_boundary(steps: list[int], tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    earlier = interrupted(tmp_path, steps)
    context = MemoryContext(train_child.config(), tmp_path / "last", earlier=tuple(earlier))
    torch.manual_seed(99)  # what another job left behind must not matter
    same(train_child.final(context), undisturbed)
    assert context.readies == 1
    assert [line.epoch for line in context.lines] == list(range(1, 7))


def test_every_random_state_is_carried(tmp_path: Path) -> None:
    torch.manual_seed(3)
    earlier = interrupted(tmp_path, [2])
    wanted = torch.get_rng_state()
    torch.manual_seed(4)
    interrupted_again = MemoryContext(
        train_child.config(), tmp_path / "next", earlier=tuple(earlier), stop=Counter(1), every=1e9
    )
    with pytest.raises(Interrupted):
        train_child.final(interrupted_again)
    assert torch.equal(torch.get_rng_state(), wanted)


@pytest.mark.parametrize("damage", ["cut", "flipped", "nan", "record"])
def test_a_damaged_checkpoint_is_skipped_with_a_warning(
    damage: str, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    (folder, other) = interrupted(tmp_path, [6, 3])  # steps 6 and 9, the second one's is damaged
    payload = other / "step-00000009.pt"
    if damage == "cut":
        payload.write_bytes(payload.read_bytes()[:-100])
    elif damage == "flipped":
        content = bytearray(payload.read_bytes())
        content[len(content) // 2] ^= 1
        payload.write_bytes(bytes(content))
    elif damage == "record":
        record = payload.with_suffix(".json")
        record.write_bytes(record.read_bytes()[:20])
    else:
        state = torch.load(payload, weights_only=True)
        state["network"]["blocks.7.conv.weight"][0, 0, 0, 0] = float("nan")
        context = MemoryContext(train_child.config(), tmp_path / "nan")
        context.checkpoints.save(9, state, ())
        payload.unlink()
        other = context.folder / "checkpoints"
    context = MemoryContext(train_child.config(), tmp_path / "last", earlier=(folder, other))
    with pytest.warns(UserWarning, match="skipped checkpoint"):
        result = train_child.final(context)
    same(result, undisturbed)


def test_what_is_wrong_with_a_state_is_said(tmp_path: Path) -> None:
    (folder,) = interrupted(tmp_path, [3])
    state = torch.load(folder / "step-00000003.pt", weights_only=True)
    assert invalid(state) is None
    assert invalid({**state, "format": 2}) == "its state has format 2, this orch reads 1"
    state["momenta"][4][0] = float("inf")
    assert invalid(state) == "'momentum 4' holds values that are not finite"


def test_checkpoints_are_kept_at_epoch_ends_and_pruned(tmp_path: Path) -> None:
    context = MemoryContext(train_child.config(), tmp_path, every=0)
    train_child.final(context)
    names = sorted(path.name for path in (tmp_path / "checkpoints").glob("*.pt"))
    assert names == ["step-00000016.pt", "step-00000020.pt"]  # the last epoch needs none: its result follows


@pytest.mark.timeout(240)
def test_killed_at_random_points(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """kill -9 of a real process, five times at random moments after its first step; then one that may finish."""
    root = Path(__file__).parents[3]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    seed = random.SystemRandom().randrange(1 << 30)
    print("seed of the kills:", seed)
    draw = random.Random(seed)
    executions: list[Path] = []
    kills = 0
    while not (tmp_path / "final.pt").exists():
        executions.append(tmp_path / f"e{len(executions)}")
        assert len(executions) < 20, "it never finished"
        command = [sys.executable, "-m", "tests.helpers.train_child", tmp_path, *reversed(executions)]
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, env=environment, cwd=root) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            if kills < 5:
                time.sleep(draw.uniform(0, 0.4))
                if child.poll() is None:
                    child.send_signal(signal.SIGKILL)
                    kills += 1
            child.wait(60)
    assert kills >= 1
    same(torch.load(tmp_path / "final.pt", weights_only=True), undisturbed)
