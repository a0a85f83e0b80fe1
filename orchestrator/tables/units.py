"""The units of a group: jobs that repeat one training are one, any other job stands alone. By column. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any

from db.bunches import Bunch, Many
from db.rows import ResultRow
from orchestrator.tables.cells import given_architecture, replicate
from orchestrator.tables.keys import text
from orchestrator.tables.lacking import Source
from orchestrator.tables.pairing import DRAWN, pair_key
from orchestrator.tables.statistics import mean

Configs = dict[int, tuple[tuple[str, str], ...]]


class Units:
    """The units of these jobs, in order of their first ones."""

    def __init__(self, rows: Many) -> None:
        self._rows = rows
        self._parts = _positions(rows)
        self._numbers: dict[str, list[float | None]] = {}

    def __len__(self) -> int:
        return len(self._rows) if self._parts is None else len(self._parts)

    def numbers(self, metric: str, source: Source) -> list[float | None]:
        """The finite number of each job; None where it has none."""
        if metric not in self._numbers:
            self._numbers[metric] = self._rows.ordered(source.column(bunch, metric) for bunch in self._rows.bunches)
        return self._numbers[metric]

    def values(self, metric: str, source: Source) -> tuple[float | None, ...]:
        """Of each unit the mean over the repeats that have it."""
        numbers = self.numbers(metric, source)
        if self._parts is None:
            return tuple([None if one is None else one + 0.0 for one in numbers])  # as mean says it, never -0
        found = ([one for at in part if (one := numbers[at]) is not None] for part in self._parts)
        return tuple(mean(values) if values else None for values in found)

    def replicates(self) -> tuple[Any, ...]:
        """Of each unit what it shares with those that it is paired with (see `pair_key`)."""
        if any(bunch.like.kind == DRAWN for bunch in self._rows.bunches):
            rows = list(self._rows)
            parts = self._parts if self._parts is not None else [[at] for at in range(len(rows))]
            return tuple(pair_key([rows[at] for at in part]) for part in parts)
        keys = self._rows.ordered(map(_pair_keys, self._rows.bunches))
        return tuple(keys) if self._parts is None else tuple(keys[part[0]] for part in self._parts)


def _pair_keys(bunch: Bunch) -> Sequence[tuple[str, int | str]]:
    search = bunch.like.config.get("search") or None
    if search:
        return [("search", search)] * len(bunch)
    drawn = replicate(bunch.like)
    return [("seed", drawn)] * len(bunch) if isinstance(drawn, str) else list(zip(repeat("seed"), bunch.seeds))


def _positions(rows: Many) -> list[list[int]] | None:
    """Positions of each unit's jobs among all, in their order; None where every job is a unit."""
    settings: Configs = {}
    trainings = [_training(bunch.like, settings) for bunch in rows.bunches]
    shared = [isinstance(replicate(bunch.like), str) for bunch in rows.bunches]
    alone = len(set(trainings)) == len(trainings) and not any(shared)
    if alone and all(len(set(bunch.seeds)) == len(bunch) for bunch in rows.bunches):
        return None
    keys = (
        [(training, replicate(bunch.like))] * len(bunch) if one else [(training, seed) for seed in bunch.seeds]
        for bunch, training, one in zip(rows.bunches, trainings, shared, strict=True)
    )
    units: dict[tuple[Any, ...], list[int]] = {}
    for at, key in enumerate(rows.ordered(keys)):
        units.setdefault(key, []).append(at)
    return list(units.values())


def units_of(rows: Sequence[ResultRow]) -> list[list[ResultRow]]:
    """The same as rows."""
    units: dict[tuple[Any, ...], list[ResultRow]] = {}
    settings: Configs = {}
    for row in rows:
        units.setdefault((_training(row, settings), replicate(row)), []).append(row)
    return list(units.values())


def _training(row: ResultRow, known: Configs) -> tuple[Any, ...]:
    """What the repeats of one training share, besides their replicate."""
    config = known.get(id(row.config))
    if config is None:
        found = ((key, text(one)) for key, one in row.config.items() if key != "repeat")
        config = known[id(row.config)] = tuple(sorted(found))
    return row.study, row.kind, config, given_architecture(row)
