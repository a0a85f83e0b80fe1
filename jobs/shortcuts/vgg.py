"""VGG19-BN for 32×32 images with shortcuts between its conv blocks.

z_j = ReLU(BN(conv_j(x_j)) + Σ_i g_ij · S_ij(z_i)), where x_j is z_{j−1}, max-pooled where a new stage begins, and z_i
is read before its stage's max-pool. S_ij is the identity where channels and size agree, else max-pooling by
2^(stage_j − stage_i), then 1×1 conv and BN (ResNet's option B, arXiv 1512.03385). All gates g are 1 unless given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs import architectures
from jobs.errors import BadInput
from jobs.records import Edge
from jobs.training.net import Net


class Block(nn.Module):
    """Conv 3×3 and BN; the shortcuts that end here are added before the ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, shortcuts: Tensor | None = None) -> Tensor:
        """x: N×inputs×H×W; shortcuts: the gated sum, N×outputs×H×W. Returns N×outputs×H×W."""
        y = self.norm(self.conv(x))
        if shortcuts is not None:
            y = y + shortcuts
        return functional.relu(y)


class Projection(nn.Module):
    """Max-pool by `stride`, conv 1×1 without bias, BN: brings a source to its target's size and channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, z: Tensor) -> Tensor:
        """z: N×inputs×H×W. Returns N×outputs×(H/stride)×(W/stride)."""
        if self.stride > 1:
            z = functional.max_pool2d(z, self.stride)
        return self.norm(self.conv(z))  # type: ignore[no-any-return]


def shortcut(edge: Edge, width: float = 1.0) -> nn.Module:
    """S_ij of one edge: nn.Identity or a Projection."""
    if architectures.is_identity(edge, width):
        return nn.Identity()
    outputs = architectures.channels(width)
    source, target = edge
    stride = 1 << (architectures.STAGES[target] - architectures.STAGES[source])
    return Projection(outputs[source], outputs[target], stride)


def edge_name(edge: Edge) -> str:
    """The edge's key in `Network.shortcuts` and in its state_dict: '3-7'."""
    return f"{edge[0]}-{edge[1]}"


class Network(Net):
    """VGG19-BN with a set of shortcuts and one linear head.

    The supernet is the same class with all 105 edges and gates. Raises BadInput for an edge outside the space.
    """

    def __init__(self, edges: Iterable[Edge] = (), width: float = 1.0, classes: int = architectures.CLASSES) -> None:
        super().__init__()
        self.edges = architectures.canonical(edges)
        self.width = width
        outputs = architectures.channels(width)
        self.blocks = nn.ModuleList(Block(a, b) for a, b in zip((3, *outputs[:-1]), outputs, strict=True))
        self.shortcuts = nn.ModuleDict({edge_name(edge): shortcut(edge, width) for edge in self.edges})
        self.head = nn.Linear(outputs[-1], classes)
        self.sources: tuple[tuple[int, ...], ...] = tuple(
            tuple(i for i, target in self.edges if target == j) for j in range(architectures.BLOCKS)
        )
        """The sources of each block's shortcuts, ascending."""

    def conv_blocks(self) -> list[Block]:
        """The 16 blocks, typed."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def forward(self, images: Tensor, gates: Tensor | None = None) -> Tensor:
        """images: N×3×32×32, normalised; gates: 16×16, entry [i, j] multiplies S_ij. Returns logits N×classes."""
        needed = {i for sources in self.sources for i in sources}
        outputs: dict[int, Tensor] = {}
        x = images
        for j, block in enumerate(self.blocks):
            z = block(x, self.shortcut_sum(j, outputs, gates))
            if j in needed:
                outputs[j] = z
            last_of_stage = j + 1 == architectures.BLOCKS or architectures.STAGES[j + 1] != architectures.STAGES[j]
            x = functional.max_pool2d(z, 2) if last_of_stage else z
        return self.head(x.flatten(1))  # type: ignore[no-any-return]

    def shortcut_sum(self, target: int, outputs: Mapping[int, Tensor], gates: Tensor | None) -> Tensor | None:
        """Σ_i g_ij · S_ij(z_i) of one block; None where nothing ends there."""
        total: Tensor | None = None
        for source in self.sources[target]:
            term: Tensor = self.shortcuts[edge_name((source, target))](outputs[source])
            if gates is not None:
                term = term * gates[source, target]
            total = term if total is None else total + term
        return total

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights from `generator` (on the CPU) as torchvision's VGG: He's normal, fan out; head N(0, 0.01²).

        Blocks and head are drawn first, so nets of one seed start from the same VGG19 whatever their shortcuts.
        """
        with torch.no_grad():
            for block in self.conv_blocks():
                scale, bias = block.conv.parameters()
                nn.init.kaiming_normal_(scale, mode="fan_out", nonlinearity="relu", generator=generator)
                nn.init.zeros_(bias)
            nn.init.normal_(self.head.weight, 0.0, 0.01, generator=generator)
            nn.init.zeros_(self.head.bias)
            for module in self.shortcuts.values():
                if isinstance(module, Projection):
                    weight = module.conv.weight
                    nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu", generator=generator)
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.reset_parameters()


def load_features(network: Network, state: Mapping[str, Tensor]) -> None:
    """Copy the feature layers of torchvision's `vgg19_bn` (keys 'features.0.weight', ...) into the blocks.

    All 20,035,392 feature parameters and the BN statistics are loaded; a classifier in `state` is ignored, the head and
    the shortcuts stay. Raises BadInput naming the keys that are missing, foreign or of another shape.
    """
    wanted: dict[str, Tensor] = {}
    index = 0
    for j, block in enumerate(network.conv_blocks()):
        wanted |= {f"features.{index}.{name}": tensor for name, tensor in block.conv.state_dict().items()}
        wanted |= {f"features.{index + 1}.{name}": tensor for name, tensor in block.norm.state_dict().items()}
        last_of_stage = j + 1 == architectures.BLOCKS or architectures.STAGES[j + 1] != architectures.STAGES[j]
        index += 4 if last_of_stage else 3
    given = {key: value for key, value in state.items() if not key.startswith("classifier.")}
    # num_batches_tracked is absent from old weight files and has no effect with a fixed momentum
    missing = sorted(key for key in wanted.keys() - given.keys() if not key.endswith("num_batches_tracked"))
    foreign = sorted(given.keys() - wanted.keys())
    shapes = sorted(key for key in wanted.keys() & given.keys() if wanted[key].shape != given[key].shape)
    if missing or foreign or shapes:
        told = [
            f"{what}: {', '.join(keys[:4])}{f' and {len(keys) - 4} more' if len(keys) > 4 else ''}"
            for what, keys in (("missing", missing), ("not in vgg19_bn", foreign), ("of another shape", shapes))
            if keys
        ]
        raise BadInput(f"the weights are not those of torchvision's vgg19_bn ({'; '.join(told)}): give such a file")
    with torch.no_grad():
        for key, tensor in wanted.items():
            if key in given:
                tensor.copy_(given[key])


def parameter_count(network: nn.Module) -> int:
    """Trainable parameters of a net."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
