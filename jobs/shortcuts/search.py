"""The differentiable search of shortcuts: α on one half of the train set, w on the other, by turns.

A search is a training of the supernet (jobs/training/loop.py) whose every step begins with a step of α. Everything that
changes, α's whole history included, is in the checkpoint, so a resumed search is the same bit by bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from torch import Tensor
from torch.nn import functional

from jobs import architectures
from jobs.node import device as devices
from jobs.node.context import Context
from jobs.records import Architecture
from jobs.seeds import derive
from jobs.shortcuts import bilevel, collapse, curvature, discretise, pretrained
from jobs.shortcuts.supernet import Gated, Supernet, frozen_statistics
from jobs.training.data import Batches, Evaluator, ImageData, Split, load
from jobs.training.loop import Diverged, Trainer, resume
from jobs.training.step import Step
from jobs.words import Precision

if TYPE_CHECKING:
    from jobs.kinds.search import SearchConfig

BETAS = (0.5, 0.999)
"""Of Adam for α, as in DARTS (arXiv 1806.09055, appendix A.1)."""


class SearchStep(Step):
    """One step of α on a validation batch, then one step of w on a training batch."""

    network: Gated

    def __init__(
        self,
        network: Gated,
        batches: Batches,
        validation: Batches,
        config: SearchConfig,
        precision: Precision,
        *,
        graph: bool | None = None,
    ) -> None:
        super().__init__(network, batches, config, precision, graph=graph)
        self.config = config
        self.validation = validation
        self.alpha = network.alpha
        self.alpha_optimizer = torch.optim.Adam(
            [self.alpha],
            lr=config.alpha_lr,
            betas=BETAS,
            weight_decay=config.alpha_weight_decay,
            fused=True,
            capturable=self.graphed,
        )
        # as for the momentum of w: zeros from the start, in a place of their own
        self.alpha_moments: dict[str, Tensor] = self.alpha_optimizer.state[self.alpha]
        """Adam's `step`, `exp_avg` and `exp_avg_sq` of α."""
        self.alpha_moments.update(
            step=torch.zeros((), dtype=torch.float32, device=self.device),
            exp_avg=torch.zeros_like(self.alpha),
            exp_avg_sq=torch.zeros_like(self.alpha),
        )

    def changed(self) -> list[Tensor]:
        return [*super().changed(), *self.alpha_moments.values(), self.validation.cursor]

    def rewind(self) -> None:
        super().rewind()
        self.validation.seek(0)

    def eager(self, size: int) -> None:
        """Both halves of the step. The validation half is at least as large, so it has a batch of every size."""
        taken = self.batches.cursor.clone()
        training = self.batches.take(size)
        self.batches.cursor.copy_(taken)  # the step of w takes the same batch: the virtual step is the one it will do
        self.alpha.grad = self._gradient(training, self.validation.take(size))
        self.alpha_optimizer.step()
        self.alpha_optimizer.zero_grad(set_to_none=True)
        self.alpha.requires_grad_(False)
        try:
            super().eager(size)
        finally:
            self.alpha.requires_grad_(True)

    def _gradient(self, training: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor]) -> Tensor:
        """∇_α by the config's order."""
        config = self.config

        # what bf16 rounds away is larger than what the second order adds (docs/study.md)
        precision: Precision = self.precision if config.order == "first" else "fp32"

        def loss_on(batch: tuple[Tensor, Tensor]) -> Tensor:
            with devices.autocast(self.device, precision):
                logits = self.network(batch[0])
            return functional.cross_entropy(logits.float(), batch[1])

        def judged() -> Tensor:
            loss = loss_on(validation)
            if config.zero_one:
                loss = loss + config.zero_one * bilevel.zero_one_loss(self.alpha, config.method)
            return loss

        with frozen_statistics(self.network):
            if config.order == "first":
                return bilevel.first_order(judged, self.alpha)
            return bilevel.second_order(
                lambda: loss_on(training),
                judged,
                self.alpha,
                self.parameters(),
                self.lr,
                self.momenta(),
                config.momentum,
                config.weight_decay,
                product=bilevel.PRODUCTS[config.hessian],
            )


def halves(train: Split, seed: int) -> tuple[Split, Split]:
    """A train set in two halves at random, by the seed; of an odd number the second has one more."""
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(derive(seed, "split")))
    first, second = order.to(train.images.device).tensor_split([len(train) // 2])
    return train.at(first), train.at(second)


class Searcher(Trainer):
    """Trains a supernet and its α on the two halves of a train set, split by the seed."""

    step: SearchStep

    def __init__(
        self,
        network: Gated,
        data: ImageData,
        config: SearchConfig,
        seed: int,
        precision: Precision,
        folder: Path,
        *,
        graph: bool | None = None,
    ) -> None:
        train, second = halves(data.train[: config.train_images or None], seed)
        recipe = msgspec.structs.replace(config, train_images=0)
        super().__init__(network, ImageData(data.dataset, train, data.test), recipe, seed, precision, graph=False)
        network.alpha.requires_grad_(True)
        self.config = config
        self.gated = network
        self.folder = folder
        self.alpha_generator = torch.Generator(self.device).manual_seed(derive(seed, "alpha batches"))
        self.validation = Batches(second, data.dataset, config.batch_size, self.alpha_generator)
        self.validator = Evaluator(self.validation.split, data.dataset)
        self.step = SearchStep(network, self.batches, self.validation, config, precision, graph=graph)
        self.alphas: list[Tensor] = [torch.zeros(architectures.BLOCKS, architectures.BLOCKS)]
        """α (float32 16×16, on the CPU) after each finished epoch; the first is the start."""
        self.eigenvalues: list[float] = []
        """The looks at the curvature so far."""
        self._alpha_epoch_start = self.alpha_generator.get_state()
        self.keep_alphas()

    def state(self) -> dict[str, Any]:
        return {
            **super().state(),
            "alphas": torch.stack(self.alphas),
            "alpha_optimizer": self.step.alpha_optimizer.state_dict(),
            "alpha_epoch_start": self._alpha_epoch_start,
            "eigenvalues": list(self.eigenvalues),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        super().load(state)
        self.alphas = list(state["alphas"].unbind())
        self.eigenvalues = list(state.get("eigenvalues", ()))  # none in checkpoints of an older orch
        for name, saved in state["alpha_optimizer"]["state"][0].items():
            self.step.alpha_moments[name].copy_(saved)
        self._alpha_epoch_start = state["alpha_epoch_start"]
        self.alpha_generator.set_state(self._alpha_epoch_start)
        self.keep_alphas()

    def readout(self, epoch: int) -> Architecture:
        """The architecture that α stood for after `epoch` epochs, at the config's τ."""
        return discretise.discretise(self.alphas[epoch].tolist(), self.config.method, self.config.tau)

    def _begin_epoch(self) -> int:
        first = super()._begin_epoch()
        self._alpha_epoch_start = self.alpha_generator.get_state()
        self.validation.shuffle()
        self.validation.seek(first)
        return first

    def _end_epoch(self, began: float, trained: int) -> dict[str, float]:
        alpha = self.gated.alpha.detach().cpu().clone()
        if not bool(torch.isfinite(alpha).all()):
            raise Diverged(
                f"alpha became NaN in epoch {self.epoch + 1} of the search: lower alpha_lr "
                f"({self.config.alpha_lr:g}) or lr ({self.config.lr:g})"
            )
        values = super()._end_epoch(began, trained)
        with devices.autocast(self.device, self.precision):
            right = int(self.validator.correct(self.gated))
        self.alphas.append(alpha)
        rows = alpha.tolist()
        discretise.keep_alpha(self.folder, self.epoch, rows, self.config.method)
        self._alpha_epoch_start = self.alpha_generator.get_state()
        found = self.readout(self.epoch)
        return {
            **values,
            "val_accuracy": 100.0 * right / len(self.validator.split),
            "gate_sum": discretise.gate_sum(rows, self.config.method),
            "entropy": discretise.entropy(rows, self.config.method),
            "shortcuts": float(len(found.edges)),
            **{name: value for name, value in self._watched(found).items() if value is not None},
        }

    def _watched(self, found: Architecture) -> dict[str, float | None]:
        """What tells of a collapse; None is not known at this epoch. Draws nothing and changes nothing."""
        last = self.epoch == self.config.epochs
        every = self.config.eigenvalue_every
        eigenvalue = self._eigenvalue() if every and (last or self.epoch % every == 0) else None
        if eigenvalue is not None:
            self.eigenvalues.append(eigenvalue)
        return {
            "target_share": discretise.target_share(found.edges),
            "discretised_accuracy": self._discretised(found) if last or self.epoch in self.config.readouts else None,
            "alpha_eigenvalue": eigenvalue,
            "eigenvalue_ratio": None if eigenvalue is None else collapse.ratio(self.eigenvalues),
        }

    def _discretised(self, found: Architecture) -> float:
        """Accuracy on the validation half of the supernet with the read-out's gates at 1 and all others at 0, its
        weights and BN statistics as they are: before any retraining, as in RobustDARTS (arXiv 1909.09656)."""
        with torch.random.fork_rng(devices=[]):  # a new net draws weights before it takes over ours
            network = self.gated.supernet.discretised(found.edges)
        network = network.to(memory_format=torch.channels_last)
        with devices.autocast(self.device, self.precision):
            right = int(self.validator.correct(network))
        return 100.0 * right / len(self.validator.split)

    def _eigenvalue(self) -> float | None:
        """Of the loss that α is trained on, in fp32 and on the same images each time."""
        images, labels = self.validator.part(curvature.IMAGES)
        training = self.gated.training
        self.gated.train()
        try:
            with frozen_statistics(self.gated):
                return curvature.largest_eigenvalue(
                    lambda: functional.cross_entropy(self.gated(images), labels), self.gated.alpha, self.config.method
                )
        finally:
            self.gated.train(training)

    def keep_alphas(self) -> None:
        """Write the whole history of α to the execution's own file."""
        rows = [alpha.tolist() for alpha in self.alphas]
        discretise.write_alphas(self.folder, rows, self.config.method)


def run(context: Context) -> dict[str, float | None]:
    """Search from the seed or from the newest valid checkpoint, and read the architectures out.

    Raises BadInput or DataError for weights that do not fit, Diverged where α or the loss is no longer finite.
    """
    config: SearchConfig = context.config
    chosen, precision = devices.prepare(context.device, context.threads, config.precision)
    context.keep_versions(*devices.versions(chosen))
    if precision != config.precision:
        context.keep_flag("precision", f"{precision} on the CPU")
    images = load(config.dataset, context.data_dir, chosen)
    network = Gated(Supernet(config.width), config.method)
    searcher = Searcher(network, images, config, context.seed, precision, context.folder)
    if not resume(context, searcher) and config.pretrained:
        pretrained.into(network.supernet, pretrained.features(config.weights, context.cwd))
    trained = searcher.run(context)
    searcher.keep_alphas()  # durable before the outcome is
    for epoch in config.readouts:
        context.keep_architecture(searcher.readout(epoch), epoch=epoch)
    last = searcher.readout(config.epochs)
    context.keep_architecture(last)
    return {
        **trained.values,
        "target_share": discretise.target_share(last.edges),
        "params": float(architectures.parameters(last.edges, config.width)),
        "shortcuts": float(len(last.edges)),
        "extra_params": float(architectures.extra_parameters(last.edges, config.width)),
        "mean_span": architectures.mean_span(last.edges),
        "long_share": architectures.long_share(last.edges),
        "epochs": float(config.epochs),
        "wall_seconds": trained.wall_seconds,
    }
