"""What the training benchmarks share: images, trainers, a context that keeps nothing, and the two loops to compare."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import reference_loop
from jobs.kind import kind_named
from jobs.seeds import derive
from jobs.shortcuts import space
from jobs.shortcuts.vgg import Network
from jobs.training import data
from jobs.training.data import ImageData, Split
from jobs.training.datasets import Dataset, named
from jobs.training.images import Bytes
from jobs.training.loop import Trainer
from jobs.training.recipe import Recipe
from jobs.words import Precision

OUT = Path(__file__).parent / "out"
SHORTCUTS = 12


class Silent:
    """The part of a job's context that a training without checkpoints asks for."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float | None]] = []
        self.first_step = float("nan")
        self.checkpoints = self

    def ready(self) -> None:
        self.first_step = time.perf_counter()

    def due(self) -> bool:
        return False

    def stop_requested(self) -> bool:
        return False

    def history(self) -> list[Any]:
        return []

    def report(self, epoch: int, epochs: int, values: dict[str, float | None]) -> None:
        self.epochs.append(dict(values))


def recipe(**values: Any) -> Recipe:
    """A config of random-baseline: the preset report with these changes."""
    config = kind_named("random-baseline").configure(values)
    assert isinstance(config, Recipe)
    return config


def noise(count: int, device: torch.device, test: int = 64) -> tuple[ImageData, tuple[Bytes, Bytes]]:
    """Random images in CIFAR-10's shape: a step costs the same whatever they show."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = draw.integers(0, 10, count, dtype=np.uint8)
    split = Split(torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device, torch.int64))
    return ImageData(named("cifar10"), split, split[:test]), (images, labels)


def ours(
    loaded: ImageData, config: Recipe, seed: int, precision: Precision, *, graph: bool | None = None
) -> tuple[Trainer, Silent]:
    """orch's trainer on a random architecture of 12 shortcuts, and the context to run it in."""
    network = Network(space.sample(SHORTCUTS, seed), config.width)
    return Trainer(network, loaded, config, seed, precision, graph=graph), Silent()


def reference_network(seed: int, width: float) -> Network:
    """The same architecture with the same first weights, in torch's default memory format."""
    network = Network(space.sample(SHORTCUTS, seed), width)
    network.initialise(torch.Generator().manual_seed(derive(seed, "weights")))
    return network


def as_arrays(split: Split) -> tuple[Bytes, Bytes]:
    """A split as numpy arrays on the host."""
    return split.images.cpu().numpy(), split.labels.cpu().numpy().astype(np.uint8)


def accuracies(
    dataset: str, config: Recipe, seeds: range, device: torch.device, workers: int
) -> dict[str, list[float]]:
    """Last-epoch test accuracy (%) of the reference loop and of orch in fp32 and bf16, seed by seed."""
    loaded = data.load(dataset, device=device)
    info: Dataset = loaded.dataset
    train = loaded.train[: config.train_images] if config.train_images else loaded.train
    found: dict[str, list[float]] = {"reference": [], "fp32": [], "bf16": []}
    for seed in seeds:
        torch.manual_seed(seed)  # the reference's transforms draw from the global generator
        feeds = reference_loop.loaders(info, as_arrays(train), as_arrays(loaded.test), workers=workers, seed=seed)
        rows = list(reference_loop.epochs(reference_network(seed, config.width), *feeds, device, config.epochs))
        found["reference"].append(rows[-1]["test_accuracy"])
        precisions: tuple[Precision, ...] = ("fp32", "bf16")
        for precision in precisions:
            trainer, context = ours(loaded, config, seed, precision)
            found[precision].append(trainer.run(context).values["test_accuracy"])  # type: ignore[arg-type]
    return found


def paired(one: list[float], other: list[float]) -> dict[str, float]:
    """Mean difference one − other and its 95 % t-interval over the seeds."""
    from scipy import stats

    difference = np.array(one) - np.array(other)
    mean, error = float(difference.mean()), float(stats.sem(difference))
    half = float(stats.t.ppf(0.975, len(difference) - 1) * error)
    return {"mean_difference": mean, "low": mean - half, "high": mean + half, "n": len(difference)}


def write(name: str, result: dict[str, Any]) -> Path:
    """Write `benchmarks/out/<name>.json`."""
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path
