"""From α to an architecture: pure functions, so that any epoch and any threshold is read out without a new search.

α is a 16×16 matrix; α[i][j] with j ≥ i + 2 belongs to the edge i→j, and α[j][j] (method B only) to the "none" of
block j, so the matrix stays upper triangular. All else is 0.

Method A: independent gates, g = σ(α) (FairDARTS, arXiv 1911.12126). Method B: competition, softmax over a block's
incoming edges and "none" (DARTS, arXiv 1806.09055). Thresholds and the rule for small blocks are ours (docs/study.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, isfinite, log
from pathlib import Path
from typing import Literal

import msgspec

from jobs.architectures import BLOCKS, EDGES
from jobs.errors import BadInput
from jobs.files import append_json, read_lines, write_bytes
from jobs.records import Architecture, Edge

Method = Literal["A", "B"]
Matrix = Sequence[Sequence[float]]

TARGETS: tuple[int, ...] = tuple(range(2, BLOCKS))
"""The blocks where a shortcut can end."""
TAU: dict[Method, float] = {"A": 0.7, "B": 0.5}
"""The default threshold of each method."""
MARGIN = 0.1
"""How far above its initial value a gate of B must be: block 2 has one source, so its p starts at exactly 0.5."""
ALPHA_FILE = "alpha.jsonl"


class AlphaLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `alpha.jsonl` in an execution's folder: α and the gates (16×16 each) after `epoch` epochs.

    Epoch 0 is the start of the search.
    """

    epoch: int
    alpha: list[list[float]]
    gates: list[list[float]]


def sources(target: int) -> range:
    """The blocks whose shortcuts can end at block `target`, ascending."""
    return range(target - 1)


def gates(alpha: Matrix, method: Method) -> list[list[float]]:
    """The gate of every edge (16×16, 0 where there is no edge). Raises BadInput on another shape or a NaN."""
    _check(alpha)
    values = [[0.0] * BLOCKS for _ in range(BLOCKS)]
    if method == "A":
        for source, target in EDGES:
            values[source][target] = _sigmoid(alpha[source][target])
    else:
        for target in TARGETS:
            for source, p in zip(sources(target), _competition(alpha, target), strict=False):
                values[source][target] = p
    return values


def discretise(alpha: Matrix, method: Method, tau: float = 0.0) -> Architecture:
    """The architecture that α stands for at threshold `tau` (0: the method's default). It may have no edge at all.

    A keeps every edge with σ(α) ≥ tau. B keeps the best edge of a block where p > max(tau, its initial p + 0.1);
    of equal ones the nearest source. Raises BadInput where tau is not in [0, 1) or α is no finite 16×16 matrix.
    """
    if not 0.0 <= tau < 1.0:
        raise BadInput(f"tau must lie between 0 and 1 (got {tau})")
    threshold = tau or TAU[method]
    gate = gates(alpha, method)
    if method == "A":
        return Architecture(edges=tuple(sorted((i, j) for i, j in EDGES if gate[i][j] >= threshold)))
    kept: list[Edge] = []
    for target in TARGETS:
        best = max(sources(target), key=lambda source: (gate[source][target], source))
        if gate[best][target] > max(threshold, initial_gate(target, "B") + MARGIN):
            kept.append((best, target))
    return Architecture(edges=tuple(sorted(kept)))


def nones(alpha: Matrix) -> list[float]:
    """What "none" has of each block's softmax (method B), by block; 0 where no shortcut can end."""
    _check(alpha)
    return [_competition(alpha, block)[-1] if block in TARGETS else 0.0 for block in range(BLOCKS)]


def initial_gate(target: int, method: Method) -> float:
    """The gate of an edge into block `target` at α = 0."""
    return 0.5 if method == "A" else 1.0 / (len(sources(target)) + 1)


def gate_sum(alpha: Matrix, method: Method) -> float:
    """Σg over the 105 edges."""
    return sum(map(sum, gates(alpha, method)))


def entropy(alpha: Matrix, method: Method) -> float:
    """The mean entropy in nats: of a gate (A, binary, over the edges) or of a block's softmax (B, with "none").

    It falls to 0 as α saturates, the sign of a collapse (RobustDARTS, arXiv 1909.09656).
    """
    gate = gates(alpha, method)
    if method == "A":
        return sum(_nats(gate[i][j]) + _nats(1.0 - gate[i][j]) for i, j in EDGES) / len(EDGES)
    return sum(_nats(p) for target in TARGETS for p in _competition(alpha, target)) / len(TARGETS)


def target_share(edges: Sequence[Edge]) -> float | None:
    """The share of an architecture's edges that end at its most popular block (0..1); None where it has no edge.

    k edges on k blocks have 1/k; 1 means that everything goes to one place. B keeps at most one a block.
    """
    if not edges:
        return None
    ends = [target for _, target in edges]
    return max(map(ends.count, ends)) / len(ends)


def keep_alpha(folder: Path, epoch: int, alpha: Matrix, method: Method) -> None:
    """Append α and its gates to the execution's `alpha.jsonl`. Raises OSError."""
    append_json(folder / ALPHA_FILE, _line(epoch, alpha, method))


def write_alphas(folder: Path, alphas: Sequence[Matrix], method: Method) -> None:
    """Write the whole history, epoch 0 first, durably and whole or not at all. Raises OSError."""
    lines = (msgspec.json.encode(_line(epoch, alpha, method)) for epoch, alpha in enumerate(alphas))
    write_bytes(folder / ALPHA_FILE, b"".join(line + b"\n" for line in lines))


def _line(epoch: int, alpha: Matrix, method: Method) -> AlphaLine:
    rows = [[float(value) for value in row] for row in alpha]
    return AlphaLine(epoch=epoch, alpha=rows, gates=gates(rows, method))


def read_alpha(folder: Path) -> list[AlphaLine]:
    """The history of α in an execution's folder, by epoch; none where it kept none."""
    return sorted(read_lines(folder / ALPHA_FILE, AlphaLine), key=lambda line: line.epoch)


def _competition(alpha: Matrix, target: int) -> list[float]:
    """Softmax over the sources of `target` in order, then "none" (last)."""
    logits = [alpha[source][target] for source in sources(target)] + [alpha[target][target]]
    top = max(logits)
    weights = [exp(value - top) for value in logits]
    total = sum(weights)
    return [weight / total for weight in weights]


def _sigmoid(value: float) -> float:
    if value >= 0:
        return 1.0 / (1.0 + exp(-value))
    return exp(value) / (1.0 + exp(value))


def _nats(p: float) -> float:
    return -p * log(p) if p > 0.0 else 0.0


def _check(alpha: Matrix) -> None:
    if len(alpha) != BLOCKS or any(len(row) != BLOCKS for row in alpha):
        raise BadInput(f"alpha must be a {BLOCKS}×{BLOCKS} matrix")
    for i, row in enumerate(alpha):
        for j, value in enumerate(row):
            if not isfinite(value):
                raise BadInput(f"alpha[{i}][{j}] is {value}: this search diverged, so it has no architecture here")
