"""One training step on the device (batch, forward, backward, update, count): eager, or replayed as a CUDA graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.node.device import autocast
from jobs.training.data import Batches
from jobs.training.recipe import Recipe
from jobs.words import Precision

_WARM_UP = 3
"""Eager steps before a capture: cuDNN chooses its algorithms and allocations settle (torch's notes on CUDA graphs)."""


class Step:
    """The step of SGD with momentum on one net; everything it changes stays at its address.

    `sums` (float64, 2) adds up loss times images and right answers of an epoch; nothing is read back inside an epoch.
    On CUDA the whole step, drawing the batch included, is one graph per batch size: the full one and the short rest.
    """

    def __init__(
        self, network: nn.Module, batches: Batches, recipe: Recipe, precision: Precision, *, graph: bool | None = None
    ) -> None:
        self.network = network
        self.batches = batches
        self.precision = precision
        self.device = batches.device
        self.lr = torch.tensor(recipe.lr, dtype=torch.float32, device=self.device)
        self.sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        self.optimizer = torch.optim.SGD(
            network.parameters(),
            lr=self.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        # zero momentum from the start: the first update is the same (0.9 · 0 + g), and its place is fixed
        for parameter in self.parameters():
            self.optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        self.graphed = self.device.type == "cuda" if graph is None else graph
        """Whether steps are replayed."""
        self._run: dict[int, Callable[[], None]] = {}
        self._pool: Any = None
        self.ungraphed = ""
        """Why steps run one by one although a graph was wanted; empty where none was, or where it runs."""

    def parameters(self) -> list[nn.Parameter]:
        """The trained parameters in the optimiser's order."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def momenta(self) -> list[Tensor]:
        """The momentum buffers in the same order."""
        return [self.optimizer.state[parameter]["momentum_buffer"] for parameter in self.parameters()]

    def __call__(self, size: int) -> None:
        """Train on the next `size` images."""
        if self.graphed and not self._run:
            self._capture()
        if self.graphed:
            self._run[size]()
        else:
            self.eager(size)

    def eager(self, size: int) -> None:
        """The step itself."""
        self.optimizer.zero_grad(set_to_none=True)
        images, labels = self.batches.take(size)
        with autocast(self.device, self.precision):
            logits = self.network(images)
        logits = logits.float()
        loss = functional.cross_entropy(logits, labels)
        torch.autograd.backward(loss)
        self.optimizer.step()
        with torch.no_grad():
            self.sums[0] += loss.detach().double() * size
            self.sums[1] += (logits.argmax(1) == labels).sum()

    def changed(self) -> list[Tensor]:
        """Every tensor that a step changes and a later step reads."""
        return [*self.network.state_dict().values(), *self.momenta(), self.sums, self.batches.cursor]

    def rewind(self) -> None:
        """Go back to the epoch's first batch."""
        self.batches.seek(0)

    def _capture(self) -> None:
        """Record one graph for each batch size; whatever a step changes is as before afterwards.

        Where CUDA refuses, steps run eagerly and `ungraphed` says why. Raises torch.OutOfMemoryError.
        """
        changed = self.changed()
        kept = [tensor.clone() for tensor in changed]
        sizes = sorted(set(self.batches.sizes), reverse=True)
        try:
            with self._aside():
                for size in sizes:
                    for _ in range(_WARM_UP):
                        self.rewind()
                        self.eager(size)
            for size in sizes:
                self.optimizer.zero_grad(set_to_none=True)  # gradients then live in the graph's own memory
                self._run[size] = self._record(size)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # a GPU that is broken fails the eager step too
            self.graphed = False
            self._run.clear()
            self.optimizer.zero_grad(set_to_none=True)
            self.ungraphed = str(error).strip().partition("\n")[0] or type(error).__name__
        with torch.no_grad():
            for tensor, before in zip(changed, kept, strict=True):
                tensor.copy_(before)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """A stream of its own, as a capture needs for its warm-up."""
        if self.device.type != "cuda":
            yield
            return
        usual = torch.cuda.current_stream(self.device)
        side = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        side.wait_stream(usual)
        try:
            with torch.cuda.stream(side), warnings.catch_warnings():
                # Adam's, of a step without a capture: that comes next
                warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
                yield
        finally:
            usual.wait_stream(side)

    def _record(self, size: int) -> Callable[[], None]:
        """The replay of one graph. Raises RuntimeError where CUDA refuses."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            self.eager(size)
        self._pool = graph.pool()
        return graph.replay
