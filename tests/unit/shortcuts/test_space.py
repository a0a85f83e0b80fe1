"""Draws from the space of shortcuts: pinned, distinct, uniform."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from jobs import architectures
from jobs.errors import BadInput
from jobs.shortcuts import space


def test_draws_are_pinned_distinct_and_uniform() -> None:
    assert architectures.text_of(space.sample(5, 3)) == "0-6,2-11,2-15,3-8,4-10"  # pinned: seeds name them
    assert len({space.sample(12, seed) for seed in range(50)}) == 50
    seen = Counter(edge for seed in range(2000) for edge in space.sample(21, seed))
    expected = 2000 * 21 / 105
    chi_square = sum((seen[edge] - expected) ** 2 / expected for edge in architectures.EDGES)
    assert chi_square < 160  # 104 degrees of freedom: p < 0.001 above 154, and without replacement it is smaller still


def test_counts_fill_their_range() -> None:
    counts = Counter(space.sample_count(4, 20, seed) for seed in range(1000))
    assert set(counts) == set(range(4, 21))


@pytest.mark.parametrize("count", [-1, 106])
def test_a_draw_outside_the_space_is_refused(count: int) -> None:
    with pytest.raises(BadInput, match="0 to 105"):
        space.sample(count, 0)


def test_the_declarations_import_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, jobs.shortcuts.space, jobs.training.datasets, jobs.kinds.random_baseline, jobs.kinds.evaluate;"
        "print({'torch', 'numpy', 'sklearn', 'filelock'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
