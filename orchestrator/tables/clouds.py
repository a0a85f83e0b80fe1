"""The points of Figures 1 and 2: what each distinct training measured, and which search it came from. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from orchestrator.tables.cells import ACCURACY, Cell
from orchestrator.tables.statistics import mean
from orchestrator.tables.table2 import RANDOM, Row
from orchestrator.tables.words import row_name, variant_text

Search = tuple[str, int | str]
"""What a point's draw is named by: its search where that is known, else its seed."""
Training = tuple[Search, Hashable]


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The architectures of one cell: x and accuracy of each."""

    name: str
    method: str
    series: str
    """The method with what tells its rows apart ('A', 'A, pretrained'): one line each."""
    random: bool
    x: tuple[float, ...]
    y: tuple[float, ...]
    trainings: tuple[Training, ...]
    """Which training each point is: read-outs of a search that found the same architecture are one."""


def clouds(rows: Sequence[Row], metric: str) -> list[Cloud]:
    """The cells of Table 2 as points, searched ones and their matched random ones."""
    found = []
    for row in rows:
        for cell, random in ((row.cell, row.architecture == RANDOM), (row.random, True)):
            points = _points(cell, metric)
            if points:
                trainings, x, y = zip(*points, strict=True)
                series = ", ".join(part for part in (row.architecture, variant_text(row)) if part)
                found.append(
                    Cloud(
                        name=row_name(row),
                        method=row.architecture,
                        series=series,
                        random=random,
                        x=x,
                        y=y,
                        trainings=trainings,
                    )
                )
    return found


def _points(cell: Cell | None, metric: str) -> list[tuple[Training, float, float]]:
    """(training, x, accuracy) of each architecture of a cell."""
    found: list[tuple[Training, float, float]] = []
    for unit in cell.units if cell is not None else ():
        one, accuracy = unit.value(metric), unit.value(ACCURACY)
        if one is None or accuracy is None:
            continue
        search: Search = ("seed", unit.seed) if unit.search is None else ("search", unit.search)
        row = unit.rows[0]
        found.append(((search, (one, accuracy) if row.edges is None else row.edges), one, accuracy))
    return found


def distinct(found: Sequence[Cloud]) -> tuple[list[float], list[float], list[Search]]:
    """x, accuracy and search of every distinct training of these clouds; of one trained in several, the mean."""
    points: dict[Training, list[tuple[float, float]]] = {}
    for cloud in found:
        for training, *point in zip(cloud.trainings, cloud.x, cloud.y, strict=True):
            points.setdefault(training, []).append((point[0], point[1]))
    x = [mean([one for one, _ in same]) for same in points.values()]
    return x, [mean([one for _, one in same]) for same in points.values()], [search for search, _ in points]
