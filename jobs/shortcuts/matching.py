"""Random architectures matched to a searched one: the baseline that a search must beat (arXiv 1902.07638).

Every mode draws from the method's own read-out space, so the draw could have come out of that search: A any subset of
the 105 edges, B at most one edge per block (only 0.1 % of uniform 11-subsets are possible outputs of B).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Literal, TypeVar

import msgspec

from jobs.architectures import EDGES, canonical, edge_parameters
from jobs.errors import BadInput
from jobs.records import Edge
from jobs.shortcuts.discretise import TARGETS, Method, sources

T = TypeVar("T")
Mode = Literal["count", "count+params", "indegree"]

TOLERANCE = 0.05
"""`count+params`: the extra parameters are within this share of the searched net's."""
MOST_DRAWS = 100_000


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A matched random architecture. `flag` is the footnote that a table shows; empty where there is none."""

    edges: tuple[Edge, ...]
    flag: str = ""


def match(edges: Iterable[Edge], mode: Mode, method: Method, seed: int, width: float = 1.0) -> Match:
    """One random architecture for one searched architecture; the same arguments give the same draw.

    `count`: as many edges. `count+params`: redrawn until the extra parameters at `width` agree within 5 %; after
    100,000 draws the nearest, flagged. `indegree`: as many edges into every block, from random sources (an ablation,
    flagged so). A draw that is the searched net itself is drawn again; where no other one fits, it is flagged, and no
    table compares with it.
    Raises BadInput where `edges` is no possible output of the method.
    """
    searched = check(edges, method)
    random = Random(f"{mode}/{method}/{seed}/{searched}")
    if _is_only(searched, mode, method):
        return Match(edges=searched, flag="no other architecture fits: it is the searched one itself")
    if mode == "count+params":
        return _by_parameters(searched, method, random, width)
    drawn = _once(searched, mode, method, random)
    again = 0
    while drawn == searched:
        again += 1
        drawn = _once(searched, mode, method, random)
    flags = ["ablation: same targets, random sources"] if mode == "indegree" else []
    flags += [f"drawn again {again} times: it was the searched net itself"] if again else []
    return Match(edges=drawn, flag="; ".join(flags))


def _once(searched: Sequence[Edge], mode: Mode, method: Method, random: Random) -> tuple[Edge, ...]:
    if mode == "count":
        return draw(len(searched), method, random)
    drawn = [
        (source, target)
        for target in TARGETS
        for source in take(sources(target), sum(edge[1] == target for edge in searched), random)
    ]
    return tuple(sorted(drawn))


def _by_parameters(searched: Sequence[Edge], method: Method, random: Random, width: float) -> Match:
    """`count+params`: the searched net itself, which would fit best, is passed over."""
    extra = {edge: edge_parameters(edge, width) for edge in EDGES}
    wanted = sum(extra[edge] for edge in searched)
    nearest: tuple[Edge, ...] = ()
    gap = float("inf")
    for _ in range(MOST_DRAWS):
        candidate = draw(len(searched), method, random)
        if candidate == searched:
            continue
        distance = abs(sum(extra[edge] for edge in candidate) - wanted)
        if distance <= TOLERANCE * wanted:
            return Match(edges=candidate)
        if distance < gap:
            nearest, gap = candidate, distance
    off = f"{100 * gap / wanted:.1f} % off" if wanted else f"{gap:.0f} parameters off"
    return Match(edges=nearest, flag=f"nearest of {MOST_DRAWS} draws, {off}")


def _is_only(searched: Sequence[Edge], mode: Mode, method: Method) -> bool:
    """Whether the mode can draw nothing but the searched net: without shortcuts, or with all that there are."""
    if mode != "indegree":
        return len(searched) == 0 or (method == "A" and len(searched) == len(EDGES))
    return all(sum(edge[1] == target for edge in searched) in (0, len(sources(target))) for target in TARGETS)


def draw(count: int, method: Method, random: Random) -> tuple[Edge, ...]:
    """`count` random edges that the method could have read out, sorted.

    A: a uniform subset of the edges. B: uniform target blocks, then a uniform source for each, as a read-out of random
    α would give (its extra parameters agree with the report's rows of B: docs/study.md).
    Raises BadInput where the method has no architecture of so many edges.
    """
    most = len(EDGES) if method == "A" else len(TARGETS)
    if not 0 <= count <= most:
        raise BadInput(f"method {method} has architectures of 0 to {most} shortcuts, none of {count}")
    if method == "A":
        return tuple(sorted(take(EDGES, count, random)))
    return tuple(sorted((take(sources(target), 1, random)[0], target) for target in take(TARGETS, count, random)))


def check(edges: Iterable[Edge], method: Method) -> tuple[Edge, ...]:
    """The edges sorted, or BadInput naming the edge or block that the method cannot read out."""
    checked = canonical(edges)
    seen: set[int] = set()
    for _, target in checked:
        if method == "B" and target in seen:
            raise BadInput(
                f"block {target} has two shortcuts, but method B reads out at most one per block: match as A"
            )
        seen.add(target)
    return checked


def take(items: Sequence[T], count: int, random: Random) -> list[T]:
    """`count` distinct items in random order. Built on `random()` alone, whose sequence Python guarantees."""
    pool = list(items)
    for index in range(count):
        other = index + int(random.random() * (len(pool) - index))
        pool[index], pool[other] = pool[other], pool[index]
    return pool[:count]
