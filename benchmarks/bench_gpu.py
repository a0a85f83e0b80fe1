"""The trainer on a GPU: `python -m benchmarks.bench_gpu` (≤ 8 minutes), `benchmarks/out/gpu.json` and a table.

`--device cpu` runs the same code on a few small images, to see that it works; its figures mean nothing.
Extrapolated figures (a 150-epoch run, seeds per hour) say so in their name; the rest is measured in this run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
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
from jobs.errors import DataError
from jobs.kind import kind_named
from jobs.node import device
from jobs.training import data, datasets
from jobs.training.loop import Trainer
from jobs.training.recipe import Recipe
from jobs.words import Precision

EPOCH, TEST, EPOCHS = 50_000, 10_000, 150
GFLOP_PER_STEP = 152.7
"""Of VGG19 at batch 64, forward and backward, without shortcuts (docs/benchmarks.md)."""
PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0}
"""Dense bf16 of the SXM modules, from NVIDIA's data sheets."""


@dataclass(frozen=True)
class Size:
    """How much each part does."""

    device: torch.device
    images: int
    width: float
    epochs: int
    packs: tuple[int, ...]
    seeds: int
    workers: int


def full_size(workers: int) -> Size:
    return Size(torch.device("cuda"), EPOCH, 1.0, 3, (1, 2, 4, 8), 3, workers)


def small_size() -> Size:
    return Size(torch.device("cpu"), 256, 0.03, 2, (1, 2), 2, 0)


def rate_of(trainer: Trainer, epochs: int) -> float:
    """Training images per second over some epochs; a graph is captured before the first one where it is not yet."""
    trainer._begin_epoch()
    trainer.step(trainer.batches.sizes[0])
    device.synchronise(trainer.device)
    began = time.perf_counter()
    for _ in range(epochs):
        trainer._begin_epoch()
        for size in trainer.batches.sizes:
            trainer.step(size)
    device.synchronise(trainer.device)
    return epochs * sum(trainer.batches.sizes) / (time.perf_counter() - began)


def per_run(rate: float, evaluation: float) -> dict[str, float]:
    """What a rate means for a run of 150 epochs with an evaluation after each."""
    seconds = EPOCHS * (EPOCH / rate + evaluation)
    return {"minutes_per_seed_extrapolated": seconds / 60, "seeds_per_gpu_hour_extrapolated": 3600 / seconds}


def alone(size: Size) -> dict[str, Any]:
    """The trainer by precision, eager and as a graph; the time to capture and to evaluate 10,000 images."""
    loaded, _ = noise(size.images, size.device, test=min(TEST, size.images))
    found: dict[str, Any] = {}
    precisions: tuple[Precision, ...] = ("fp32", "tf32", "bf16")
    for precision in precisions:
        device.prepare(size.device.type, 1, precision)
        for graph in (False, True) if size.device.type == "cuda" else (False,):
            trainer, _ = ours(loaded, recipe(width=size.width), 0, precision, graph=graph)
            began = time.perf_counter()
            trainer._begin_epoch()
            trainer.step(64)
            device.synchronise(size.device)
            first = time.perf_counter() - began
            rate = rate_of(trainer, size.epochs if graph else 1)
            trainer.evaluator.correct(trainer.network)
            device.synchronise(size.device)
            began = time.perf_counter()
            with device.autocast(size.device, precision):
                trainer.evaluator.correct(trainer.network)
            device.synchronise(size.device)
            evaluation = time.perf_counter() - began
            found[f"{precision} {'graph' if graph else 'eager'}"] = {
                "images_per_second": rate,
                "first_step_s": first,
                "evaluation_s": evaluation,
                "share_of_peak_percent": share_of_peak(rate, precision),
                **per_run(rate, evaluation),
            }
            del trainer
            if size.device.type == "cuda":
                torch.cuda.empty_cache()
    return found


def share_of_peak(rate: float, precision: Precision) -> float | None:
    """Percent of the GPU's dense bf16 peak that VGG19's own operations reach; None for an unknown GPU or precision."""
    if precision != "bf16" or not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    peak = next((value for key, value in PEAK_TFLOPS.items() if key in name), None)
    return None if peak is None else 100 * rate / 64 * GFLOP_PER_STEP / 1000 / peak


def reference(size: Size) -> dict[str, Any]:
    """The researcher's loop, with torch's defaults (fp32, convolutions in TF32 where torch's default says so)."""
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("highest")
    images = max(64, size.images // 4)
    loaded, arrays = noise(images, size.device)
    feed, _ = reference_loop.loaders(
        loaded.dataset, arrays, as_arrays(loaded.test), workers=size.workers, pin=size.device.type == "cuda"
    )
    rows = list(reference_loop.epochs(reference_network(0, size.width), feed, None, size.device, 3))
    rate = max(row["images_per_second"] for row in rows[1:])
    return {"images_per_second": rate, "dataloader_workers": size.workers, **per_run(rate, 0.0)}


def _member(barrier: Barrier, results: Any, size: Size, seed: int) -> None:
    """One of K processes; where one fails (out of memory), none waits for it."""
    try:
        precision: Precision = "bf16" if size.device.type == "cuda" else "fp32"
        device.prepare(size.device.type, 1, precision)
        loaded, _ = noise(size.images, size.device)
        trainer, _ = ours(loaded, recipe(width=size.width), seed, precision)
        rate_of(trainer, 1)
        barrier.wait(300)
        rate = rate_of(trainer, size.epochs)
        peak = torch.cuda.max_memory_reserved() / 2**20 if size.device.type == "cuda" else 0.0
        results.put({"rate": rate, "reserved_mb": peak})
    except Exception as error:
        barrier.abort()
        results.put({"failed": f"{type(error).__name__}: {error}"})


def packed(size: Size, evaluation: float) -> dict[str, Any]:
    """K processes on one device at once: the sum of their rates, and the memory that torch reserves in each."""
    spawn = multiprocessing.get_context("spawn")
    found: dict[str, Any] = {}
    for count in size.packs:
        barrier, results = spawn.Barrier(count), spawn.Queue()
        members = [spawn.Process(target=_member, args=(barrier, results, size, seed)) for seed in range(count)]
        for member in members:
            member.start()
        rows = [results.get(timeout=300) for _ in members]
        for member in members:
            member.join()
        failed = [row["failed"] for row in rows if "failed" in row]
        if failed:
            print(f"{count} processes at once failed: {failed}", file=sys.stderr)
            break
        total = sum(row["rate"] for row in rows)
        found[f"{count} at once"] = {
            "images_per_second": total,
            "reserved_mb_each": max(row["reserved_mb"] for row in rows),
            **per_run(total, evaluation / count),
        }
    return found


def equality(size: Size) -> dict[str, Any]:
    """Mean loss of 100 deterministic fp32 steps, graphed and eager."""
    device.prepare(size.device.type, 1, "fp32")
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    loaded, _ = noise(6400, size.device)
    losses = {}
    for name, graph in (("eager", False), ("graph", True)):
        trainer, _ = ours(loaded, recipe(width=0.125), 0, "fp32", graph=graph and size.device.type == "cuda")
        rate_of(trainer, 1)
        losses[name] = float(trainer.step.sums[0]) / 6400
    torch.backends.cudnn.deterministic = False
    return {**losses, "difference": abs(losses["graph"] - losses["eager"])}


def search_epoch(size: Size, rate: float) -> dict[str, Any]:
    """Seconds of a first-order search epoch (the supernet on half of the images) against a graphed training epoch."""
    from jobs.shortcuts.search import Searcher
    from jobs.shortcuts.supernet import Gated, Supernet

    precision: Precision = "bf16" if size.device.type == "cuda" else "fp32"
    device.prepare(size.device.type, 1, precision)
    loaded, _ = noise(size.images, size.device)
    config: Any = kind_named("search").configure({"method": "A", "width": str(size.width)})
    found = {}
    for graph in (False, True) if size.device.type == "cuda" else (False,):
        with tempfile.TemporaryDirectory() as folder:
            searcher = Searcher(
                Gated(Supernet(size.width), "A"), loaded, config, 0, precision, Path(folder), graph=graph
            )
            seconds = size.images / 2 / rate_of(searcher, 1)
        name = "graph" if graph else "eager"
        found[name] = {
            "search_epoch_s": seconds,
            "ratio": seconds * rate / size.images,
            "ungraphed": searcher.step.ungraphed,
        }
    return {"training_epoch_s": size.images / rate, **found}


def accuracy(size: Size) -> dict[str, Any]:
    """Test accuracy at equal epochs: CIFAR-10, else Fashion-MNIST, else digits, whichever is at hand."""
    name, config = "digits", recipe(dataset="digits", width=size.width, epochs=10)
    for candidate in ("cifar10", "fashion-mnist"):
        try:
            datasets.ensure(candidate, download=False)
        except DataError:
            continue
        name, config = candidate, recipe(dataset=candidate, width=size.width, epochs=3, train_images=25_000)
        break
    if size.device.type == "cpu":
        name, config = "digits", recipe(dataset="digits", width=size.width, epochs=1, train_images=320)
    device.prepare(size.device.type, 1, "fp32")
    seeds = range(size.seeds if name != "digits" else size.seeds + 2)
    found = accuracies(name, config, seeds, size.device, size.workers)
    return {
        "dataset": name,
        "epochs": config.epochs,
        "train_images": config.train_images or "all",
        **found,
        "fp32_minus_reference": paired(found["fp32"], found["reference"]),
        "bf16_minus_fp32": paired(found["bf16"], found["fp32"]),
    }


def start_up(size: Size) -> dict[str, float]:
    """Seconds from the start of a process to its first finished step on digits: unprepared, then prepared."""
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        for name in ("unprepared", "prepared"):
            began = time.time()
            command = [sys.executable, "-m", "benchmarks.bench_gpu", "--first-step", "--device", size.device.type]
            done = subprocess.run(
                command, env={**os.environ, "XDG_CACHE_HOME": cache}, capture_output=True, text=True, check=True
            )
            found[f"{name}_s"] = float(done.stdout.split()[-1]) - began
    return found


def first_step(kind: str) -> None:
    """Do one step and print the time of day."""
    chosen, precision = device.prepare(kind, 1, "bf16")
    config: Recipe = recipe(dataset="digits", width=0.125 if kind == "cpu" else 1.0)
    trainer, _ = ours(data.load("digits", device=chosen), config, 0, precision)
    trainer._begin_epoch()
    trainer.step(64)
    device.synchronise(chosen)
    print(time.time())


def full_run() -> dict[str, float]:
    """A whole run of the report's setting (150 epochs, an evaluation after each) on random images, alone."""
    device.prepare("cuda", 1, "bf16")
    loaded, _ = noise(EPOCH, torch.device("cuda"), test=TEST)
    trainer, context = ours(loaded, recipe(), 0, "bf16")
    trained = trainer.run(context)  # type: ignore[arg-type]
    return {"minutes": trained.wall_seconds / 60}


def table(result: dict[str, Any]) -> str:
    """The rates as a Markdown table."""
    rows = {"reference loop": result["reference"], **result["alone"], **result["packed"]}
    lines = [
        "| | images/s | minutes per seed (extrapolated) | seeds per GPU-hour (extrapolated) |",
        "|---|---|---|---|",
    ]
    for name, row in rows.items():
        numbers = (
            f"{row['images_per_second']:,.0f}",
            f"{row['minutes_per_seed_extrapolated']:.2f}",
            f"{row['seeds_per_gpu_hour_extrapolated']:.1f}",
        )
        lines.append(f"| {name} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--full", action="store_true", help="also train all 150 epochs once (some minutes)")
    parser.add_argument("--first-step", action="store_true", help="internal: do one step and print when it was done")
    given = parser.parse_args()
    if given.first_step:
        first_step(given.device)
        return
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("bench-gpu needs a GPU that torch sees; nothing was measured (--device cpu only tries the code)")
    size = small_size() if given.device == "cpu" else full_size(min(8, max(1, (os.cpu_count() or 2) - 1)))
    chosen, _ = device.prepare(given.device, 1, "fp32")
    versions, name = device.versions(chosen)
    began = time.perf_counter()
    result: dict[str, Any] = {"command": "python -m benchmarks.bench_gpu", "device": name, "versions": versions}
    result["alone"] = alone(size)
    best = result["alone"]["bf16 graph" if given.device == "cuda" else "bf16 eager"]
    result["reference"] = reference(size)
    result["packed"] = packed(size, best["evaluation_s"])
    result["graph_against_eager"] = equality(size)
    result["search_epoch"] = search_epoch(size, best["images_per_second"])
    result["start_up"] = start_up(size)
    result["accuracy"] = accuracy(size)
    if given.full and given.device == "cuda":
        result["full_run"] = full_run()
    densest = max(row["images_per_second"] for row in result["packed"].values())
    result["speedup"] = densest / result["reference"]["images_per_second"]
    result["speedup_is"] = "seeds per GPU-hour, best packing in bf16 over one reference loop, training only"
    result["seconds"] = time.perf_counter() - began
    path = write("gpu" if given.device == "cuda" else "gpu-tried-on-cpu", result)
    path.with_suffix(".md").write_text(f"{name}\n\n{table(result)}\n")
    print(json.dumps(result, indent=2))
    print(table(result))
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
