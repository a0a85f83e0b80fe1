"""Figures 1 and 2 (accuracy against parameters and against shortcuts), and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from db.rows import ResultRow
from orchestrator.figures.data import FigureData, NothingToDraw
from orchestrator.figures.style import BLACK, GREY, MARKERS, METHODS, canvas, colour, title, whole_numbers, words
from orchestrator.tables.cells import ACCURACY
from orchestrator.tables.clouds import Cloud, Training, clouds, distinct
from orchestrator.tables.keys import number
from orchestrator.tables.regression import Line, regress
from orchestrator.tables.statistics import deviation, mean
from orchestrator.tables.table2 import BASELINE, RANDOM, Row, build
from orchestrator.tables.words import row_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {"params_m": "parameters (M)", "shortcuts": "number of shortcuts"}
FILLS: tuple[Literal["full", "left", "bottom"], ...] = ("full", "left", "bottom")
UNITS = {"params_m": "points per M", "shortcuts": "points per shortcut"}
"""Of a slope: accuracies differ by percentage points."""
NO_ARCHITECTURE = frozenset({"search", "evolve", "evolve-step"})
"""A search's accuracy is that of its supernet, with all shortcuts at once; a step of the evolution only repeats its
best individual's."""


def parameters(data: FigureData) -> Figure:
    """Figure 1: test accuracy against parameters."""
    return _scatter(data, "params_m", "Accuracy against parameters")


def shortcuts(data: FigureData) -> Figure:
    """Figure 2: test accuracy against the number of shortcuts."""
    return _scatter(data, "shortcuts", "Accuracy against number of shortcuts")


def pareto(data: FigureData) -> Figure:
    """Every architecture's mean accuracy against its parameters, with those that no other one beats in both."""
    detail = data.setting()
    metric = data.metric
    if metric == ACCURACY and not any(number(row, ACCURACY) is not None for row in data.rows):
        metric = "val_accuracy"
    kinds = architectures(data.rows, metric)
    if not kinds:
        raise NothingToDraw(f"nothing to draw: no finished job has both params and {metric}")
    figure = canvas(6.4, 4.2)
    axes = figure.add_subplot()
    for index, (kind, points) in enumerate(sorted(kinds.items())):
        axes.scatter(
            [x for x, _ in points],
            [y for _, y in points],
            s=22,
            marker=MARKERS[index % len(MARKERS)],
            facecolors="none",
            edgecolors=colour(index),
            label=f"{kind} (n = {len(points)})",
        )
    best = front([point for points in kinds.values() for point in points])
    axes.step(
        [x for x, _ in best],
        [y for _, y in best],
        where="post",
        color=BLACK,
        linewidth=1.2,
        marker="o",
        markersize=3.5,
        label=f"Pareto front ({len(best)})",
    )
    axes.set_xlabel(LABELS["params_m"])
    axes.set_ylabel(f"{words(metric)} (%)")
    figure.legend(loc="outside lower center", ncols=3)
    n = f"n = {sum(map(len, kinds.values()))} architectures, each the mean of its trainings"
    rests = "\nit rests on test data: choose nothing by it" if metric == ACCURACY else ""
    title(axes, "Pareto front: accuracy against parameters", f"{detail}, {n}{rests}")
    return figure


def architectures(rows: Sequence[ResultRow], metric: str) -> dict[str, list[tuple[float, float]]]:
    """Kind → (parameters in M, the mean of `metric` over its trainings) of each architecture.

    One seed's luck is no architecture's: a front over trainings would be drawn by the luckiest. Where nobody knows the
    edges, a training is an architecture of its own.
    """
    found: dict[str, dict[object, list[tuple[float, float]]]] = {}
    for row in rows:
        x, y = number(row, "params_m"), number(row, metric)
        if x is not None and y is not None and row.kind not in NO_ARCHITECTURE:
            which = row.job if row.edges is None else (row.edges, x)
            found.setdefault(row.kind, {}).setdefault(which, []).append((x, y))
    return {
        kind: [(mean([x for x, _ in same]), mean([y for _, y in same])) for same in points.values()]
        for kind, points in found.items()
    }


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other beats (x smaller is better, y greater is better), by x."""
    found: list[tuple[float, float]] = []
    for x, y in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not found or y > found[-1][1]:
            found.append((x, y))
    return found


def _scatter(data: FigureData, metric: str, what: str) -> Figure:
    detail = data.setting()
    table = build(data.rows)
    found = clouds(table.rows, metric)
    if not found:
        raise NothingToDraw(f"nothing to draw: no finished architecture of Table 2 has a test accuracy and {metric}")
    figure = canvas(8.4, 4.6)
    axes = figure.add_subplot()
    epochs = sorted({row.epoch for row in table.rows if row.epoch is not None})
    markers = {row_name(row): _marker(row, epochs) for row in table.rows}
    series = sorted({(cloud.method, cloud.series) for cloud in found})
    order = {name: [s for m, s in series if m == method].index(name) for method, name in series}
    drawn: set[tuple[str, bool, Training]] = set()
    for cloud in found:
        new = [(cloud.series, cloud.random, training) not in drawn for training in cloud.trainings]
        _draw_cloud(axes, cloud, markers[cloud.name], order[cloud.series], new)
        drawn |= {(cloud.series, cloud.random, training) for training in cloud.trainings}
    bottom, top = axes.get_ylim()
    for _, name in series:
        for random in (False, True):
            _draw_line(axes, [c for c in found if c.series == name and c.random == random], order[name], metric)
    # A wide band of a short line must not squeeze the points.
    axes.set_ylim(bottom, min(top, 100.5))
    if metric == "shortcuts":
        whole_numbers(axes)
    axes.set_xlabel(LABELS[metric])
    axes.set_ylabel("test accuracy (%)")
    _legend(figure, axes)
    counts = {len(cloud.x) for cloud in found}
    n = f"n = {counts.pop()} a group" if len(counts) == 1 else f"n = {min(counts)} to {max(counts)} a group"
    title(axes, what, f"{detail}, {n}; small: one architecture, large: mean ± std")
    return figure


def _draw_cloud(axes: Axes, cloud: Cloud, marker: str, order: int, new: Sequence[bool]) -> None:
    """Small marks for `new` trainings, a large one for mean ± std; random ones hollow, further series half filled."""
    shade = METHODS.get(cloud.method, GREY)
    face = "white" if cloud.random else shade
    axes.scatter(
        [x for x, once in zip(cloud.x, new, strict=True) if once],
        [y for y, once in zip(cloud.y, new, strict=True) if once],
        s=12,
        marker=marker,
        alpha=0.55,
        linewidths=0.7,
        facecolors="none" if cloud.random else shade,
        edgecolors=shade,
    )
    what = "" if not cloud.random or cloud.method == RANDOM else ", random"
    axes.errorbar(
        mean(cloud.x),
        mean(cloud.y),
        xerr=_std(cloud.x),
        yerr=_std(cloud.y),
        fmt=marker,
        fillstyle=FILLS[order % len(FILLS)],
        markerfacecoloralt="white",
        color=shade,
        ecolor=shade,
        markerfacecolor=face,
        markeredgecolor=BLACK if not cloud.random else shade,
        markersize=8,
        capsize=2.5,
        elinewidth=1.1,
        zorder=4,
        label=f"{cloud.name}{what} (n = {len(cloud.x)})",
    )


def _legend(figure: Figure, axes: Axes) -> None:
    """Lines and marks; a mark stands without the bars that cross it in the plot."""
    from matplotlib.container import ErrorbarContainer

    handles, labels = axes.get_legend_handles_labels()
    plain = [handle[0] if isinstance(handle, ErrorbarContainer) else handle for handle in handles]
    legend = figure.legend(plain, labels, loc="outside right center", title="method and search epoch", title_fontsize=8)
    legend.set_alignment("left")


def _draw_line(axes: Axes, found: Sequence[Cloud], order: int, metric: str) -> None:
    """The least-squares line over the distinct trainings of a series, with its slope's 95 % interval in the legend."""
    x, y, searches = distinct(found)
    line = regress(x, y, searches)
    if line is None or found[0].method == BASELINE:
        return
    method, random = found[0].method, found[0].random
    name = f"{found[0].series}, random" if random and method != RANDOM else found[0].series
    ends = [min(x) + (max(x) - min(x)) * step / 40 for step in range(41)]
    shade = METHODS.get(method, GREY)
    axes.plot(
        ends,
        [line.at(end) for end in ends],
        "--" if random else ("-", "-.", ":")[order % 3],
        color=shade,
        linewidth=1.3,
        zorder=3,
        label=f"{name}: {slope_text(line, UNITS[metric])}",
    )
    halves = [half for end in ends if (half := line.band(end)) is not None]
    if not random and len(halves) == len(ends):
        low = [line.at(end) - half for end, half in zip(ends, halves, strict=True)]
        high = [line.at(end) + half for end, half in zip(ends, halves, strict=True)]
        axes.fill_between(ends, low, high, color=shade, alpha=0.12, linewidth=0)


def slope_text(line: Line, unit: str) -> str:
    """'slope 0.31 (0.12 to 0.50) points per M'; without an interval it says of how many searches it is."""
    shown = f"slope {_short(line.slope)}"
    if line.interval is None:
        few = f"{line.clusters} search{'es' if line.clusters > 1 else ''}"
        return f"{shown} {unit}, no interval: {few}".replace("-", "−")
    return f"{shown} ({_short(line.interval.low)} to {_short(line.interval.high)}) {unit}".replace("-", "−")


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _marker(row: Row, epochs: Sequence[int]) -> str:
    if row.epoch is None:
        return {BASELINE: "P", RANDOM: "D"}.get(row.architecture, "X")
    return MARKERS[epochs.index(row.epoch) % len(MARKERS)]


def _std(values: Sequence[float]) -> float:
    return deviation(values) or 0.0
