"""Architectures: their arithmetic against the report's figures, their texts and files, their names."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import architectures
from jobs.errors import BadInput

subsets = st.lists(st.sampled_from(architectures.EDGES), unique=True).map(tuple)


def test_the_space_is_that_of_the_study() -> None:
    assert len(architectures.EDGES) == len(set(architectures.EDGES)) == 105
    assert all(i >= 0 and i + 2 <= j <= 15 for i, j in architectures.EDGES)
    assert sum(architectures.is_identity(edge) for edge in architectures.EDGES) == 9
    assert sum(architectures.span(edge) >= 4 for edge in architectures.EDGES) == 78


def test_parameters_of_the_report() -> None:
    assert architectures.base_parameters() == 20_040_522
    assert statistics.mean(map(architectures.edge_parameters, architectures.EDGES)) == pytest.approx(95_634, abs=1)
    by_target = [statistics.mean(architectures.edge_parameters((i, j)) for i in range(j - 1)) for j in range(2, 16)]
    assert statistics.mean(by_target) == pytest.approx(70_167, abs=1)


def test_edge_parameters_by_hand() -> None:
    assert architectures.edge_parameters((4, 6)) == 0  # 256 channels at 8×8 on both sides
    assert architectures.edge_parameters((0, 2)) == 64 * 128 + 2 * 128
    assert architectures.edge_parameters((8, 12)) == 512 * 512 + 2 * 512  # channels agree, sizes do not
    assert architectures.edge_parameters((0, 2), 0.125) == 8 * 16 + 2 * 16


def test_sizes_and_channels() -> None:
    assert [architectures.size(block) for block in (0, 2, 4, 8, 12)] == [32, 16, 8, 4, 2]
    assert architectures.channels() == (64, 64, 128, 128, 256, 256, 256, 256, *([512] * 8))
    assert architectures.channels(0.001) == (1,) * 16


@given(subsets)
def test_an_architectures_numbers(edges: tuple[tuple[int, int], ...]) -> None:
    assert architectures.parse(architectures.text_of(edges)) == tuple(sorted(edges))
    assert architectures.architecture_hash(edges) == architectures.architecture_hash(tuple(reversed(edges)))
    assert architectures.parameters(edges) == 20_040_522 + sum(map(architectures.edge_parameters, edges))
    mean, share = architectures.mean_span(edges), architectures.long_share(edges)
    if not edges:
        assert mean is None and share is None
    else:
        assert mean is not None and 2 <= mean <= 15
        assert share is not None and 0 <= share <= 1


def test_hash_is_pinned() -> None:
    assert architectures.architecture_hash(()) == "bc0958784f2c"
    assert architectures.architecture_hash([(3, 7), (0, 2)]) == "ddb25ccaaf92"


@pytest.mark.parametrize(
    ("text", "edges"),
    [("vgg19", ()), ("VGG19", ()), ("3-7,0-2", ((0, 2), (3, 7))), (" 0→2 , 0-2 ", ((0, 2),)), ("0->15", ((0, 15),))],
)
def test_texts(text: str, edges: tuple[tuple[int, int], ...]) -> None:
    assert architectures.parse(text) == edges


@pytest.mark.parametrize("text", ["", "vgg16", "0-1", "5-3", "0-16", "0-2,,3-7", "0-2;3-7", "a-b", "0-2-4"])
def test_bad_texts(text: str) -> None:
    with pytest.raises(BadInput):
        architectures.parse(text)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps({"edges": [[3, 7], [0, 2]], "note": "from a colleague"}))
    assert architectures.parse(str(path)) == ((0, 2), (3, 7))
    path.write_text("[[0, 2]]")
    assert architectures.read(path) == ((0, 2),)
    path.write_text("[]")
    assert architectures.read(path) == ()


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
        architectures.read(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.json: No such file"):
        architectures.parse(str(tmp_path / "none.json"))
