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

from db.bunches import ids
from db.rows import ResultRow
from jobs.words import JobState
from orchestrator.tables.keys import alike, number, parameters, setting, text
from orchestrator.tables.statistics import Summary, mean, summarize
from orchestrator.tables.values import Sorted, in_order, known_as

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
    def gpu_hours(self) -> float | None:
        """Of all its jobs; None where nobody knows of any."""
        return hours(row.gpu_seconds for row in self.rows)

    @property
    def cpu_hours(self) -> float | None:
        """Of all its jobs; None where nobody knows of any."""
        return hours(row.cpu_seconds for row in self.rows)

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
        if row.config.get("search"):
            return ("search", row.config["search"])
        return ("seed", row.seed, given_architecture(row))


def hours(seconds: Iterable[float | None]) -> float | None:
    """The sum of what is known, in hours; None where nothing is."""
    known = [one for one in seconds if one is not None]
    return sum(known) / 3600 if known else None


def given_architecture(row: ResultRow) -> str | None:
    """What a row made elsewhere says of its architecture: rows of one seed that name several are several architectures.

    A row that names none is a repeat of the others of its seed, as for jobs of orch, whose seed is the replicate.
    """
    return row.architecture if row.imported and not row.exported else None


def replicate(row: ResultRow) -> int | str:
    """Which draw a row is: its seed.

    A command whose parameter `seed` took the place of {seed} in its arguments ran with that one, whatever its own: such
    runs are repeats of one. (Submitting such jobs is refused since; older stores have them.)
    """
    parameters = row.config.get("parameters")
    if parameters is None or not isinstance(parameters, Mapping) or "seed" not in parameters:
        return row.seed
    used = any("{seed}" in str(word) for word in row.config.get("argv", ()))
    return f"seed {parameters['seed']}" if used else row.seed


def pairs(first: Cell, second: Cell, metric: str = ACCURACY) -> tuple[list[float], list[float]]:
    """The values of the architectures that belong together."""
    found = []
    for one, two in belonging(first.units, second.units):
        values = one.value(metric), two.value(metric)
        if values[0] is not None and values[1] is not None:
            found.append((values[0], values[1]))
    return [one for one, _ in found], [two for _, two in found]


def belonging(first: Sequence[Unit], second: Sequence[Unit]) -> list[tuple[Unit, Unit]]:
    """The architectures of two cells that belong together: by search where both know it, else by seed; in that order.

    A seed that stands for several architectures on a side pairs nothing, since which belongs to which is unknown.
    """
    by_search = all(unit.search is not None for unit in (*first, *second))
    one, two = (_by_replicate(units, by_search) for units in (first, second))
    return [(one[key], two[key]) for key in sorted(one.keys() & two.keys())]


def differing(rows: Sequence[ResultRow], ignored: Iterable[str] = ()) -> dict[str, list[Any]]:
    """The settings in which these rows differ, with their values, beyond those that say which cell they belong to."""
    skip = IDENTITY | set(ignored)
    rows = alike(rows)
    keys = {key for row in rows for key in row.config}
    if keys & {"argv", "parameters"}:  # of a program: what it is given is named, like any other setting
        keys = (keys - {"parameters", "quoted"}) | {name for row in rows for name in parameters(row)}
    found = {}
    for key in sorted(keys):
        values = in_order(setting(row, key) for row in rows)
        if len(values) > 1:
            found[key] = values
    if "argv" in found and any(name in found for row in rows for name in parameters(row)):
        del found["argv"]
    return {key: values for key, values in found.items() if key not in skip}


def split(rows: Sequence[ResultRow]) -> list[tuple[dict[str, str], list[ResultRow]]]:
    """Rows that agree in every setting, with the settings (as text) that tell the groups apart; one group if all do."""
    keys = list(differing(rows))
    if not keys:
        return [({}, list(rows))]
    groups: dict[tuple[Sorted, ...], list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(tuple(known_as(setting(row, key)) for key in keys), []).append(row)
    return [
        ({key: text(setting(same[0], key)) for key in keys}, same) for same in (groups[name] for name in sorted(groups))
    ]


def job_list(rows: Iterable[ResultRow]) -> str:
    """'job 7' or 'jobs 1–4, 7'."""
    found = ids(rows)
    runs: list[list[int]] = []
    for _, run in groupby(enumerate(found), key=lambda pair: pair[1] - pair[0]):
        members = [job for _, job in run]
        runs.append(members)
    shown = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)
    return f"{'job' if len(found) == 1 else 'jobs'} {shown}"


def _by_replicate(units: Iterable[Unit], by_search: bool) -> Mapping[int, Unit]:
    found: dict[int, list[Unit]] = {}
    for unit in units:
        key = unit.search if by_search and unit.search is not None else unit.seed
        found.setdefault(key, []).append(unit)
    return {key: same[0] for key, same in found.items() if len(same) == 1}
