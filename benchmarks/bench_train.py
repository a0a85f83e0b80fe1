"""What a CPU can show of the trainer: `python -m benchmarks.bench_train` (4 minutes) writes benchmarks/out/train.json.

Every ratio is of both loops in this run, taking turns, on one core each (one thread, no DataLoader workers).
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import reference_loop
from benchmarks.training_cases import (
    accuracies,
    as_arrays,
    noise,
    ours,
    paired,
    recipe,
    reference_network,
    write,
)
from jobs.training import data
from jobs.training.datasets import named

CPU = torch.device("cpu")


def throughput(width: float, images: int, rounds: int) -> dict[str, float]:
    """Training images per second of both loops, the median of alternating rounds after one round to warm up."""
    loaded, arrays = noise(images, CPU)
    config = recipe(width=width, epochs=rounds + 1, precision="fp32")
    trainer, _ = ours(loaded, config, 0, "fp32")
    feed, _ = reference_loop.loaders(loaded.dataset, arrays, as_arrays(loaded.test), workers=0)
    plain = reference_loop.epochs(reference_network(0, width), feed, None, CPU, rounds + 1)
    rates: dict[str, list[float]] = {"reference": [], "orch": []}
    for _ in range(rounds + 1):
        rates["reference"].append(next(plain)["images_per_second"])
        began = time.perf_counter()
        trainer._begin_epoch()
        for size in trainer.batches.sizes:
            trainer.step(size)
        rates["orch"].append(images / (time.perf_counter() - began))
    medians = {name: statistics.median(values[1:]) for name, values in rates.items()}
    return {**medians, "speedup": medians["orch"] / medians["reference"]}


def augmentation(count: int = 2048) -> dict[str, float]:
    """Microseconds an image for crop, flip and normalisation: PIL transforms one by one, and batches of 64."""
    loaded, (images, labels) = noise(count, CPU)
    source = reference_loop.PilImages(images, labels, reference_loop.transform(named("cifar10"), train=True))
    began = time.perf_counter()
    for index in range(count):
        source[index]
    plain = (time.perf_counter() - began) / count
    batches = data.Batches(loaded.train, loaded.dataset, 64, torch.Generator())
    began = time.perf_counter()
    batches.shuffle()
    for size in batches.sizes:
        batches.take(size)
    batched = (time.perf_counter() - began) / count
    return {"reference_us": 1e6 * plain, "orch_us": 1e6 * batched, "speedup": plain / batched}


def start_up() -> dict[str, float]:
    """Seconds from the start of a process to its first finished step: data not prepared yet, and prepared."""
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        for name in ("unprepared", "prepared"):
            began = time.time()
            result = _child(["--seed", "0"], cache)
            found[f"{name}_s"] = result["first_step_at"] - began
    return found


def side_by_side() -> dict[str, Any]:
    """Two seeds in two processes at once against each alone: equal to the last bit, and what the pair takes."""
    with tempfile.TemporaryDirectory() as cache:
        began = time.perf_counter()
        alone = [_child(["--seed", str(seed)], cache) for seed in (0, 1)]
        one_by_one = time.perf_counter() - began
        began = time.perf_counter()
        children = [_start(["--seed", str(seed)], cache) for seed in (0, 1)]
        together = [json.loads(child.communicate()[0]) for child in children]
        at_once = time.perf_counter() - began
    equal = all(a["values"] == b["values"] for a, b in zip(alone, together, strict=True))
    if not equal:
        raise AssertionError(f"seeds trained side by side differ from seeds trained alone: {alone} {together}")
    return {"bit_identical": equal, "one_by_one_s": one_by_one, "at_once_s": at_once}


def _start(arguments: list[str], cache: str) -> subprocess.Popen[str]:
    import os

    environment = {**os.environ, "XDG_CACHE_HOME": cache, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.bench_train", *arguments]
    root = Path(__file__).parents[1]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=root)


def _child(arguments: list[str], cache: str) -> dict[str, Any]:
    with _start(arguments, cache) as child:
        printed = child.communicate()[0]
    if child.returncode:
        raise RuntimeError(f"a training process ended with {child.returncode}")
    found: dict[str, Any] = json.loads(printed)
    return found


def one_seed(seed: int) -> None:
    """A small training on digits; prints its last values and when its first step was done."""
    torch.set_num_threads(1)
    config = recipe(dataset="digits", width=0.125, epochs=1, train_images=640)
    trainer, context = ours(data.load("digits"), config, seed, "fp32")
    trained = trainer.run(context)  # type: ignore[arg-type]
    at = time.time() - (time.perf_counter() - context.first_step)
    values = {name: value for name, value in trained.values.items() if name != "images_per_second"}
    print(json.dumps({"values": values, "first_step_at": at}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="internal: train this seed and print its numbers")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of the accuracy comparison")
    given = parser.parse_args()
    if given.seed is not None:
        one_seed(given.seed)
        return
    torch.set_num_threads(1)
    narrow = throughput(0.125, images=1024, rounds=5)
    digits = recipe(dataset="digits", width=0.125, epochs=3)
    accuracy = accuracies("digits", digits, range(given.seeds), CPU, workers=0)
    result = {
        "command": "python -m benchmarks.bench_train",
        "device": f"{platform.machine()} CPU, 1 thread",
        "torch": str(torch.__version__),
        "speedup": narrow["speedup"],
        "speedup_is": "training images/s over the reference loop at width 1/8, batch 64, fp32, one core",
        "throughput_width_0.125": narrow,
        "throughput_width_1": throughput(1.0, images=128, rounds=3),
        "augmentation": augmentation(),
        "accuracy_digits_3_epochs": {
            **accuracy,
            "fp32_minus_reference": paired(accuracy["fp32"], accuracy["reference"]),
            "bf16_minus_fp32": paired(accuracy["bf16"], accuracy["fp32"]),
        },
        "start_up": start_up(),
        "side_by_side": side_by_side(),
        "not_measured_here": "everything of a GPU: make bench-gpu",
    }
    path = write("train", result)
    print(json.dumps(result, indent=2))
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
