"""How sharp the validation loss is around α: the largest eigenvalue of its Hessian, the sign of a collapse.

RobustDARTS (Zela et al., ICLR 2020, arXiv 1909.09656, section 4) found that architectures generalise badly where this
eigenvalue grew during the search. Products with the Hessian are exact (differentiated twice, Pearlmutter 1994); the
eigenvalue is Lanczos's, by ARPACK (scipy's `eigsh`), so that the 119 × 119 matrix itself is never made.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jobs.architectures import BLOCKS
from jobs.shortcuts.bilevel import Loss
from jobs.shortcuts.discretise import Method
from jobs.shortcuts.supernet import edge_mask

IMAGES = 64
"""Validation images that it is measured on, the same ones at every look; the paper takes a random batch. Ours: a
difference between two epochs is then of α and w alone."""
BASIS = 8
"""Lanczos vectors between two restarts: about as many products as one look costs, or twice."""
TOLERANCE = 1e-2
"""Relative, of the eigenvalue: what a ratio of two averages is judged by needs no more."""


def moved(alpha: Tensor, method: Method) -> Tensor:
    """16×16 bool: the entries of α that the loss depends on: 105 edges, and for B the 14 "none"."""
    edges = edge_mask(alpha)
    if method == "A":
        return edges
    nones = torch.eye(BLOCKS, dtype=torch.bool, device=alpha.device)
    nones[:2, :2] = False
    return edges | nones


def largest_eigenvalue(loss: Loss, alpha: Tensor, method: Method, *, tolerance: float = TOLERANCE) -> float | None:
    """The (algebraically) largest eigenvalue of ∇²_α `loss` at the present α; None where it is not finite.

    loss: differentiable twice in `alpha` (16×16, asks for gradients). Nothing is drawn at random: Lanczos starts from
    the same vector each time. Neither α nor any `.grad` is changed.
    """
    import numpy as np
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(loss(), alpha, create_graph=True)
    where = moved(alpha, method)
    if not bool(torch.isfinite(gradient).all()):
        return None

    def product(vector: np.ndarray) -> np.ndarray:
        direction = torch.zeros_like(alpha)
        direction[where] = torch.from_numpy(np.ravel(vector)).to(alpha)
        (found,) = torch.autograd.grad(gradient, alpha, direction, retain_graph=True)
        return found[where].double().cpu().numpy()

    size = int(where.sum())
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)  # a generator of its own: nobody else's is touched
    try:
        (found,) = eigsh(operator, k=1, which="LA", v0=start, ncv=BASIS, tol=tolerance, return_eigenvectors=False)
    except ArpackNoConvergence:  # what it has by then is no eigenvalue
        return None
    value = float(found)
    return value if math.isfinite(value) else None
