"""What an architecture is: a set of edges i→j over VGG19's 16 conv blocks; its text, its name, its arithmetic.

Part of the contract, since the store keeps architectures, and tables and requests count their parameters. Torch-free.
The formulation is this project's own, chosen to agree with the report's parameters (docs/study.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from jobs.errors import BadInput
from jobs.records import BLOCKS as BLOCKS
from jobs.records import Edge

EDGES: tuple[Edge, ...] = tuple((i, j) for j in range(BLOCKS) for i in range(j - 1))
"""All 105 edges, by target, then by source."""

_ALL = frozenset(EDGES)

STAGES: tuple[int, ...] = (0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4)
"""Stage of each block; a 2×2 max-pool follows the last block of every stage, so stage s works at size 32 >> s."""
STAGE_CHANNELS: tuple[int, ...] = (64, 128, 256, 512, 512)
CLASSES = 10
LONG_SPAN = 4
"""From this span on a shortcut counts as long (the report's remark on its figures 5 and 6)."""

_EDGE = re.compile(r"^\s*(\d+)\s*(?:-|→|->)\s*(\d+)\s*$")


def canonical(edges: Iterable[Sequence[int]]) -> tuple[Edge, ...]:
    """The edges checked, each once, sorted by source and target. Raises BadInput for one outside the space."""
    checked = set()
    for pair in edges:
        if len(pair) != 2 or (pair[0], pair[1]) not in _ALL:
            shown = "-".join(map(str, pair))
            raise BadInput(
                f"shortcut '{shown}' is not in the space: use i-j with 0 ≤ i, j ≤ {BLOCKS - 1} and j ≥ i + 2"
            )
        checked.add((pair[0], pair[1]))
    return tuple(sorted(checked))


def text_of(edges: Iterable[Edge]) -> str:
    """The canonical text of an architecture: '0-2,3-7'; 'vgg19' without shortcuts."""
    return ",".join(f"{i}-{j}" for i, j in canonical(edges)) or "vgg19"


def architecture_hash(edges: Iterable[Edge]) -> str:
    """12 hex digits that name a set of edges: SHA-256 of its canonical text."""
    return hashlib.sha256(text_of(edges).encode()).hexdigest()[:12]


def channels(width: float = 1.0) -> tuple[int, ...]:
    """Output channels of the 16 blocks; `width` multiplies VGG19's 64…512, at least one channel."""
    return tuple(max(1, round(STAGE_CHANNELS[stage] * width)) for stage in STAGES)


def size(block: int) -> int:
    """Height and width in pixels of a block's output, before its stage's max-pool (32×32 images)."""
    return 32 >> STAGES[block]


def is_identity(edge: Edge, width: float = 1.0) -> bool:
    """Whether channels and size of source and target agree, so that the shortcut needs no projection."""
    source, target = edge
    outputs = channels(width)
    return STAGES[source] == STAGES[target] and outputs[source] == outputs[target]


def edge_parameters(edge: Edge, width: float = 1.0) -> int:
    """Extra parameters of a shortcut: a 1×1 conv without bias and its BN's scale and shift; 0 for an identity."""
    if is_identity(edge, width):
        return 0
    source, target = edge
    outputs = channels(width)
    return outputs[source] * outputs[target] + 2 * outputs[target]


def extra_parameters(edges: Iterable[Edge], width: float = 1.0) -> int:
    """Extra parameters of all shortcuts of an architecture."""
    return sum(edge_parameters(edge, width) for edge in edges)


def base_parameters(width: float = 1.0) -> int:
    """Parameters of VGG19-BN with one linear head: 20,040,522 at width 1."""
    outputs = channels(width)
    inputs = (3, *outputs[:-1])
    convs = sum(9 * a * b + b for a, b in zip(inputs, outputs, strict=True))
    norms = sum(2 * b for b in outputs)
    return convs + norms + outputs[-1] * CLASSES + CLASSES


def parameters(edges: Iterable[Edge], width: float = 1.0) -> int:
    """Parameters of the whole net with these shortcuts."""
    return base_parameters(width) + extra_parameters(edges, width)


def span(edge: Edge) -> int:
    """How many conv blocks a shortcut jumps forward: j − i."""
    return edge[1] - edge[0]


def mean_span(edges: Sequence[Edge]) -> float | None:
    """Mean span; None without shortcuts."""
    return sum(map(span, edges)) / len(edges) if edges else None


def long_share(edges: Sequence[Edge]) -> float | None:
    """Share (0…1) of shortcuts with a span of at least 4 blocks; None without shortcuts."""
    return sum(span(edge) >= LONG_SPAN for edge in edges) / len(edges) if edges else None


def parse(text: str) -> tuple[Edge, ...]:
    """The edges of 'vgg19', an edge list such as '0-2,3-7', or a JSON file's name. Raises BadInput."""
    if text.strip().lower() == "vgg19":
        return ()
    if text.strip().endswith(".json"):
        return read(Path(text.strip()).expanduser())
    pairs = []
    for part in text.split(","):
        match = _EDGE.match(part)
        if match is None:
            raise BadInput(
                f"cannot read '{part.strip()}' in architecture '{text}': use vgg19, an edge list such as 0-2,3-7, "
                "or a .json file"
            )
        pairs.append((int(match[1]), int(match[2])))
    return canonical(pairs)


def read(path: Path) -> tuple[Edge, ...]:
    """The edges of a JSON file: [[0, 2], [3, 7]] or {"edges": [[0, 2], [3, 7]]}. Raises BadInput."""
    try:
        value = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise BadInput(f"cannot read the architecture file {path}: {error.strerror or error}") from None
    except msgspec.DecodeError as error:
        raise BadInput(f"the architecture file {path} is not JSON: {error}") from None
    if isinstance(value, Mapping):
        value = value.get("edges")
    try:
        pairs = msgspec.convert(value, list[tuple[int, int]])
    except msgspec.ValidationError as error:
        raise BadInput(
            f'the architecture file {path} must hold [[i, j], ...] or {{"edges": [[i, j], ...]}}: {error}'
        ) from None
    try:
        return canonical(pairs)
    except BadInput as error:
        raise BadInput(f"in the architecture file {path}: {error}") from None
