"""Matched random architectures: the method's own space, the modes' promises, determinism."""

from __future__ import annotations

import hashlib
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.architectures import EDGES, extra_parameters
from jobs.errors import BadInput
from jobs.records import Edge
from jobs.shortcuts import matching
from jobs.shortcuts.discretise import TARGETS, Method, sources
from jobs.shortcuts.matching import TOLERANCE, Mode, check, draw, match
from orchestrator.tables.pairing import ITSELF

MODES: tuple[Mode, ...] = ("count", "count+params", "indegree")


@st.composite
def read_outs(draw_from: st.DrawFn) -> tuple[Method, tuple[Edge, ...]]:
    method: Method = draw_from(st.sampled_from(["A", "B"]))
    count = draw_from(st.integers(0, 25 if method == "A" else 14))
    return method, draw(count, method, Random(draw_from(st.integers(0, 10**6))))


@settings(max_examples=60, deadline=None)
@given(read_outs(), st.sampled_from(MODES), st.integers(0, 1000))
def test_a_match_is_a_possible_output_of_the_method(
    searched: tuple[Method, tuple[Edge, ...]], mode: Mode, seed: int
) -> None:
    method, edges = searched
    matched = match(edges, mode, method, seed)
    check(matched.edges, method)
    assert len(matched.edges) == len(set(matched.edges)) == len(edges)
    assert list(matched.edges) == sorted(matched.edges)
    assert match(reversed(edges), mode, method, seed) == matched
    if mode == "indegree":
        assert Counter(j for _, j in matched.edges) == Counter(j for _, j in edges)
    if mode == "count+params" and not matched.flag:
        wanted = extra_parameters(edges)
        assert abs(extra_parameters(matched.edges) - wanted) <= TOLERANCE * wanted


def test_parameters_are_those_of_the_width() -> None:
    edges = draw(8, "A", Random(2))
    for seed in range(10):
        wanted = extra_parameters(edges, 0.125)
        matched = match(edges, "count+params", "A", seed, 0.125)
        assert abs(extra_parameters(matched.edges, 0.125) - wanted) <= TOLERANCE * wanted


def test_seeds_differ() -> None:
    edges = draw(10, "B", Random(1))
    assert len({match(edges, "count+params", "B", seed).edges for seed in range(10)}) == 10


def test_count_does_not_match_parameters_but_count_and_params_does() -> None:
    edges = draw(15, "A", Random(3))
    wanted = extra_parameters(edges)
    for mode, within in (("count", False), ("count+params", True)):
        drawn = [match(edges, mode, "A", seed) for seed in range(20)]
        off = [abs(extra_parameters(item.edges) - wanted) > TOLERANCE * wanted for item in drawn]
        assert any(off) is not within


def test_an_ablation_is_labelled() -> None:
    assert match([(0, 5), (1, 5)], "indegree", "A", 0).flag == "ablation: same targets, random sources"
    assert match([(0, 5), (1, 5)], "count", "A", 0).flag == ""


def test_the_nearest_is_taken_and_flagged_where_no_draw_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MOST_DRAWS", 50)
    heavy = tuple(sorted(sorted(EDGES, key=lambda edge: extra_parameters([edge]))[-20:]))
    matched = match(heavy, "count+params", "A", 0)
    gap = abs(extra_parameters(matched.edges) - extra_parameters(heavy))
    assert matched.flag == f"nearest of 50 draws, {100 * gap / extra_parameters(heavy):.1f} % off"
    random = Random(f"count+params/A/0/{heavy}")
    gaps = [abs(extra_parameters(draw(20, "A", random)) - extra_parameters(heavy)) for _ in range(50)]
    assert gap == min(gaps)


def test_no_shortcut_matches_no_shortcut() -> None:
    for mode in MODES:
        assert match([], mode, "B", 4).edges == ()


def test_draws_of_b_weigh_targets_equally() -> None:
    random = Random(0)
    seen = Counter(target for _ in range(3000) for _, target in draw(6, "B", random))
    assert all(abs(seen[target] / 3000 - 6 / 14) < 0.05 for target in TARGETS)
    mean = sum(extra_parameters(draw(6, "B", random)) for _ in range(3000)) / 3000
    assert mean == pytest.approx(419_000, rel=0.03)  # study.md: 0.419 M at k = 6


def test_draws_of_a_weigh_edges_equally() -> None:
    random = Random(0)
    seen = Counter(edge for _ in range(4000) for edge in draw(21, "A", random))
    assert all(abs(seen[edge] / 4000 - 0.2) < 0.04 for edge in EDGES)


def test_what_the_method_cannot_read_out_is_refused() -> None:
    with pytest.raises(BadInput, match="block 5 has two shortcuts"):
        match([(0, 5), (1, 5)], "count", "B", 0)
    with pytest.raises(BadInput, match="shortcut '4-5' is not in the space"):
        match([(4, 5)], "count", "A", 0)
    with pytest.raises(BadInput, match="0 to 14 shortcuts, none of 15"):
        draw(15, "B", Random(0))


def test_every_target_offers_its_sources() -> None:
    random = Random(0)
    drawn = {edge for _ in range(2000) for edge in draw(14, "B", random)}
    assert drawn == {(source, target) for target in TARGETS for source in sources(target)}


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["A", "B"]), st.integers(1, 3), st.sampled_from(MODES), st.integers(0, 10**6))
def test_a_match_is_never_the_searched_net(method: Method, count: int, mode: Mode, seed: int) -> None:
    edges = draw(count, method, Random(seed % 7))
    matched = match(edges, mode, method, seed)
    assert (matched.edges == edges) == ("no other architecture fits" in matched.flag)
    if mode != "indegree":
        assert matched.edges != edges


@pytest.mark.parametrize(
    ("edges", "mode", "method"),
    [((), "count", "A"), ((), "count+params", "B"), ((), "indegree", "B"), (((0, 2),), "indegree", "A")]
    + [(EDGES, mode, "A") for mode in MODES],
)
def test_where_no_other_one_fits_it_says_so(edges: tuple[Edge, ...], mode: Mode, method: Method) -> None:
    """Block 2 has one source: an ablation of its edge alone has nothing to vary."""
    matched = match(edges, mode, method, 0)
    assert set(matched.edges) == set(edges) and ITSELF in matched.flag


def test_a_draw_that_met_the_searched_net_is_drawn_again() -> None:
    found = [match(((0, 3),), "indegree", "B", seed) for seed in range(40)]
    assert {one.edges for one in found} == {((1, 3),)}
    assert 10 < sum("drawn again" in one.flag for one in found) < 30


def test_all_other_draws_are_those_of_before() -> None:
    """The digest of 180 draws as orch 0.1.0 made them: no job that did not meet its searched net has changed."""
    drawn = [
        str((mode, method, count, seed, match(searched, mode, method, seed).edges))
        for method in ("A", "B")
        for count in (3, 6, 11)
        for searched in [draw(count, method, Random(count))]
        for mode in ("count", "count+params", "indegree")
        for seed in range(10)
    ]
    assert hashlib.sha256("\n".join(drawn).encode()).hexdigest()[:16] == "8da02d16e07fb983"
