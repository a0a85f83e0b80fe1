"""One training step on the device (batch, forward, backward, update, count): eager, or replayed as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.data import Batches
from jobs.device import autocast
from jobs.recipe import Precision, Recipe

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
        self._graphed = self.device.type == "cuda" if graph is None else graph
        self._run: dict[int, Callable[[], None]] = {}

    def parameters(self) -> list[nn.Parameter]:
        """The trained parameters in the optimiser's order."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def momenta(self) -> list[Tensor]:
        """The momentum buffers in the same order."""
        return [self.optimizer.state[parameter]["momentum_buffer"] for parameter in self.parameters()]

    def __call__(self, size: int) -> None:
        """Train on the next `size` images."""
        if not self._graphed:
            self.eager(size)
            return
        if not self._run:
            self._capture()
        self._run[size]()

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

    def _capture(self) -> None:
        """Record one graph for each batch size; net, momentum, sums and cursor are as before afterwards."""
        changed = [*self.network.state_dict().values(), *self.momenta(), self.sums, self.batches.cursor]
        kept = [tensor.clone() for tensor in changed]
        side = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side):
            for size in set(self.batches.sizes):
                for _ in range(_WARM_UP):
                    self.batches.seek(0)
                    self.eager(size)
        torch.cuda.current_stream(self.device).wait_stream(side)
        pool = torch.cuda.graph_pool_handle()
        for size in sorted(set(self.batches.sizes), reverse=True):
            graph = torch.cuda.CUDAGraph()
            self.optimizer.zero_grad(set_to_none=True)  # gradients then live in the graph's own memory
            with torch.cuda.graph(graph, pool=pool):
                self.eager(size)
            self._run[size] = graph.replay
        with torch.no_grad():
            for tensor, before in zip(changed, kept, strict=True):
                tensor.copy_(before)
