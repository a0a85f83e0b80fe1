"""Runs one execution of a small training in a process of its own, to be killed: OUT EXECUTION [EARLIER ...].

Checkpoints every epoch. Prints 'ready' after the first step; at the end OUT/final.pt holds weights and metrics.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from jobs.kind import kind_named
from jobs.shortcuts import space
from jobs.shortcuts.vgg import Network
from jobs.training import data
from jobs.training.loop import train
from tests.helpers.context import MemoryContext

SEED = 5
CONFIG = {"epochs": 6, "width": 0.03, "train_images": 200, "step_size": 2}


class Announcing(MemoryContext):
    def ready(self) -> None:
        super().ready()
        print("ready", flush=True)


def final(context: MemoryContext) -> dict[str, Any]:
    """Train to the end; weights, BN statistics and all metrics but the rates."""
    torch.set_num_threads(1)
    loaded = data.load(context.config.dataset)
    network = Network(space.sample(9, SEED), context.config.width)
    trained = train(context, network, loaded, context.config, SEED, "fp32")
    return {
        "network": trained.network.state_dict(),
        "lines": [
            (line.epoch, {name: value for name, value in line.values.items() if name != "images_per_second"})
            for line in context.lines
        ],
    }


def config() -> Any:
    return kind_named("random-baseline").configure(CONFIG, "demo")


if __name__ == "__main__":
    out, execution, *earlier = map(Path, sys.argv[1:])
    result = final(Announcing(config(), execution, earlier=[path / "checkpoints" for path in earlier], every=0))
    torch.save(result, out / "part.pt")
    (out / "part.pt").rename(out / "final.pt")
