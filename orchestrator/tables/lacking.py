"""What a job has no number of, and why: the remarks under a table that say where n is smaller. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from db.bunches import Bunch, Many, bunched, likes
from db.rows import Curve, ResultRow
from jobs.records import NO_PLACE
from jobs.words import FINAL
from orchestrator.tables.cells import job_list
from orchestrator.tables.keys import DERIVED, number, text

Epoch = Literal["result", "last", "best"]
"""Where a number is taken from: the job's result, or the last or the best epoch of its curve."""
MOST = 8
"""So many remarks of one sort are shown."""
NEEDS: Mapping[str, str] = {"params_m": "params"}
"""What a derived metric is made of."""
KNOWN_OF_ALL = frozenset({"gpu_hours", "cpu_hours"})
"""Numbers that orch takes itself, of jobs of every kind."""


@dataclass(frozen=True)
class Source:
    """Where the numbers of a table come from. `higher`: metric → whether a higher value is the better one."""

    epoch: Epoch
    curves: Mapping[int, Curve]
    higher: Mapping[str, bool]

    def value(self, row: ResultRow, metric: str) -> float | None:
        """The number of one job, where it is finite."""
        found = number(row, metric) if self.epoch == "result" else self._of_curve(row, metric)
        return found if found is not None and isfinite(found) else None

    def column(self, bunch: Bunch, metric: str) -> list[float | None]:
        """The same of each job of a bunch."""
        bare = metric if metric in bunch.metrics else metric.removeprefix("metrics.")
        if self.epoch != "result" or bare in DERIVED:
            return [self.value(row, metric) for row in bunch]
        column = bunch.metrics.get(bare)
        if column is None:
            return [None] * len(bunch)
        if isinstance(column, array) and isfinite(sum(column)):
            return list(column)
        return [one if one is not None and isfinite(one) else None for one in column]

    def lost(self, bunch: Bunch, metric: str) -> list[ResultRow]:
        """Those jobs of a bunch that named the metric at their end and had no finite number for it."""
        if self.epoch == "result" and None not in bunch.metrics.get(metric, ()):
            return []
        return [row for row in bunch if self.diverged(row, metric)]

    def last(self, row: ResultRow, metric: str) -> tuple[int, float | None] | None:
        """(epoch, value) of the newest line of a job that names the metric; None where none does."""
        curve = self.curves.get(row.job)
        return None if curve is None else last_of(curve, metric)

    def diverged(self, row: ResultRow, metric: str) -> bool:
        """Whether the job named the metric at its end and had no finite number for it."""
        if metric in row.metrics and row.metrics[metric] is None:
            return True
        found = self.last(row, metric) if self.epoch != "result" else None
        return found is not None and found[1] is None

    def _of_curve(self, row: ResultRow, metric: str) -> float | None:
        curve = self.curves.get(row.job)
        if curve is None:
            return None
        if self.diverged(row, metric):
            return None
        if self.epoch == "last":
            found = last_of(curve, metric)
            return None if found is None else found[1]
        points = [one for _, values in curve.points if (one := values.get(metric)) is not None and isfinite(one)]
        return (max(points) if self.higher[metric] else min(points)) if points else None


def last_of(curve: Curve, metric: str) -> tuple[int, float | None] | None:
    """(epoch, value) of the newest line that names the metric; where no order of lines is known, of the last epoch."""
    if metric in curve.last:
        return curve.last[metric]
    return next(((epoch, values[metric]) for epoch, values in reversed(curve.points) if metric in values), None)


class Lacking:
    """Which jobs of a table may still report a metric, and which ended without one."""

    def __init__(self, rows: Iterable[ResultRow]) -> None:
        self._reported: dict[str, set[str]] = {}
        for row in likes(rows):
            if row.metrics:
                self._reported.setdefault(row.kind, set()).update(row.metrics)

    def may_come(self, row: ResultRow, metric: str) -> bool:
        """Whether the job has not ended, and is of a kind that reports the metric as far as anybody can know."""
        if row.state in FINAL:
            return False
        if metric in row.declared:
            return True
        from jobs.kind import kinds

        declared = kinds().get(row.kind)
        names = {one.name for one in declared.metrics} if declared else set()
        names = names or self._reported.get(row.kind, set())
        return not names or metric in KNOWN_OF_ALL or NEEDS.get(metric, metric) in names

    def notes(self, keys: Sequence[Any], rows: Many, metrics: Sequence[str], source: Source) -> list[str]:
        """Of one group: which seeds have no finite number of a metric, and whose last epochs are not the same."""
        where = f"{', '.join(text(key) for key in keys)}: " if keys else ""
        found = []
        for metric in metrics:
            metric = NEEDS.get(metric, metric)
            lost = [row for bunch in rows.bunches for row in source.lost(bunch, metric)]
            if lost:
                theirs = "its" if len(lost) == 1 else "their"
                found.append(f"{where}{metric}, {job_list(lost)}, {seeds(lost)}: not finite at {theirs} last epoch")
            if source.epoch == "last":
                epochs: dict[int, list[ResultRow]] = {}
                for row in rows:
                    if source.value(row, metric) is not None and (last := source.last(row, metric)) is not None:
                        epochs.setdefault(last[0], []).append(row)
                if len(epochs) > 1:
                    told = "; ".join(
                        f"{'no epoch' if one == NO_PLACE else f'epoch {one}'} of {seeds(epochs[one])}"
                        for one in sorted(epochs, reverse=True)
                    )
                    found.append(f"{where}{metric}: the last epochs differ: {told}")
        return found


def seeds(rows: Iterable[ResultRow]) -> str:
    """'seed 2' or 'seeds 0, 1, 5'; a few of very many."""
    found = sorted({row.seed for row in rows})
    shown = ", ".join(map(str, found[:MOST])) + (f", … ({len(found)} in all)" if len(found) > MOST else "")
    return f"seed {shown}" if len(found) == 1 else f"seeds {shown}"


def few(notes: Sequence[str]) -> list[str]:
    """The first ones, and how many there are more."""
    return list(notes) if len(notes) <= MOST else [*notes[:MOST], f"… and {len(notes) - MOST} more such remarks"]


def flag_notes(rows: Sequence[ResultRow]) -> list[str]:
    """Remarks that results carry, each with its jobs."""
    flags: dict[str, list[Bunch]] = {}
    for bunch in bunched(rows).bunches:
        for name, flag in bunch.like.flags.items():
            flags.setdefault(f"{name}: {flag}", []).append(bunch)
    return few([f"{flag} ({job_list(Many(flags[flag]))})" for flag in sorted(flags)])
