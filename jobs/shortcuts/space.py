"""The space of all sets of the 105 shortcuts (jobs/architectures.py): drawing from it at random. Torch-free."""

from __future__ import annotations

import random

from jobs.architectures import EDGES, canonical
from jobs.errors import BadInput
from jobs.records import Edge
from jobs.seeds import derive


def sample(shortcuts: int, seed: int) -> tuple[Edge, ...]:
    """That many distinct edges, uniformly at random from the seed. Raises BadInput outside 0…105.

    Built on `Random.random` alone, the one method whose sequence Python guarantees over versions.
    """
    if not 0 <= shortcuts <= len(EDGES):
        raise BadInput(f"cannot draw {shortcuts} shortcuts: the space has 0 to {len(EDGES)}")
    draw = random.Random(derive(seed, "edges"))
    keys = {edge: draw.random() for edge in EDGES}
    return canonical(sorted(EDGES, key=keys.__getitem__)[:shortcuts])


def sample_count(low: int, high: int, seed: int) -> int:
    """A number of shortcuts, uniform in low…high inclusive, from the seed."""
    return low + int(random.Random(derive(seed, "count")).random() * (high - low + 1))
