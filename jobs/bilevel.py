"""The gradient of α in the bilevel search: α on validation batches, w on training batches (DARTS, arXiv 1806.09055).

min_α L_val(w*(α), α) with w*(α) = argmin_w L_train(w, α). First order takes w* = w. Second order takes one virtual SGD
step w' = w − ξ·(momentum·buffer + ∇_w L_train + decay·w), and differentiates through it with a finite difference in
place of the Hessian product (equation 8 there): R = 0.01/‖∇_w' L_val‖.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jobs.discretise import Method
from jobs.space import EDGES
from jobs.supernet import edge_mask, gate_matrix

Loss = Callable[[], Tensor]
"""A batch's loss at the present weights and α: scalar, differentiable, leaving BN statistics alone."""

STEP = 0.01
"""R·‖v‖ of the finite difference, as in DARTS's own code."""


def first_order(validation: Loss, alpha: Tensor) -> Tensor:
    """∇_α L_val(w, α): 16×16."""
    (gradient,) = torch.autograd.grad(validation(), alpha)
    return gradient


def second_order(
    training: Loss,
    validation: Loss,
    alpha: Tensor,
    weights: Sequence[Tensor],
    rate: float | Tensor,
    buffers: Sequence[Tensor] | None = None,
    momentum: float = 0.0,
    decay: float = 0.0,
) -> Tensor:
    """∇_α L_val(w'(α), α) by the finite difference: 16×16. `weights` are the same, bit for bit, afterwards.

    rate: ξ, the present learning rate of w. buffers: SGD's momentum buffers (None before its first step).
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
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(slope)))
        reach = STEP / norm.clamp_min(torch.finfo(norm.dtype).tiny ** 0.5)
        offsets = torch._foreach_mul(slope, reach)
        torch._foreach_copy_(list(weights), torch._foreach_add(kept, offsets))
    (above,) = torch.autograd.grad(training(), alpha)
    with torch.no_grad():
        torch._foreach_copy_(list(weights), torch._foreach_sub(kept, offsets))
    (below,) = torch.autograd.grad(training(), alpha)
    with torch.no_grad():
        torch._foreach_copy_(list(weights), kept)
        implicit: Tensor = (above - below) / (2 * reach) * rate
        return direct - implicit


def zero_one_loss(alpha: Tensor, method: Method) -> Tensor:
    """−mean((g − ½)²) over the edges: pushes independent gates to 0 or 1 (FairDARTS, arXiv 1911.12126)."""
    edges = edge_mask(alpha)
    return -(((gate_matrix(alpha, method) - 0.5) * edges) ** 2).sum() / len(EDGES)
