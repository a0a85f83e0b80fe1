"""How much of a GPU's memory a training needs at most: what `--jobs-per-gpu` is checked against before jobs share one.

Torch-free. An upper bound, since the architecture is often unknown before the job starts: a net with all 105 shortcuts.
What autograd keeps per image is counted tensor by tensor (a test compares it with what torch really saves); CUDA's own
context and the libraries' workspaces are an allowance.
"""

from __future__ import annotations

import math

from jobs import architectures
from jobs.words import Precision

RUNTIME_MB = 1000
"""CUDA's context, its loaded kernels and the workspaces of cuBLAS and cuDNN: an allowance, not a measurement."""
STEP_MB = 500
"""Estimates are rounded up to this, so that jobs of nearly equal nets are equal."""
IMAGES = 70_000
"""Those of the largest data set (Fashion-MNIST, train and test), 3×32×32 bytes each on the device."""
FLOAT, INDEX = 4, 8


def saved_bytes(width: float = 1.0, value: int = FLOAT) -> int:
    """What one image's forward pass through the net with all shortcuts keeps for the backward pass.

    `value`: bytes of a number (4 for fp32, 2 for bf16). A block keeps its conv's and its ReLU's output, a max-pool its
    output and the int64 index of each maximum, a projection its pooled source and its conv's output.
    """
    outputs = architectures.channels(width)

    def pooled(source: int, size: int) -> int:
        return int(outputs[source] * size * size * (value + INDEX))

    total = 3 * 32 * 32 * value
    for block, channels in enumerate(outputs):
        size = architectures.size(block)
        total += 2 * channels * size * size * value
        if block + 1 == architectures.BLOCKS or architectures.STAGES[block + 1] != architectures.STAGES[block]:
            total += pooled(block, size // 2)
    for source, target in architectures.EDGES:
        if architectures.is_identity((source, target), width):
            continue
        size = architectures.size(target)
        total += outputs[target] * size * size * value
        if architectures.STAGES[source] != architectures.STAGES[target]:
            total += pooled(source, size)
    return total


def training_mb(width: float, batch_size: int, precision: Precision) -> int:
    """An upper bound in MB for one training or search of that width, rounded up to 500 MB.

    Weights, gradients, momentum and two further copies of w (second order), each fp32; what autograd keeps, twice
    (the eager warm-up beside the CUDA graph's own pool); the images; the runtime.
    """
    value = 2 if precision == "bf16" else FLOAT
    weights = architectures.parameters(architectures.EDGES, width) * FLOAT * 5
    kept = 2 * saved_bytes(width, value) * batch_size
    needed = RUNTIME_MB + (weights + kept + IMAGES * 3 * 32 * 32) / 2**20
    return math.ceil(needed / STEP_MB) * STEP_MB
