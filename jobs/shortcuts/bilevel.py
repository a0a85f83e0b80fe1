"""The gradient of α in the bilevel search: α on validation batches, w on training batches (DARTS, arXiv 1806.09055).

min_α L_val(w*(α), α) with w*(α) = argmin_w L_train(w, α). First order takes w* = w. Second order takes one virtual SGD
step w' = w − ξ·(momentum·buffer + ∇_w L_train + decay·w), and differentiates through it: ∇_α L_val(w', α) −
ξ·∇²_{α,w} L_train(w, α)·v with v = ∇_w' L_val (equation 7 there). The product is exact here; DARTS's own code has a
finite difference in its place (equation 8: R = 0.01/‖v‖), which docs/study.md compares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jobs.architectures import EDGES
from jobs.shortcuts.discretise import Method
from jobs.shortcuts.supernet import edge_mask, gate_matrix

Loss = Callable[[], Tensor]
"""A batch's loss at the present weights and α: scalar, differentiable, leaving BN statistics alone."""

Product = Callable[[Loss, Tensor, Sequence[Tensor], Sequence[Tensor]], Tensor]

STEP = 0.01
"""R·‖v‖ of the finite difference, as in DARTS's own code."""


def first_order(validation: Loss, alpha: Tensor) -> Tensor:
    """∇_α L_val(w, α): 16×16."""
    (gradient,) = torch.autograd.grad(validation(), alpha)
    return gradient


def exact_product(training: Loss, alpha: Tensor, weights: Sequence[Tensor], direction: Sequence[Tensor]) -> Tensor:
    """∇²_{α,w} L_train·v by differentiating ⟨∇_w L_train, v⟩ in α: 16×16."""
    gradients = torch.autograd.grad(training(), list(weights), create_graph=True)
    (mixed,) = torch.autograd.grad(gradients, alpha, list(direction))
    return mixed


def second_order(
    training: Loss,
    validation: Loss,
    alpha: Tensor,
    weights: Sequence[Tensor],
    rate: float | Tensor,
    buffers: Sequence[Tensor] | None = None,
    momentum: float = 0.0,
    decay: float = 0.0,
    *,
    product: Product = exact_product,
) -> Tensor:
    """∇_α L_val(w'(α), α): 16×16. `weights` are the same, bit for bit, afterwards.

    rate: ξ, the present learning rate of w. buffers: SGD's momentum buffers (None before its first step). product:
    how ∇²_{α,w} L_train(w, α)·v is made.
    """
    kept = [weight.detach().clone() for weight in weights]
    gradients = torch.autograd.grad(training(), weights)
    with torch.no_grad():
        moves = torch._foreach_add(gradients, kept, alpha=decay)
        if buffers is not None and momentum:
            torch._foreach_add_(moves, list(buffers), alpha=momentum)
        torch._foreach_mul_(moves, rate)
        torch._foreach_sub_(list(weights), moves)
    direct, *slope = torch.autograd.grad(validation(), [alpha, *weights])
    with torch.no_grad():
        torch._foreach_copy_(list(weights), kept)
    implicit = product(training, alpha, weights, slope)
    with torch.no_grad():
        return direct - implicit * rate


def difference_product(training: Loss, alpha: Tensor, weights: Sequence[Tensor], direction: Sequence[Tensor]) -> Tensor:
    """The same by a central finite difference in w, as in DARTS's own code. `training` must not be in bf16: its
    resolution is coarser than the step. `weights` are the same, bit for bit, afterwards."""
    kept = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(direction))))
        reach = STEP / norm.clamp_min(torch.finfo(norm.dtype).tiny ** 0.5)
        offsets = torch._foreach_mul(list(direction), reach)
        torch._foreach_copy_(list(weights), torch._foreach_add(kept, offsets))
    (above,) = torch.autograd.grad(training(), alpha)
    with torch.no_grad():
        torch._foreach_copy_(list(weights), torch._foreach_sub(kept, offsets))
    (below,) = torch.autograd.grad(training(), alpha)
    with torch.no_grad():
        torch._foreach_copy_(list(weights), kept)
        mixed: Tensor = (above - below) / (2 * reach)
        return mixed


PRODUCTS: dict[str, Product] = {"exact": exact_product, "difference": difference_product}
"""By the name that a search's config has for them."""


def zero_one_loss(alpha: Tensor, method: Method) -> Tensor:
    """−mean((g − ½)²) over the edges: pushes independent gates to 0 or 1 (FairDARTS, arXiv 1911.12126)."""
    edges = edge_mask(alpha)
    return -(((gate_matrix(alpha, method) - 0.5) * edges) ** 2).sum() / len(EDGES)
