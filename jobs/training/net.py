"""What the loop asks of a net: a module that draws its own weights."""

from __future__ import annotations

import torch
from torch import nn


class Net(nn.Module):
    """Images N×3×32×32 in, logits N×classes out."""

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights anew from `generator` (on the CPU)."""
        raise NotImplementedError
