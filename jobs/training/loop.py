"""Training a net by Table 1: epochs of device-only steps, metrics, checkpoints, and resuming bit by bit."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from jobs.errors import OrchError
from jobs.node import device as devices
from jobs.node.context import Context, Interrupted
from jobs.node.device import GpuFault
from jobs.seeds import derive
from jobs.training.data import Batches, Evaluator, ImageData
from jobs.training.net import Net
from jobs.training.recipe import Recipe
from jobs.training.step import Step
from jobs.words import Precision

__all__ = ["Diverged", "GpuFault", "Trained", "Trainer", "train"]

STATE = 1
"""Format of a checkpoint's state."""


class Diverged(OrchError):
    """The training loss is no longer a finite number."""


@dataclass(frozen=True)
class Trained:
    """A finished training: the net and the numbers of its last epoch (never of the best: that would select on test)."""

    network: Net
    values: Mapping[str, float]
    wall_seconds: float
    """Of all epochs that count, over all executions, evaluation included and start-up excluded."""


class Trainer:
    """Trains one net on one data set.

    A job is a function of (config, seed): all that is random comes from `seed`, and on a CPU with a given number of
    threads the result is the same bit by bit, interrupted or not. On a GPU atomics and cuDNN's choice of algorithms
    leave rounding differences.
    """

    def __init__(
        self,
        network: Net,
        data: ImageData,
        recipe: Recipe,
        seed: int,
        precision: Precision,
        *,
        graph: bool | None = None,
        judged: str = "test_accuracy",
    ) -> None:
        self.recipe = recipe
        self.judged = judged
        """What the accuracy on `data.test` is called: an individual is judged on half of the train set."""
        self.device = data.train.images.device
        self.precision: Precision = precision
        network.initialise(torch.Generator().manual_seed(derive(seed, "weights")))
        self.network = network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator = torch.Generator(self.device).manual_seed(derive(seed, "batches"))
        train = data.train[: recipe.train_images] if recipe.train_images else data.train
        self.batches = Batches(train, data.dataset, recipe.batch_size, self.generator)
        self.evaluator = Evaluator(data.test, data.dataset)
        self.step = Step(self.network, self.batches, recipe, precision, graph=graph)
        self.epoch = 0
        """Finished epochs."""
        self.done = 0
        """Finished steps of the epoch that runs."""
        self.seconds = 0.0
        """Wall seconds of what is finished."""
        self._epoch_start = self.generator.get_state()

    @property
    def total_steps(self) -> int:
        """Finished optimiser steps: the order of checkpoints."""
        return self.epoch * len(self.batches.sizes) + self.done

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: weights, BN statistics, momentum, sums, position and every random state."""
        cuda = self.device.type == "cuda"
        return {
            "format": STATE,
            "epoch": self.epoch,
            "done": self.done,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "momenta": self.step.momenta(),
            "sums": self.step.sums,
            "epoch_start": self._epoch_start,
            "torch_random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state(self.device) if cuda else None,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; every tensor is copied into its place."""
        self.epoch, self.done, self.seconds = state["epoch"], state["done"], state["seconds"]
        self.network.load_state_dict(state["network"])
        with torch.no_grad():
            for buffer, saved in zip(self.step.momenta(), state["momenta"], strict=True):
                buffer.copy_(saved)
            self.step.sums.copy_(state["sums"])
        self._epoch_start = state["epoch_start"]
        self.generator.set_state(self._epoch_start)
        torch.set_rng_state(state["torch_random"])
        if state["cuda_random"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_random"], self.device)

    def run(self, context: Context) -> Trained:
        """All epochs that are left. Reports each, saves checkpoints, and stops at a step boundary where asked to.

        Raises Interrupted after saving, Diverged where the loss is not finite, OSError where the disk is full.
        """
        ready = False
        values: Mapping[str, float] = _last(context)
        while self.epoch < self.recipe.epochs:
            began = time.perf_counter()
            already = self.seconds
            first = self._begin_epoch()
            for size in self.batches.sizes[first:]:
                self.step(size)
                self.done += 1
                if not ready:
                    devices.synchronise(self.device)
                    context.ready()
                    ready = True
                    if self.step.ungraphed:
                        context.keep_flag("cuda_graph", f"eager steps, not a CUDA graph: {self.step.ungraphed}")
                if context.stop_requested():
                    devices.synchronise(self.device)
                    self.seconds = already + time.perf_counter() - began
                    self._save(context)
                    raise Interrupted
            values = self._end_epoch(began, sum(self.batches.sizes[first:]))
            self.seconds = already + time.perf_counter() - began
            if not ready:
                context.ready()
                ready = True
            context.report(self.epoch, self.recipe.epochs, values)
            if self.epoch < self.recipe.epochs and context.checkpoints.due():
                self._save(context)
        return Trained(self.network, values, self.seconds)

    def _begin_epoch(self) -> int:
        """Draw the epoch's batches and set its learning rate; returns the first step to do (0-based)."""
        recipe = self.recipe
        self.step.lr.fill_(recipe.lr * recipe.gamma ** (self.epoch // recipe.step_size))
        self._epoch_start = self.generator.get_state()
        self.batches.shuffle()
        self.batches.seek(self.done)
        if self.done == 0:
            self.step.sums.zero_()
        self.network.train()
        return self.done

    def _end_epoch(self, began: float, trained: int) -> dict[str, float]:
        """The epoch's numbers: the one place where the host waits. `trained`: images that this execution did."""
        loss_sum, train_correct = self.step.sums.tolist()
        seconds = time.perf_counter() - began
        count = sum(self.batches.sizes)
        loss = loss_sum / count
        if not math.isfinite(loss):
            raise Diverged(
                f"the training loss became {loss} in epoch {self.epoch + 1}: lower the learning rate "
                f"(lr={self.recipe.lr:g}) or use precision=fp32 (now {self.precision})"
            )
        with devices.autocast(self.device, self.precision):
            right = int(self.evaluator.correct(self.network))
        self.epoch += 1
        self.done = 0
        self._epoch_start = self.generator.get_state()
        values = {
            "train_loss": loss,
            "train_accuracy": 100.0 * train_correct / count,
            self.judged: 100.0 * right / len(self.evaluator.split),
        }
        if trained:
            values["images_per_second"] = trained / seconds
        return values

    def _save(self, context: Context) -> None:
        if self.total_steps > context.checkpoints.newest_step:
            context.checkpoints.save(self.total_steps, self.state(), context.history())


def train(context: Context, network: Net, data: ImageData, recipe: Recipe, seed: int, precision: Precision) -> Trained:
    """Train a net from its seed, or from the newest valid checkpoint of any earlier execution."""
    trainer = Trainer(network, data, recipe, seed, precision)
    resume(context, trainer)
    return trainer.run(context)


def resume(context: Context, trainer: Trainer) -> bool:
    """Put the trainer and the history where the newest valid checkpoint left them; False where there is none."""
    fresh: dict[str, Any] = {}

    def use(state: dict[str, Any]) -> None:
        if not fresh:
            fresh.update(copy.deepcopy(trainer.state()))
        trainer.load(state)

    found = context.checkpoints.load(invalid, use)
    if found is None:
        if fresh:  # one that could not be used may have been used in part
            trainer.load(fresh)
        return False
    context.restore(found[2])
    return True


def invalid(state: Mapping[str, Any]) -> str | None:
    """What is wrong with a checkpoint's state (foreign format, values not finite); None where it is sound."""
    if state.get("format") != STATE:
        return f"its state has format {state.get('format')}, this orch reads {STATE}"
    tensors = [*state["network"].items(), *((f"momentum {k}", t) for k, t in enumerate(state["momenta"]))]
    for name, tensor in [*tensors, ("sums", state["sums"])]:
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return f"'{name}' holds values that are not finite"
    return None


def _last(context: Context) -> dict[str, float]:
    """The numbers of the last epoch in the restored history (needed where a checkpoint holds all epochs)."""
    history = context.history()
    return {name: value for name, value in history[-1].values.items() if value is not None} if history else {}
