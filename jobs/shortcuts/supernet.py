"""The supernet: VGG19-BN with all 105 shortcuts at once, each multiplied by its gate.

It computes what `vgg.Network` with all edges computes, with fewer and larger operations: sources are max-pooled once
for all their targets, the projections of a target from one stage are one grouped 1×1 conv, and the BNs of a target are
one, whose scale and shift take the gates in (g·(γx + β) = (gγ)x + gβ).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs import architectures
from jobs.records import Edge
from jobs.shortcuts.discretise import TARGETS, Method, sources
from jobs.shortcuts.vgg import Block, Network, Projection, edge_name
from jobs.training.net import Net


def gate_matrix(alpha: Tensor, method: Method) -> Tensor:
    """The gates of `discretise.gates`, differentiable in α (16×16); 0 where there is no edge."""
    edges = edge_mask(alpha)
    if method == "A":
        return torch.sigmoid(alpha) * edges
    rivals = edges | torch.eye(architectures.BLOCKS, dtype=torch.bool, device=alpha.device)
    # not torch.where: it would copy its scalar from the host, which a CUDA graph cannot
    return alpha.masked_fill(~rivals, float("-inf")).softmax(0) * edges


def edge_mask(alpha: Tensor) -> Tensor:
    """16×16 bool, true at the 105 edges; made on α's device, so that nothing is copied from the host."""
    return torch.ones_like(alpha, dtype=torch.bool).triu(2)


@contextmanager
def frozen_statistics(net: nn.Module) -> Iterator[None]:
    """Within it, BNs in training mode normalise by the batch and leave their running statistics alone."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


class Mix(nn.Module):
    """Σ_i g_ij · S_ij(z_i) of one target block over all its sources.

    Sources are ordered as in `sources(target)`; the first ones need a projection, the rest are identities. Weights of
    the projections from one source stage are stacked along the output channels: (sources·outputs)×inputs×1×1.
    """

    def __init__(self, target: int, width: float) -> None:
        super().__init__()
        channels = architectures.channels(width)
        self.target = target
        self.outputs = channels[target]
        self.projected = [i for i in sources(target) if not architectures.is_identity((i, target), width)]
        self.identical = [i for i in sources(target) if architectures.is_identity((i, target), width)]
        groups: dict[int, list[int]] = {}
        for i in self.projected:
            groups.setdefault(architectures.STAGES[i], []).append(i)
        self.groups = list(groups.values())
        self.weights = nn.ParameterList(
            nn.Parameter(torch.empty(len(group) * self.outputs, channels[group[0]], 1, 1)) for group in self.groups
        )
        self.norm = nn.BatchNorm2d(len(self.projected) * self.outputs) if self.projected else None

    def forward(self, pooled: dict[tuple[int, int], Tensor], gates: Tensor) -> Tensor:
        """pooled: (source, stage) → N×channels×H×W at the target's size; gates: 16×16. Returns N×outputs×H×W."""
        stage = architectures.STAGES[self.target]
        column = gates[:, self.target]
        total: Tensor | None = None
        if self.norm is not None:
            parts = [
                functional.conv2d(torch.cat([pooled[i, stage] for i in group], 1), weight, groups=len(group))
                for group, weight in zip(self.groups, self.weights, strict=True)
            ]
            y = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
            y = self._gated_norm(self.norm, y, column[: len(self.projected)])
            # added one by one: the gradient of sum() over a reshaped tensor leaves channels_last, 3-6 times slower
            for term in y.chunk(len(self.projected), 1):
                total = term if total is None else total + term
        for i in self.identical:
            term = pooled[i, stage] * column[i]
            total = term if total is None else total + term
        assert total is not None  # every target has a source
        return total

    def _gated_norm(self, norm: nn.BatchNorm2d, y: Tensor, gates: Tensor) -> Tensor:
        """BN with each source's scale and shift multiplied by its gate."""
        factor = gates[:, None].expand(-1, self.outputs).reshape(-1)
        tracked = norm.track_running_stats or not norm.training
        return functional.batch_norm(
            y,
            norm.running_mean if tracked else None,
            norm.running_var if tracked else None,
            norm.weight * factor,
            norm.bias * factor,
            norm.training,
            norm.momentum or 0.0,
            norm.eps,
        )

    def projection(self, source: int) -> dict[str, Tensor]:
        """The parameters and statistics of one source's projection: views, by the names of `vgg.Projection`."""
        assert self.norm is not None
        at = self.projected.index(source)
        group, weight = next((g, w) for g, w in zip(self.groups, self.weights, strict=True) if source in g)
        within = group.index(source)
        part = slice(at * self.outputs, (at + 1) * self.outputs)
        state = self.norm.state_dict()
        return {
            "conv.weight": weight.detach()[within * self.outputs : (within + 1) * self.outputs],
            **{f"norm.{name}": state[name][part] for name in ("weight", "bias", "running_mean", "running_var")},
        }


class Supernet(nn.Module):
    """All blocks of `vgg.Network`, the mixes of the 14 targets, one linear head."""

    def __init__(self, width: float = 1.0, classes: int = architectures.CLASSES) -> None:
        super().__init__()
        outputs = architectures.channels(width)
        self.width = width
        self.classes = classes
        self.blocks = nn.ModuleList(Block(a, b) for a, b in zip((3, *outputs[:-1]), outputs, strict=True))
        self.mixes = nn.ModuleList(Mix(target, width) for target in TARGETS)
        self.head = nn.Linear(outputs[-1], classes)
        self.reads: set[tuple[int, int]] = {(i, architectures.STAGES[j]) for i, j in architectures.EDGES}
        """(source, stage): at which sizes a block's output is read."""

    def forward(self, images: Tensor, gates: Tensor) -> Tensor:
        """images: N×3×32×32, normalised; gates: 16×16, entry [i, j] multiplies S_ij. Returns logits N×classes."""
        pooled: dict[tuple[int, int], Tensor] = {}
        x = images
        for j, block in enumerate(self.blocks):
            z = block(x, self.mix(j)(pooled, gates) if j in TARGETS else None)
            stage = architectures.STAGES[j]
            pooled[j, stage] = z
            deepest = max((s for i, s in self.reads if i == j), default=stage)
            small = z
            for smaller in range(stage + 1, deepest + 1):  # max-pooling by 2 twice is max-pooling by 4
                small = functional.max_pool2d(small, 2)
                pooled[j, smaller] = small
            last_of_stage = j + 1 == architectures.BLOCKS or architectures.STAGES[j + 1] != stage
            if last_of_stage:
                following = pooled.get((j, stage + 1))
                x = functional.max_pool2d(z, 2) if following is None else following
            else:
                x = z
        return self.head(x.flatten(1))  # type: ignore[no-any-return]

    def mix(self, target: int) -> Mix:
        """The mix of one target block."""
        module = self.mixes[TARGETS.index(target)]
        assert isinstance(module, Mix)
        return module

    def initialise(self, generator: torch.Generator) -> None:
        """As `vgg.Network.initialise` with all edges: the same seed gives the same blocks, head and projections."""
        full = Network(architectures.EDGES, self.width, self.classes)
        full.initialise(generator)
        self.adopt(full)

    def adopt(self, full: Network) -> None:
        """Take over the weights and statistics of a `Network` with all 105 edges."""
        with torch.no_grad():
            self.blocks.load_state_dict(full.blocks.state_dict())
            self.head.load_state_dict(full.head.state_dict())
            for target, source, projection in self._projections(full):
                for name, part in self.mix(target).projection(source).items():
                    part.copy_(projection.state_dict()[name])

    def discretised(self, edges: Iterable[Edge]) -> Network:
        """A `Network` of these edges with the supernet's weights and statistics: what the gates 0 and 1 compute."""
        network = Network(edges, self.width, self.classes).to(self.head.weight.device, self.head.weight.dtype)
        network.blocks.load_state_dict(self.blocks.state_dict())
        network.head.load_state_dict(self.head.state_dict())
        with torch.no_grad():
            for target, source, projection in self._projections(network):
                for name, part in self.mix(target).projection(source).items():
                    projection.state_dict()[name].copy_(part)
        return network

    @staticmethod
    def _projections(network: Network) -> Iterator[tuple[int, int, Projection]]:
        for source, target in network.edges:
            module = network.shortcuts[edge_name((source, target))]
            if isinstance(module, Projection):
                yield target, source, module


class Gated(Net):
    """A supernet with its α (a buffer, so that `parameters()` are the weights w alone): images in, logits out."""

    def __init__(self, supernet: Supernet, method: Method) -> None:
        super().__init__()
        self.supernet = supernet
        self.method = method
        self.alpha: Tensor
        self.register_buffer("alpha", torch.zeros(architectures.BLOCKS, architectures.BLOCKS))

    def forward(self, images: Tensor) -> Tensor:
        """images: N×3×32×32, normalised. Returns logits N×classes; differentiable in α where α asks for it."""
        return self.supernet(images, gate_matrix(self.alpha, self.method))  # type: ignore[no-any-return]

    def initialise(self, generator: torch.Generator) -> None:
        """New weights; α = 0, so no edge is preferred at the start."""
        self.supernet.initialise(generator)
        self.alpha.zero_()
