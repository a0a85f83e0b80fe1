"""The shortcut space: its arithmetic against the report's figures, texts and files of architectures, draws."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import space
from jobs.errors import BadInput

subsets = st.lists(st.sampled_from(space.EDGES), unique=True).map(tuple)


def test_the_space_is_that_of_the_study() -> None:
    assert len(space.EDGES) == len(set(space.EDGES)) == 105
    assert all(i >= 0 and i + 2 <= j <= 15 for i, j in space.EDGES)
    assert sum(space.is_identity(edge) for edge in space.EDGES) == 9
    assert sum(space.span(edge) >= 4 for edge in space.EDGES) == 78


def test_parameters_of_the_report() -> None:
    assert space.base_parameters() == 20_040_522
    assert statistics.mean(map(space.edge_parameters, space.EDGES)) == pytest.approx(95_634, abs=1)
    by_target = [statistics.mean(space.edge_parameters((i, j)) for i in range(j - 1)) for j in range(2, 16)]
    assert statistics.mean(by_target) == pytest.approx(70_167, abs=1)


def test_edge_parameters_by_hand() -> None:
    assert space.edge_parameters((4, 6)) == 0  # 256 channels at 8×8 on both sides
    assert space.edge_parameters((0, 2)) == 64 * 128 + 2 * 128
    assert space.edge_parameters((8, 12)) == 512 * 512 + 2 * 512  # channels agree, sizes do not
    assert space.edge_parameters((0, 2), 0.125) == 8 * 16 + 2 * 16


def test_sizes_and_channels() -> None:
    assert [space.size(block) for block in (0, 2, 4, 8, 12)] == [32, 16, 8, 4, 2]
    assert space.channels() == (64, 64, 128, 128, 256, 256, 256, 256, *([512] * 8))
    assert space.channels(0.001) == (1,) * 16


@given(subsets)
def test_an_architectures_numbers(edges: tuple[tuple[int, int], ...]) -> None:
    assert space.parse(space.text_of(edges)) == tuple(sorted(edges))
    assert space.architecture_hash(edges) == space.architecture_hash(tuple(reversed(edges)))
    assert space.parameters(edges) == 20_040_522 + sum(map(space.edge_parameters, edges))
    mean, share = space.mean_span(edges), space.long_share(edges)
    if not edges:
        assert mean is None and share is None
    else:
        assert mean is not None and 2 <= mean <= 15
        assert share is not None and 0 <= share <= 1


def test_hash_is_pinned() -> None:
    assert space.architecture_hash(()) == "bc0958784f2c"
    assert space.architecture_hash([(3, 7), (0, 2)]) == "ddb25ccaaf92"


@pytest.mark.parametrize(
    ("text", "edges"),
    [("vgg19", ()), ("VGG19", ()), ("3-7,0-2", ((0, 2), (3, 7))), (" 0→2 , 0-2 ", ((0, 2),)), ("0->15", ((0, 15),))],
)
def test_texts(text: str, edges: tuple[tuple[int, int], ...]) -> None:
    assert space.parse(text) == edges


@pytest.mark.parametrize("text", ["", "vgg16", "0-1", "5-3", "0-16", "0-2,,3-7", "0-2;3-7", "a-b", "0-2-4"])
def test_bad_texts(text: str) -> None:
    with pytest.raises(BadInput):
        space.parse(text)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps({"edges": [[3, 7], [0, 2]], "note": "from a colleague"}))
    assert space.parse(str(path)) == ((0, 2), (3, 7))
    path.write_text("[[0, 2]]")
    assert space.read(path) == ((0, 2),)
    path.write_text("[]")
    assert space.read(path) == ()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not JSON"),
        ("3", "must hold"),
        ('{"arcs": []}', "must hold"),
        ('[["0", 2]]', "must hold"),
        ("[[0, 2, 4]]", "must hold"),
        ("[[0, 1]]", "'0-1' is not in the space"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "net.json"
    path.write_text(content)
    with pytest.raises(BadInput, match=told) as caught:
        space.read(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.json: No such file"):
        space.parse(str(tmp_path / "none.json"))


def test_draws_are_pinned_distinct_and_uniform() -> None:
    assert space.text_of(space.sample(5, 3)) == "0-6,2-11,2-15,3-8,4-10"  # must never change: seeds name architectures
    assert len({space.sample(12, seed) for seed in range(50)}) == 50
    seen = Counter(edge for seed in range(2000) for edge in space.sample(21, seed))
    expected = 2000 * 21 / 105
    chi_square = sum((seen[edge] - expected) ** 2 / expected for edge in space.EDGES)
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
        "import sys, jobs.space, jobs.datasets, jobs.kinds.random_baseline, jobs.kinds.evaluate;"
        "print({'torch', 'numpy', 'sklearn', 'filelock'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
