"""A cell: the jobs that belong together, and what they measured per architecture.

The architecture is the unit (study.md): trainings that repeat one are averaged first. A replicate of a search is one
architecture even where two searches happen to find the same one, since the search is what is repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from db.rows import ResultRow
from jobs.words import JobState
from orchestrator.statistics import Summary, mean, summarize
from orchestrator.tables.keys import number, setting, text

ACCURACY = "test_accuracy"
IDENTITY = frozenset(
    {"preset", "dataset", "method", "search_epoch", "search", "repeat", "architecture", "edges", "seed"}
)
"""Settings that say which cell, replicate or repeat a job is: they never count as a differing config."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One architecture with a result: the mean over its finished trainings."""

    search: int | None
    seed: int
    rows: tuple[ResultRow, ...]

    def value(self, metric: str) -> float | None:
        values = [found for row in self.rows if (found := number(row, metric)) is not None]
        return mean(values) if values else None


@dataclass(frozen=True)
class Cell:
    """The jobs of one cell. `planned` is how many architectures it will have, where more than there are jobs yet."""

    rows: tuple[ResultRow, ...]
    per_training: bool = False
    """Every training is a unit of its own (the baseline is one architecture: its ± is over training seeds)."""
    planned: int = 0

    @cached_property
    def groups(self) -> tuple[tuple[ResultRow, ...], ...]:
        """The jobs of each architecture, in order of search and seed."""
        grouped: dict[tuple[Any, ...], list[ResultRow]] = {}
        for row in sorted(self.rows, key=lambda row: (row.config.get("search") or 0, row.seed, row.job)):
            grouped.setdefault(self._unit_key(row), []).append(row)
        return tuple(tuple(group) for group in grouped.values())

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The architectures that have a result."""
        found = []
        for group in self.groups:
            done = tuple(row for row in group if number(row, ACCURACY) is not None)
            if done:
                found.append(Unit(search=done[0].config.get("search") or None, seed=done[0].seed, rows=done))
        return tuple(found)

    @property
    def n(self) -> int:
        return len(self.units)

    @property
    def expected(self) -> int:
        return max(len(self.groups), self.planned)

    @property
    def complete(self) -> bool:
        return 0 < self.n == self.expected and self._done == len(self.rows)

    @property
    def begun(self) -> bool:
        waiting = (JobState.WAITING, JobState.QUEUED, JobState.SUBMITTED)
        return any(row.state not in waiting for row in self.rows)

    @property
    def progress(self) -> str:
        """What stands in place of a number: 'pending', or '8/10'; trainings are counted where only repeats lack."""
        if not self.begun:
            return "pending"
        if self.n < self.expected:
            return f"{self.n}/{self.expected}"
        return f"{self._done}/{len(self.rows)}"

    @property
    def gpu_hours(self) -> float:
        return sum(row.gpu_seconds for row in self.rows) / 3600

    def values(self, metric: str) -> list[float]:
        """Per architecture, of those that have it."""
        if metric not in self._columns:
            self._columns[metric] = [found for unit in self.units if (found := unit.value(metric)) is not None]
        return self._columns[metric]

    def summary(self, metric: str) -> Summary:
        return summarize(self.values(metric))

    @cached_property
    def _columns(self) -> dict[str, list[float]]:
        return {}

    @cached_property
    def _done(self) -> int:
        return sum(len(unit.rows) for unit in self.units)

    def _unit_key(self, row: ResultRow) -> tuple[Any, ...]:
        if self.per_training:
            return ("job", row.job)
        if row.imported:
            return ("imported", row.architecture or row.job)
        if row.config.get("search"):
            return ("search", row.config["search"])
        return ("seed", row.seed)


def pairs(first: Cell, second: Cell, metric: str = ACCURACY) -> tuple[list[float], list[float]]:
    """The values of the architectures that belong together: by search where both cells know it, else by seed.

    A seed that stands for several architectures on a side pairs nothing, since which belongs to which is unknown.
    """
    by_search = all(unit.search is not None for unit in (*first.units, *second.units))
    sides = [_by_replicate(cell, by_search) for cell in (first, second)]
    found = []
    for key in sides[0].keys() & sides[1].keys():
        one, two = sides[0][key].value(metric), sides[1][key].value(metric)
        if one is not None and two is not None:
            found.append((key, one, two))
    found.sort()
    return [one for _, one, _ in found], [two for _, _, two in found]


def differing(rows: Sequence[ResultRow], ignored: Iterable[str] = ()) -> dict[str, list[Any]]:
    """The settings in which these rows differ, with their values, beyond those that say which cell they belong to."""
    skip = IDENTITY | set(ignored)
    keys = {key for row in rows for key in row.config} - skip
    found = {}
    for key in sorted(keys):
        values = {text(value): value for value in (setting(row, key) for row in rows)}
        if len(values) > 1:
            found[key] = [values[name] for name in sorted(values)]
    return found


def split(rows: Sequence[ResultRow]) -> list[tuple[dict[str, str], list[ResultRow]]]:
    """Rows that agree in every setting, with the settings (as text) that tell the groups apart; one group if all do."""
    keys = list(differing(rows))
    if not keys:
        return [({}, list(rows))]
    groups: dict[tuple[str, ...], list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(tuple(text(setting(row, key)) for key in keys), []).append(row)
    return [(dict(zip(keys, values, strict=True)), groups[values]) for values in sorted(groups)]


def job_list(rows: Iterable[ResultRow]) -> str:
    """'job 7' or 'jobs 1–4, 7'."""
    ids = sorted(row.job for row in rows)
    runs: list[list[int]] = []
    for _, run in groupby(enumerate(ids), key=lambda pair: pair[1] - pair[0]):
        members = [job for _, job in run]
        runs.append(members)
    shown = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)
    return f"{'job' if len(ids) == 1 else 'jobs'} {shown}"


def _by_replicate(cell: Cell, by_search: bool) -> Mapping[int, Unit]:
    found: dict[int, list[Unit]] = {}
    for unit in cell.units:
        key = unit.search if by_search and unit.search is not None else unit.seed
        found.setdefault(key, []).append(unit)
    return {key: units[0] for key, units in found.items() if len(units) == 1}
