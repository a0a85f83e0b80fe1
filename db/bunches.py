"""Many jobs as columns: those that differ in id, seed and numbers alone stand in one bunch. Pure.

A table of a million results is made of a few thousand bunches: what their jobs share is asked once, of `like`, and
numbers are read by column. Whoever wants one job after the other iterates, as over a list of rows.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import Any, TypeVar, overload

from db.rows import ResultRow

OWN = frozenset({"job", "seed", "metrics", "gpu_seconds", "cpu_seconds"})
"""Fields in which the jobs of one bunch differ; the names of their metrics they share."""
SECONDS = ("gpu_seconds", "cpu_seconds")
_OBJECTS = frozenset({"config", "flags", "declared", "resume"})
"""Fields that are alike where they are the very same object."""
_SHARED = tuple(one.name for one in fields(ResultRow) if one.name not in OWN | _OBJECTS)
_shared = attrgetter(*_SHARED)

_FAR = 2**44
"""Further than any place."""
K = TypeVar("K", bound=Hashable)
Column = Sequence[Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class Bunch:
    """Jobs that are alike, in order of their place among all jobs."""

    like: ResultRow
    """The first of them: what it is, but for `OWN`, all are."""
    places: Sequence[int]
    jobs: Sequence[int]
    seeds: Sequence[int]
    metrics: Mapping[str, Column]
    """Name → the number of each job (or None), for the names that all of them have."""
    seconds: Mapping[str, Column]
    """gpu_seconds and cpu_seconds of each job, where they are not all those of `like`."""

    def __len__(self) -> int:
        return len(self.jobs)

    def member(self, at: int) -> ResultRow:
        """One job as a row."""
        row = object.__new__(ResultRow)
        own: dict[str, Any] = {"job": self.jobs[at], "seed": self.seeds[at]}
        if self.metrics:
            own["metrics"] = {name: column[at] for name, column in self.metrics.items()}
        for name, column in self.seconds.items():
            own[name] = column[at]
        vars(row).update(vars(self.like), **own)
        return row

    def __iter__(self) -> Iterator[ResultRow]:
        return map(self.member, range(len(self)))

    def only(self, kept: Sequence[int]) -> Bunch:
        """Those at these positions, ascending; one at least."""
        if len(kept) == len(self):
            return self
        return Bunch(
            like=self.member(kept[0]),
            places=[self.places[at] for at in kept],
            jobs=[self.jobs[at] for at in kept],
            seeds=[self.seeds[at] for at in kept],
            metrics={name: [column[at] for at in kept] for name, column in self.metrics.items()},
            seconds={name: [column[at] for at in kept] for name, column in self.seconds.items()},
        )


class Many(Sequence[ResultRow]):
    """The jobs of bunches, in order of their places."""

    def __init__(self, bunches: Iterable[Bunch]) -> None:
        self.bunches = sorted(bunches, key=lambda bunch: bunch.places[0])

    def __len__(self) -> int:
        return self._length

    @cached_property
    def _length(self) -> int:
        return sum(map(len, self.bunches))

    @cached_property
    def order(self) -> Sequence[int] | None:
        """Positions of the jobs, bunch after bunch, in order of place; None where they stand so already."""
        ends = (bunch.places[-1] for bunch in self.bunches)
        if all(end < after.places[0] for end, after in zip(ends, self.bunches[1:], strict=False)):
            return None
        places = array("q", chain.from_iterable(bunch.places for bunch in self.bunches))
        return sorted(range(len(places)), key=places.__getitem__)

    def ordered(self, columns: Iterable[Iterable[Any]]) -> list[Any]:
        """The values of a column of each bunch, in the jobs' order."""
        values = list(chain.from_iterable(columns))
        return values if self.order is None else [values[at] for at in self.order]

    def __iter__(self) -> Iterator[ResultRow]:
        if self.order is None:
            return chain.from_iterable(self.bunches)
        starts = [(bunch, at) for bunch in self.bunches for at in range(len(bunch))]
        return (bunch.member(at) for bunch, at in map(starts.__getitem__, self.order))

    @overload
    def __getitem__(self, at: int) -> ResultRow: ...
    @overload
    def __getitem__(self, at: slice) -> list[ResultRow]: ...
    def __getitem__(self, at: int | slice) -> ResultRow | list[ResultRow]:
        return self.bunches[0].member(0) if at == 0 else list(self)[at]


def bunched(rows: Sequence[ResultRow]) -> Many:
    """Rows as bunches, in the order in which they were given."""
    if isinstance(rows, Many):
        return rows
    found: dict[tuple[Any, ...], list[int]] = {}
    for place, row in enumerate(rows):
        objects = id(row.config), id(row.flags), id(row.declared), id(row.resume)
        found.setdefault((*objects, *row.metrics, None, *_shared(row)), []).append(place)
    return Many(_bunch([rows[place] for place in places], places) for places in found.values())


def _bunch(rows: Sequence[ResultRow], places: Sequence[int]) -> Bunch:
    return Bunch(
        like=rows[0],
        places=places,
        jobs=[row.job for row in rows],
        seeds=[row.seed for row in rows],
        metrics={name: [row.metrics[name] for row in rows] for name in rows[0].metrics},
        seconds={name: [getattr(row, name) for row in rows] for name in SECONDS},
    )


def likes(rows: Iterable[ResultRow]) -> Iterable[ResultRow]:
    """A row of each bunch: for what the jobs of one share. Of rows that are in none, each."""
    return [bunch.like for bunch in rows.bunches] if isinstance(rows, Many) else rows


def where(rows: Many, holds: Callable[[ResultRow], Any]) -> Many:
    """Those of which it holds; it is asked of what the jobs of a bunch share."""
    return Many(bunch for bunch in rows.bunches if holds(bunch.like))


def parted(rows: Many, by: Callable[[ResultRow], K]) -> dict[K, Many]:
    """The rows of each key, which is taken of what the jobs of a bunch share; the keys in order of their first row."""
    bunches: dict[K, list[Bunch]] = {}
    for bunch in rows.bunches:
        bunches.setdefault(by(bunch.like), []).append(bunch)
    return {key: Many(own) for key, own in bunches.items()}


def joined(parts: Sequence[Many]) -> Many:
    """The rows of several parts, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    return Many(
        replace(bunch, places=[number * _FAR + place for place in bunch.places])
        for number, part in enumerate(parts)
        for bunch in part.bunches
    )


def ids(rows: Iterable[ResultRow]) -> list[int]:
    """The jobs' ids, ascending."""
    if isinstance(rows, Many):
        return sorted(chain.from_iterable(bunch.jobs for bunch in rows.bunches))
    return sorted(row.job for row in rows)
