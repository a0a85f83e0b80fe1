"""The gradients of α against finite differences, in float64, first and second order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from jobs.errors import BadInput
from jobs.kind import kind_named
from jobs.shortcuts import bilevel
from jobs.shortcuts.bilevel import PRODUCTS, first_order, second_order, zero_one_loss
from jobs.shortcuts.discretise import Method
from jobs.shortcuts.supernet import Supernet, frozen_statistics, gate_matrix

EDGES = [(0, 2), (1, 4), (0, 9), (3, 7), (8, 11), (2, 14), (13, 15), (5, 12)]
RATE, MOMENTUM, DECAY = 0.05, 0.9, 5e-4


@dataclass
class Problem:
    """A tiny supernet in float64 with a training and a validation batch."""

    alpha: Tensor
    weights: list[Tensor]
    buffers: list[Tensor]
    training: Callable[[], Tensor]
    validation: Callable[[], Tensor]
    product: str = "exact"

    def after_virtual_step(self) -> float:
        """L_val(w'(α), α), written out plainly."""
        kept = [weight.detach().clone() for weight in self.weights]
        gradients = torch.autograd.grad(self.training(), self.weights)
        with torch.no_grad():
            for weight, gradient, buffer in zip(self.weights, gradients, self.buffers, strict=True):
                weight -= RATE * (MOMENTUM * buffer + gradient + DECAY * weight)
            loss = self.validation().item()
            for weight, value in zip(self.weights, kept, strict=True):
                weight.copy_(value)
        return loss

    def second_order(self) -> Tensor:
        return second_order(
            self.training,
            self.validation,
            self.alpha,
            self.weights,
            RATE,
            self.buffers,
            MOMENTUM,
            DECAY,
            product=PRODUCTS[self.product],
        )

    def slope(self, function: Callable[[], float], i: int, j: int, step: float = 1e-5) -> float:
        """The central difference of `function` in α[i, j]."""
        before = self.alpha[i, j].item()
        values = []
        for moved in (before + step, before - step):
            self.alpha.data[i, j] = moved
            values.append(function())
        self.alpha.data[i, j] = before
        return (values[0] - values[1]) / (2 * step)


@contextmanager
def problem(method: Method) -> Iterator[Problem]:
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    net = Supernet(1 / 64)
    net.initialise(torch.Generator().manual_seed(0))
    net.double()
    alpha = normal(16, 16).requires_grad_()
    weights: list[Tensor] = list(net.parameters())

    def loss(images: Tensor, labels: Tensor) -> Callable[[], Tensor]:
        return lambda: functional.cross_entropy(net(images, gate_matrix(alpha, method)), labels)

    batches = [(normal(8, 3, 32, 32), torch.randint(0, 10, (8,), generator=generator)) for _ in range(2)]
    buffers = [0.01 * normal(*weight.shape) for weight in weights]
    with frozen_statistics(net):
        yield Problem(alpha, weights, buffers, loss(*batches[0]), loss(*batches[1]))


@pytest.mark.parametrize("method", ["A", "B"])
def test_first_order(method: Method) -> None:
    with problem(method) as given:
        gradient = first_order(given.validation, given.alpha)
        for i, j in EDGES:
            expected = given.slope(lambda: given.validation().item(), i, j)
            assert gradient[i, j].item() == pytest.approx(expected, rel=1e-4, abs=1e-9)
        assert gradient.tril(-1).abs().max() == 0
        assert (gradient.diagonal()[2:].abs().min() > 0) == (method == "B")  # "none" is learned in B alone


@pytest.mark.parametrize("product", ["exact", "difference"])
@pytest.mark.parametrize("method", ["A", "B"])
def test_second_order(method: Method, product: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # 8 images and 8 channels have a kink of a ReLU or max-pool every small way: the difference must be taken near
    monkeypatch.setattr(bilevel, "STEP", 1e-6)
    with problem(method) as given:
        given.product = product
        before = [weight.detach().clone() for weight in given.weights]
        gradient = given.second_order()
        assert all(torch.equal(weight, value) for weight, value in zip(given.weights, before, strict=True))
        naive = first_order(given.validation, given.alpha)
        for i, j in EDGES:
            expected = given.slope(given.after_virtual_step, i, j)
            assert gradient[i, j].item() == pytest.approx(expected, rel=0.02, abs=2e-6)
        difference = max(abs(gradient[i, j].item() - naive[i, j].item()) for i, j in EDGES)
        assert difference > 1e-3  # the second order is no refinement of noise here


def test_second_order_with_darts_own_step_on_a_smooth_net() -> None:
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    alpha = normal(4).requires_grad_()
    weights: list[Tensor] = [normal(6, 4).requires_grad_(), normal(1, 6).requires_grad_()]
    buffers = [normal(6, 4), normal(1, 6)]

    def loss(inputs: Tensor, wanted: Tensor) -> Callable[[], Tensor]:
        def value() -> Tensor:
            hidden = torch.tanh((inputs * torch.sigmoid(alpha)) @ weights[0].T)
            return ((hidden @ weights[1].T - wanted) ** 2).mean()

        return value

    training, validation = (loss(normal(20, 4), normal(20, 1)) for _ in range(2))
    gradient = second_order(training, validation, alpha, weights, RATE, buffers, MOMENTUM, DECAY)
    # the exact gradient, by differentiating through the virtual step
    kept = list(weights)
    slopes = torch.autograd.grad(training(), weights, create_graph=True)
    for k, slope in enumerate(slopes):
        weights[k] = kept[k] - RATE * (MOMENTUM * buffers[k] + slope + DECAY * kept[k])
    (exact,) = torch.autograd.grad(validation(), alpha)
    torch.testing.assert_close(gradient, exact, rtol=1e-4, atol=1e-7)


def test_before_the_first_step_of_sgd_there_is_no_buffer() -> None:
    with problem("A") as given:
        given.buffers = [torch.zeros_like(weight) for weight in given.weights]
        without = second_order(given.training, given.validation, given.alpha, given.weights, RATE, None, 0.9, DECAY)
        torch.testing.assert_close(given.second_order(), without)


def test_the_zero_one_loss_pushes_gates_outwards() -> None:
    alpha = torch.zeros(16, 16, dtype=torch.float64)
    alpha[0, 2], alpha[0, 3] = 0.5, -0.5
    alpha.requires_grad_()
    loss = zero_one_loss(alpha, "A")
    assert loss.item() == pytest.approx(-2 * (torch.sigmoid(torch.tensor(0.5)).item() - 0.5) ** 2 / 105)
    (gradient,) = torch.autograd.grad(loss, alpha)
    assert gradient[0, 2] < 0 < gradient[0, 3]
    assert gradient.count_nonzero() == 2


def test_the_exact_product_needs_no_near_difference() -> None:
    """At the step of DARTS's own code the difference is of another function: there is a kink on the way."""
    with problem("A") as given:
        wanted = given.second_order()
        naive = first_order(given.validation, given.alpha)
        given.product = "difference"
        far = given.second_order()
        expected = [given.slope(given.after_virtual_step, i, j) for i, j in EDGES]
        found = [[gradient[i, j].item() for i, j in EDGES] for gradient in (wanted, far, naive)]
    errors = [max(abs(a - b) for a, b in zip(one, expected, strict=True)) for one in found]
    assert errors[0] < 0.02 * errors[2], "exact: a fiftieth of what first order leaves out"
    assert errors[1] > 5 * errors[0]


def test_the_way_of_the_second_order_is_part_of_the_jobs_key() -> None:
    """Results of the finite difference that orch 0.1.0 took keep their own key; first order keeps its."""
    kind = kind_named("search")

    def key(**values: object) -> str:
        return kind.keys(kind.configure({"method": "A", **values}, "demo"), [0])[0]

    assert msgspec.to_builtins(kind.configure({"method": "A"}, "demo")).keys().isdisjoint({"order", "hessian"})
    second = msgspec.to_builtins(kind.configure({"method": "A", "order": "second"}, "demo"))
    assert second["hessian"] == "exact"
    assert key(order="second") == key(order="second", hessian="exact") != key(order="second", hessian="difference")
    with pytest.raises(BadInput, match="hessian is for order=second"):
        kind.configure({"method": "A", "hessian": "exact"}, "demo")
