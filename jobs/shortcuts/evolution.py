"""Evolution of shortcut sets: genomes, their variation, and NSGA-II on (validation accuracy, −parameters).

A genome is a list of 105 bits in the order of `architectures.EDGES` (a list, since numpy individuals break deap's
crossover through views). Crossover keeps whole target columns together: what a block reads is one building block.
Mutation flips each bit with p = 1/105 and sometimes rewires i→j to i′→j. Selection is deap's (NSGA-II, doi
10.1109/4235.996017).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any

import msgspec

from jobs.architectures import EDGES, parameters
from jobs.records import Edge
from jobs.shortcuts.discretise import TARGETS, sources
from jobs.shortcuts.matching import take

Genome = list[int]
Fitness = tuple[float, float]
"""(validation accuracy in percent, −parameters); both are maximised."""

SWAP = 0.5
"""The chance that a target column changes sides in a crossover."""
FLIP = 1.0 / len(EDGES)
REWIRE = 0.5
"""The chance that a mutation also rewires one edge."""
WORST: Fitness = (0.0, -float(parameters(EDGES)))
"""Of an individual whose training failed: no accuracy at the size of the largest net."""

_INDEX = {edge: index for index, edge in enumerate(EDGES)}
_COLUMNS = {target: [_INDEX[source, target] for source in sources(target)] for target in TARGETS}


class Evolution(msgspec.Struct, kw_only=True):
    """What one step hands to the next, as JSON. Genomes are texts of 105 signs, '0' or '1'."""

    generation: int
    """Of the genomes in `pending`; the initial population is 0."""
    population: list[str] = []
    """The survivors so far."""
    pending: list[str] = []
    """The genomes of this generation whose evaluations were asked for."""
    offspring: list[str] = []
    """All genomes of this generation, known ones (in `fitness`) included."""
    fitness: dict[str, Fitness] = {}
    failed: list[str] = []
    random: tuple[int, list[int], float | None]
    """The random state of `random.Random`."""


def begin(seed: int, population: int, most_edges: int) -> Evolution:
    """The initial population: `population` genomes of 0 to `most_edges` edges, the plain net among them."""
    random = Random(seed)
    genomes = [to_text([0] * len(EDGES))]
    while len(genomes) < population:
        genome = to_text(genome_of(take(EDGES, int(random.random() * (most_edges + 1)), random)))
        if genome not in genomes:
            genomes.append(genome)
    return Evolution(generation=0, pending=genomes, offspring=genomes, random=_kept(random))


def advance(state: Evolution, measured: Mapping[str, Fitness], population: int, *, last: bool) -> Evolution:
    """Take in the fitness of the pending genomes, select the survivors and, unless `last`, breed the next generation.

    A pending genome that is not in `measured` failed: it gets the worst fitness.
    """
    fitness = dict(state.fitness)
    failed = [genome for genome in state.pending if genome not in measured]
    fitness.update({genome: measured.get(genome, WORST) for genome in state.pending})
    survivors = select(list(dict.fromkeys([*state.population, *state.offspring])), fitness, population)
    random = Random()
    random.setstate(_restored(state.random))
    children: list[str] = [] if last else breed(survivors, fitness, population, random)
    return Evolution(
        generation=state.generation if last else state.generation + 1,
        population=survivors,
        offspring=children,
        pending=[genome for genome in dict.fromkeys(children) if genome not in fitness],
        fitness=fitness,
        failed=[*state.failed, *failed],
        random=_kept(random),
    )


def select(genomes: Sequence[str], fitness: Mapping[str, Fitness], size: int) -> list[str]:
    """The `size` best by non-dominated rank, then crowding distance (deap's selNSGA2)."""
    from deap import tools

    chosen = tools.selNSGA2([_individual(genome, fitness) for genome in genomes], min(size, len(genomes)))
    return [to_text(individual) for individual in chosen]


def front(fitness: Mapping[str, Fitness]) -> list[str]:
    """The non-dominated genomes among all that were measured, by parameters, the smallest net first."""
    from deap import tools

    known = [_individual(genome, fitness) for genome in fitness]
    best = tools.sortNondominated(known, len(known), first_front_only=True)[0] if known else []
    return sorted((to_text(individual) for individual in best), key=lambda genome: (-fitness[genome][1], genome))


def breed(parents: Sequence[str], fitness: Mapping[str, Fitness], size: int, random: Random) -> list[str]:
    """`size` children of parents that won a binary tournament (rank, then crowding)."""
    from deap import tools

    crowd = {}
    pool = [_individual(genome, fitness) for genome in parents]
    for rank, members in enumerate(tools.sortNondominated(pool, len(pool))):
        tools.emo.assignCrowdingDist(members)
        for member in members:
            crowd[to_text(member)] = (rank, -member.fitness.crowding_dist)

    def parent() -> Genome:
        rivals = [take(parents, 1, random)[0], take(parents, 1, random)[0]]
        return from_text(min(rivals, key=lambda genome: crowd[genome]))

    children: list[str] = []
    while len(children) < size:
        for child in crossover(parent(), parent(), random):
            children.append(to_text(mutate(child, random)))
    return children[:size]


def crossover(first: Sequence[int], second: Sequence[int], random: Random) -> tuple[Genome, Genome]:
    """Two children: every target column is swapped whole with probability 1/2. The parents are not changed."""
    left, right = list(first), list(second)
    for target in TARGETS:
        if random.random() < SWAP:
            for index in _COLUMNS[target]:
                left[index], right[index] = right[index], left[index]
    return left, right


def mutate(genome: Sequence[int], random: Random) -> Genome:
    """A copy with every bit flipped with p = 1/105 and, half of the time, one edge i→j rewired to a free i′→j."""
    child = [bit ^ (random.random() < FLIP) for bit in genome]
    if random.random() < REWIRE:
        movable = [
            index
            for target in TARGETS
            for index in _COLUMNS[target]
            if child[index] and not all(child[other] for other in _COLUMNS[target])
        ]
        if movable:
            old = take(movable, 1, random)[0]
            free = [index for index in _COLUMNS[EDGES[old][1]] if not child[index]]
            new = take(free, 1, random)[0]
            child[old], child[new] = 0, 1
    return child


def genome_of(edges: Iterable[Edge]) -> Genome:
    """The 105 bits of a set of edges. Raises KeyError where one is no edge of the space."""
    genome = [0] * len(EDGES)
    for edge in edges:
        genome[_INDEX[edge]] = 1
    return genome


def edges_of(genome: Sequence[int]) -> tuple[Edge, ...]:
    """The edges of a genome, sorted."""
    return tuple(sorted(edge for edge, bit in zip(EDGES, genome, strict=True) if bit))


def to_text(genome: Sequence[int]) -> str:
    return "".join(map(str, genome))


def from_text(text: str) -> Genome:
    return [int(sign) for sign in text]


def _individual(genome: str, fitness: Mapping[str, Fitness]) -> Any:
    individual = _types()[0](from_text(genome))
    individual.fitness = _types()[1](fitness[genome])
    return individual


@cache
def _types() -> tuple[type[Any], type[Any]]:
    """deap's individual and its fitness (made once; importing deap imports numpy)."""
    from deap import base

    return type("Individual", (list,), {}), type("Measure", (base.Fitness,), {"weights": (1.0, 1.0)})


def _kept(random: Random) -> tuple[int, list[int], float | None]:
    version, internal, gauss = random.getstate()
    return version, list(internal), gauss


def _restored(kept: tuple[int, list[int], float | None]) -> tuple[int, tuple[int, ...], float | None]:
    return kept[0], tuple(kept[1]), kept[2]
