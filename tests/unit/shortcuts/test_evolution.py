"""The pure parts of the evolution: genomes, variation, NSGA-II, the state that one step hands to the next."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.architectures import EDGES, parameters
from jobs.shortcuts.discretise import TARGETS
from jobs.shortcuts.evolution import (
    WORST,
    Evolution,
    Fitness,
    advance,
    begin,
    crossover,
    edges_of,
    from_text,
    front,
    genome_of,
    mutate,
    select,
    to_text,
)

genomes = st.lists(st.integers(0, 1), min_size=105, max_size=105)


def column(genome: list[int], target: int) -> list[int]:
    return [bit for bit, edge in zip(genome, EDGES, strict=True) if edge[1] == target]


def made_up(genome: str) -> Fitness:
    """A fitness with a trade-off: even-numbered edges help, and every edge costs its parameters."""
    bits = from_text(genome)
    return 50.0 + sum(bits[::2]), -float(parameters(edges_of(bits)))


def evolve(seed: int, generations: int, size: int = 12) -> Evolution:
    state = begin(seed, size, 20)
    for generation in range(generations):
        measured = {genome: made_up(genome) for genome in state.pending}
        state = advance(state, measured, size, last=generation == generations - 1)
    return state


@given(genomes)
def test_a_genome_and_its_edges_and_its_text_are_one(genome: list[int]) -> None:
    assert genome_of(edges_of(genome)) == genome
    assert from_text(to_text(genome)) == genome
    assert len(edges_of(genome)) == sum(genome)


@given(genomes, genomes, st.integers(0, 1000))
def test_crossover_swaps_whole_target_columns(first: list[int], second: list[int], seed: int) -> None:
    before = list(first), list(second)
    left, right = crossover(first, second, Random(seed))
    assert (first, second) == before
    for target in TARGETS:
        pair = {tuple(column(left, target)), tuple(column(right, target))}
        assert pair == {tuple(column(first, target)), tuple(column(second, target))}


def test_crossover_mixes() -> None:
    left, _ = crossover([0] * 105, [1] * 105, Random(0))
    assert 0 < sum(left) < 105


@given(genomes, st.integers(0, 1000))
def test_mutation_leaves_the_parent_alone(genome: list[int], seed: int) -> None:
    before = list(genome)
    child = mutate(genome, Random(seed))
    assert genome == before
    assert len(child) == 105
    assert set(child) <= {0, 1}


def test_mutation_flips_one_bit_on_average_and_rewires_within_a_block() -> None:
    random = Random(5)
    parent = genome_of([(0, 5), (3, 9), (1, 12)])
    flips, rewired = 0, 0
    for _ in range(2000):
        child = mutate(parent, random)
        changed = [edge for edge, a, b in zip(EDGES, parent, child, strict=True) if a != b]
        same_size = sum(child) == 3 and len(changed) == 2
        rewired += same_size and changed[0][1] == changed[1][1]
        flips += len(changed) % 2
    assert 0.1 < rewired / 2000 < 0.4  # half of them, where no bit flipped besides (e^-1)
    assert 0.3 < flips / 2000 < 0.6


def test_the_initial_population_has_the_plain_net_and_no_twins() -> None:
    state = begin(3, 20, 8)
    assert len(set(state.pending)) == 20
    assert "0" * 105 in state.pending
    assert max(genome.count("1") for genome in state.pending) <= 8


def test_selection_keeps_the_front() -> None:
    fitness: dict[str, Fitness] = {}
    bits = [genome_of(EDGES[:k]) for k in range(6)]
    for k, genome in enumerate(map(to_text, bits)):
        fitness[genome] = (90.0 + k, -100.0 - k)
    dominated = to_text(genome_of(EDGES[50:60]))
    fitness[dominated] = (80.0, -500.0)
    assert dominated not in select(list(fitness), fitness, 6)
    assert front(fitness) == [to_text(genome) for genome in bits]
    assert front({}) == []


def test_evolution_improves_both_ends_of_the_front() -> None:
    first, last = evolve(1, 1), evolve(1, 15)

    def volume(state: Evolution) -> float:
        """Area dominated above (50 %, 31 M parameters)."""
        area, best = 0.0, 50.0
        for genome in front(state.fitness):
            accuracy, size = state.fitness[genome]
            area += (accuracy - best) * (31e6 + size)
            best = accuracy
        return area

    assert volume(last) > 1.5 * volume(first)
    assert last.pending == []


def test_a_step_through_json_is_the_same_step() -> None:
    state = begin(7, 8, 10)
    measured = {genome: made_up(genome) for genome in state.pending}
    copied = msgspec.json.decode(msgspec.json.encode(state), type=Evolution)
    assert advance(copied, measured, 8, last=False) == advance(state, measured, 8, last=False)
    assert evolve(7, 5) == evolve(7, 5)
    assert evolve(7, 5).population != evolve(8, 5).population


def test_a_failed_individual_gets_the_worst_fitness_and_does_not_survive() -> None:
    state = begin(0, 6, 10)
    lost = state.pending[1]
    measured = {genome: made_up(genome) for genome in state.pending if genome != lost}
    following = advance(state, measured, 5, last=False)
    assert following.fitness[lost] == WORST
    assert following.failed == [lost]
    assert lost not in following.population
    assert lost not in front(following.fitness)


def test_a_known_genome_is_not_evaluated_again() -> None:
    state = begin(0, 6, 10)
    for _ in range(12):
        state = advance(state, {genome: made_up(genome) for genome in state.pending}, 6, last=False)
        assert not set(state.pending) & set(state.fitness)
        assert set(state.offspring) <= set(state.pending) | set(state.fitness)
        assert len(state.offspring) == 6
    assert len(state.fitness) <= 6 + 12 * 6


@pytest.mark.parametrize("edge", [(0, 1), (5, 3)])
def test_no_genome_holds_what_is_no_edge(edge: tuple[int, int]) -> None:
    with pytest.raises(KeyError):
        genome_of([edge])
