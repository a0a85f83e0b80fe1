"""`make bench-second-order`: which second-order gradient of α is right, and what it costs, on the real supernet.

After some steps of a real search, the gradient of one step is taken in each way and compared with the exact gradient
of the unrolled step in float64. Writes benchmarks/out/second_order.json. Takes some minutes on two cores.
"""

from __future__ import annotations

import copy
import json
import statistics
import time
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from torch.nn import functional

from jobs.kind import kind_named
from jobs.node import device as devices
from jobs.shortcuts import bilevel
from jobs.shortcuts.search import Searcher
from jobs.shortcuts.supernet import Gated, Supernet, frozen_statistics
from jobs.training.data import load
from jobs.words import Precision

OUT = Path(__file__).parent / "out"


def gradient(
    net: Gated, batches: list[tuple[Tensor, Tensor]], step: Any, precision: Precision, product: bilevel.Product
) -> tuple[Tensor, Tensor]:
    """(first order, second order) on these two batches, in the net's own precision under autocast; float64, 16×16."""
    config = step.config
    weights = list(net.parameters())
    dtype = weights[0].dtype

    def loss(number: int) -> Tensor:
        images, labels = batches[number]
        with devices.autocast(images.device, precision):
            logits = net(images.to(dtype))
        return functional.cross_entropy(logits if dtype == torch.float64 else logits.float(), labels)

    buffers = [buffer.to(dtype) for buffer in step.momenta()]
    rate = step.lr.to(dtype)
    with frozen_statistics(net):
        first = bilevel.first_order(lambda: loss(1), net.alpha)
        second = bilevel.second_order(
            lambda: loss(0),
            lambda: loss(1),
            net.alpha,
            weights,
            rate,
            buffers,
            config.momentum,
            config.weight_decay,
            product=product,
        )
    return first.double(), second.double()


def error(found: Tensor, wanted: Tensor) -> float:
    """‖found − wanted‖ / ‖wanted‖."""
    return float((found - wanted).norm() / wanted.norm())


@click.command()
@click.option("--width", default=0.25, show_default=True, help="Of the net; 1 is the report's.")
@click.option("--method", type=click.Choice(["A", "B"]), default="A", show_default=True)
@click.option("--dataset", default="digits", show_default=True)
@click.option("--batch", default=64, show_default=True)
@click.option("--steps", default=30, show_default=True, help="Of the search before each measurement.")
@click.option("--times", default=5, show_default=True, help="Measurements.")
@click.option("--threads", default=2, show_default=True)
def main(width: float, method: str, dataset: str, batch: int, steps: int, times: int, threads: int) -> None:
    """Errors of the gradient of α against float64, and seconds for each, medians over several moments of a search."""
    torch.set_num_threads(threads)
    settings = {"method": method, "dataset": dataset, "width": width, "batch_size": batch, "order": "first"}
    config: Any = kind_named("search").configure(settings, "demo")
    data = load(dataset, None, torch.device("cpu"))
    OUT.mkdir(exist_ok=True)
    searcher = Searcher(Gated(Supernet(width), config.method), data, config, 0, "fp32", OUT)
    searcher._begin_epoch()
    exact, difference = bilevel.exact_product, bilevel.difference_product
    ways: dict[str, tuple[Precision, bilevel.Product]] = {
        "exact, fp32": ("fp32", exact),
        "exact, bf16": ("bf16", exact),
        "difference, fp32": ("fp32", difference),
        "difference, bf16": ("bf16", difference),
    }
    errors: dict[str, list[float]] = {"first order, fp32": [], "first order, bf16": [], **{name: [] for name in ways}}
    seconds: dict[str, list[float]] = {name: [] for name in errors}
    for _ in range(times):
        for _ in range(steps):
            if int(searcher.batches.cursor) + batch > len(searcher.batches.split):
                searcher._begin_epoch()
            searcher.step(batch)
        searcher._begin_epoch()
        batches = [searcher.batches.take(batch), searcher.validation.take(batch)]
        searcher._begin_epoch()
        reference = copy.deepcopy(searcher.gated).double()
        reference.alpha = searcher.gated.alpha.detach().double().requires_grad_()
        _, wanted = gradient(reference, batches, searcher.step, "fp32", exact)
        for name in errors:
            found, took = _one(name, ways, searcher, batches)
            errors[name].append(error(found, wanted))
            seconds[name].append(took)
    rows = [
        {"what": name, "error": statistics.median(errors[name]), "seconds": statistics.median(seconds[name])}
        for name in errors
    ]
    (OUT / "second_order.json").write_text(json.dumps(rows, indent=2) + "\n")
    click.echo(f"method {method}, width {width:g}, batch {batch}, {dataset}, after {steps} to {steps * times} steps")
    for row in rows:
        click.echo(f"{row['what']:<20} error {row['error']:9.2e}   {row['seconds']:6.2f} s")


def _one(
    name: str,
    ways: dict[str, tuple[Precision, bilevel.Product]],
    searcher: Searcher,
    batches: list[tuple[Tensor, Tensor]],
) -> tuple[Tensor, float]:
    """One way's gradient, and how long it took."""
    net, began = searcher.gated, time.perf_counter()
    if name in ways:
        precision, product = ways[name]
        _, found = gradient(net, batches, searcher.step, precision, product)
        return found, time.perf_counter() - began
    precision = "bf16" if name.endswith("bf16") else "fp32"

    def loss() -> Tensor:
        with devices.autocast(batches[1][0].device, precision):
            logits = net(batches[1][0])
        return functional.cross_entropy(logits.float(), batches[1][1])

    with frozen_statistics(net):
        found = bilevel.first_order(loss, net.alpha)
    return found.double(), time.perf_counter() - began


if __name__ == "__main__":
    main()
