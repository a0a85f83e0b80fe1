"""Steps on a GPU that is not there: torch's fake tensors carry a device but no values, and refuse to mix devices.

What an operation on another device's tensor, or a look at a value inside a step, would break on a GPU, breaks here. Not
seen are the kernels themselves: backward and the fused update are replaced by checks of what they are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from jobs.kind import kind_named
from jobs.shortcuts import space
from jobs.shortcuts.search import Searcher
from jobs.shortcuts.supernet import Gated, Supernet
from jobs.shortcuts.vgg import Network
from jobs.training import data, datasets
from jobs.training.loop import Trainer

WIDTH = 1 / 8
_Generator, _SGD = torch.Generator, torch.optim.SGD


class HostGenerator(_Generator):
    """A generator of a GPU cannot be made without one."""

    def __new__(cls, device: object = "cpu") -> Any:
        return _Generator.__new__(cls)


class LateRate(_SGD):
    """SGD without its look at the learning rate's value, which a fake tensor has not."""

    def __init__(self, params: Any, lr: Any, **options: Any) -> None:
        super().__init__(params, lr=0.1, **options)
        for group in self.param_groups:
            group["lr"] = lr


def on_gpu(tensors: Sequence[Tensor]) -> bool:
    return all(tensor.device.type == "cuda" for tensor in tensors)


def images(count: int) -> data.Split:
    pixels = torch.zeros(count, 32, 32, 3, dtype=torch.uint8, device="cuda")
    return data.Split(pixels, torch.zeros(count, dtype=torch.int64, device="cuda"))


def trainer() -> Trainer:
    config: Any = kind_named("random-baseline").configure({"width": WIDTH})
    with torch.device("cuda"):
        network = Network(space.sample(12, 0), WIDTH)
    network.to = lambda **_: network  # type: ignore[method-assign, assignment]
    loaded = data.ImageData(datasets.named("cifar10"), images(140), images(20))
    return Trainer(network, loaded, config, 0, "bf16", graph=False)


def searcher(method: str, order: str) -> Searcher:
    zero_one = 0.1 if method == "A" else 0.0
    config: Any = kind_named("search").configure(
        {"width": WIDTH, "method": method, "order": order, "zero_one": zero_one}
    )
    with torch.device("cuda"):
        network = Gated(Supernet(WIDTH), config.method)
    network.supernet.adopt = lambda full: None  # type: ignore[method-assign]
    network.to = lambda **_: network  # type: ignore[method-assign, assignment]
    loaded = data.ImageData(datasets.named("cifar10"), images(280), images(20))
    return Searcher(network, loaded, config, 0, "bf16", Path(), graph=False)


@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.parametrize("what", ["training", "A first", "A second", "B first", "B second"])
def test_a_step_stays_on_the_gpu(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "Generator", HostGenerator)
    monkeypatch.setattr(torch.optim, "SGD", LateRate)
    monkeypatch.setattr(Searcher, "keep_alphas", lambda self: None)
    updated: list[int] = []
    one: Trainer

    def backward(loss: Tensor) -> None:
        assert on_gpu([loss])
        for parameter in one.step.parameters():
            parameter.grad = torch.zeros_like(parameter)

    def grad(
        outputs: Tensor | Sequence[Tensor],
        inputs: Tensor | Sequence[Tensor],
        grad_outputs: Sequence[Tensor] = (),
        create_graph: bool = False,
    ) -> tuple[Tensor, ...]:
        given = [outputs] if isinstance(outputs, Tensor) else outputs
        wanted = [inputs] if isinstance(inputs, Tensor) else inputs
        assert on_gpu([*given, *wanted, *grad_outputs])
        return tuple(torch.zeros_like(tensor) for tensor in wanted)

    def fused(
        parameters: list[Tensor], gradients: list[Tensor], momenta: list[Tensor], *, lr: Tensor, **_: Any
    ) -> None:
        assert on_gpu([*parameters, *gradients, *momenta, lr])
        updated.append(len(parameters))

    monkeypatch.setattr(torch.autograd, "backward", backward)
    monkeypatch.setattr(torch.autograd, "grad", grad)
    monkeypatch.setattr(torch, "_fused_sgd_", fused)
    with FakeTensorMode(allow_non_fake_inputs=False):
        one = trainer() if what == "training" else searcher(*what.split())
        one._begin_epoch()
        for size in one.batches.sizes:
            one.step.eager(size)
        assert one.batches.sizes == (64, 64, 12)
        assert on_gpu(one.step.changed())
        assert on_gpu([one.evaluator.correct(one.network)])
    assert updated == [len(one.step.parameters())] * 3


def test_a_tensor_of_the_host_is_found_out() -> None:
    """The check itself: what a step on a GPU must not do fails here."""
    with FakeTensorMode(allow_non_fake_inputs=False):
        there = torch.ones(3, device="cuda")
        with pytest.raises(RuntimeError, match="found at least two devices"):
            there + torch.ones(3)
        with pytest.raises(Exception, match="_local_scalar_dense"):
            float(there.sum())
