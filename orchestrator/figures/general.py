"""Figures of any study: bars, boxes, scatter and heatmap. Seeds are points, mean and 95 % interval marks, n is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from jobs.errors import BadInput
from orchestrator.figures.data import FigureData
from orchestrator.figures.panels import Mark, Picture, as_number, picture
from orchestrator.figures.style import BLACK, GREY, MARKERS, canvas, colour, heading, named, words
from orchestrator.tables.digits import decimals, places, written
from orchestrator.tables.keys import text
from orchestrator.tables.statistics import deviation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUP = 0.8
"""Of the distance between two values of x, so much belongs to the marks."""
LOG_FROM = 30.0
"""A positive x that spans so many times its least value is drawn on a logarithmic axis."""
NOTES = 2
HUE_POINTS = 9.0
"""Hues at one number stand so many points (1/72 inch) apart."""
SEEDS = "points: seeds"
INTERVALS = "whiskers: 95 % interval of the mean"
LEAST_FOR_BOX = 5
"""Quartiles of fewer seeds say less than the seeds themselves, which stand there anyway."""


def bars(data: FigureData) -> Figure:
    """A bar to each mean, with its seeds, interval and n. Raises NothingToDraw."""
    return _categories(data, _bar, "Means", f"{SEEDS}, {INTERVALS}")


def boxes(data: FigureData) -> Figure:
    """Quartiles of five seeds and more, with the seeds and n. Raises NothingToDraw."""
    return _categories(data, _box, "Spread over seeds", f"{SEEDS}, boxes: quartiles from n = {LEAST_FOR_BOX}")


def scatter(data: FigureData) -> Figure:
    """Every seed at its x: a parameter, or a number that it reports. Raises NothingToDraw."""
    shown = picture(data.rows, data.axes)
    numbers = [as_number(x) for x in shown.xs()] if not shown.measured else []
    if not shown.measured and None in numbers:
        return _categories(data, _points, "Seeds", f"{SEEDS}, {INTERVALS}")
    figure, panels = _grid(shown)
    for panel, axes in zip(shown.panels, panels, strict=True):
        for mark in panel.marks:
            index = _index(shown, mark)
            if shown.measured:
                label = f"{text(mark.hue)} ({mark.count})" if shown.axes.hue else mark.count
                axes.plot(mark.at, mark.values, linestyle="none", label=label, **_look(index))
            else:
                _at_number(figure, axes, shown, mark, index)
        flat = [at for mark in panel.marks for at in (mark.at if shown.measured else (as_number(mark.x) or 0.0,))]
        if min(flat) > 0 and max(flat) / min(flat) >= LOG_FROM:
            axes.set_xscale("log")
        if shown.measured:
            axes.legend()
        else:
            axes.set_xticks([as_number(x) or 0.0 for x in shown.xs()], [text(x) for x in shown.xs()], minor=False)
            axes.minorticks_off()
            axes.margins(x=0.12, y=0.15)
            axes.autoscale_view()
    if not shown.measured:
        _legend(figure, shown)
    return _finish(figure, panels, shown, data, "Seeds", SEEDS if shown.measured else f"{SEEDS}, {INTERVALS}")


def _at_number(figure: Figure, axes: Axes, shown: Picture, mark: Mark, index: int) -> None:
    """Seeds, mean and interval at a number of x; hues stand side by side, so that none hides another."""
    from matplotlib.transforms import ScaledTranslation

    aside = (index - (len(shown.hues()) - 1) / 2) * HUE_POINTS
    place = axes.transData + ScaledTranslation(aside / 72, 0, figure.dpi_scale_trans)
    x = as_number(mark.x) or 0.0
    ends = (mark.interval.low, mark.interval.high) if mark.interval is not None else ()
    axes.update_datalim([(x, value) for value in (*mark.values, *ends)])  # what is moved aside counts for no limit
    axes.plot([x] * len(mark.values), mark.values, linestyle="none", transform=place, **{**_look(index), "alpha": 0.35})
    _interval(axes, x, mark, colour(index), MARKERS[index % len(MARKERS)], transform=place)
    _count(axes, x, mark, aside)


def heatmap(data: FigureData) -> Figure:
    """The mean in each field of x and hue, with ± and n. Raises NothingToDraw, BadInput without two keys."""
    shown = picture(data.rows, data.axes)
    if shown.measured or not shown.axes.hue:
        raise BadInput("a heatmap has two keys, --x and --hue, and shows --y: name both, like --x lr --hue opt --y acc")
    figure, panels = _grid(shown, height=1.4 + 0.55 * len(shown.hues()))
    xs, hues = [text(x) for x in shown.xs()], [text(hue) for hue in shown.hues()]
    means = [mark.mean for panel in shown.panels for mark in panel.marks]
    low, high = min(means), max(means)
    for panel, axes in zip(shown.panels, panels, strict=True):
        field = [[float("nan")] * len(xs) for _ in hues]
        for mark in panel.marks:
            field[hues.index(text(mark.hue))][xs.index(text(mark.x))] = mark.mean
        image = axes.imshow(field, aspect="auto", cmap="cividis", vmin=low, vmax=high if high > low else low + 1)
        for mark in panel.marks:
            dark = high > low and (mark.mean - low) / (high - low) < 0.6
            n, data_digits = len(mark.values), decimals(mark.values)
            std = deviation(mark.values)
            shown_as = written(mark.mean, std, places(mark.mean, std, n, data_digits), n, data_digits)
            told = f"{shown_as}\n{mark.count}"
            at = xs.index(text(mark.x)), hues.index(text(mark.hue))
            axes.text(*at, told, ha="center", va="center", fontsize=7, color="white" if dark else "black")
        axes.set_xticks(range(len(xs)), xs)
        axes.set_yticks(range(len(hues)), hues)
        axes.grid(visible=False)
        axes.set_ylabel(words(shown.axes.hue))
    figure.colorbar(image, ax=panels, label=named(shown.axes.y, data.rows), shrink=0.8)
    return _finish(figure, panels, shown, data, "Means", "mean ± std of the seeds", y_label=False)


Drawer = Callable[["Axes", float, float, Mark, int], None]
"""(axes, middle, width, mark, index of its hue)."""


def _categories(data: FigureData, drawer: Drawer, what: str, key: str) -> Figure:
    """One place for each x, and side by side in it one mark for each hue."""
    shown = picture(data.rows, data.axes)
    if shown.measured:
        raise BadInput(
            f"'{shown.axes.x}' is a number that the jobs report, and seeds cannot be grouped by it: draw 'scatter', or "
            "name a parameter by --x"
        )
    figure, panels = _grid(shown)
    xs = [text(x) for x in shown.xs()]
    hues = [text(hue) for hue in shown.hues()]
    width = GROUP / len(hues)
    for panel, axes in zip(shown.panels, panels, strict=True):
        for mark in panel.marks:
            hue = hues.index(text(mark.hue))
            at = xs.index(text(mark.x)) - GROUP / 2 + width * (hue + 0.5)
            drawer(axes, at, width, mark, hue)
            _count(axes, at, mark)
        axes.set_xticks(range(len(xs)), xs)
        axes.grid(visible=False, axis="x")
        axes.margins(y=0.15)
    _legend(figure, shown)
    return _finish(figure, panels, shown, data, what, key)


def _bar(axes: Axes, at: float, width: float, mark: Mark, index: int) -> None:
    axes.bar(at, mark.mean, width * 0.92, color=colour(index), alpha=0.35)
    _points(axes, at, width, mark, index)


def _box(axes: Axes, at: float, width: float, mark: Mark, index: int) -> None:
    if len(mark.values) >= LEAST_FOR_BOX:
        axes.boxplot(
            [list(mark.values)],
            positions=[at],
            widths=width * 0.7,
            showfliers=False,
            manage_ticks=False,
            medianprops={"color": BLACK},
            boxprops={"color": colour(index)},
            whiskerprops={"color": colour(index)},
            capprops={"color": colour(index)},
        )
    axes.plot(_spread_out(at, width, mark), mark.values, linestyle="none", **_look(index))


def _points(axes: Axes, at: float, width: float, mark: Mark, index: int) -> None:
    axes.plot(_spread_out(at, width, mark), mark.values, linestyle="none", **_look(index))
    _interval(axes, at, mark, BLACK, "_")


def _look(index: int) -> dict[str, Any]:
    return {"color": colour(index), "marker": MARKERS[index % len(MARKERS)], "markersize": 4, "alpha": 0.8}


def _spread_out(at: float, width: float, mark: Mark) -> list[float]:
    """Side by side in the order of the seeds, so that equal values stay countable."""
    n = len(mark.values)
    return [at + (number - (n - 1) / 2) * min(0.06, 0.6 * width / n) for number in range(n)]


def _interval(axes: Axes, at: float, mark: Mark, shade: str, marker: str, **more: Any) -> None:
    interval = mark.interval
    error = None if interval is None else [[mark.mean - interval.low], [interval.high - mark.mean]]
    axes.errorbar(at, mark.mean, yerr=error, fmt=marker, color=shade, capsize=3, markersize=7, **more)


def _count(axes: Axes, at: float, mark: Mark, aside: float = 0.0) -> None:
    top = max([*mark.values, mark.interval.high if mark.interval is not None else mark.mean])
    axes.annotate(
        mark.count,
        (at, top),
        xytext=(2.6 * aside, 7),
        textcoords="offset points",
        ha="center",
        fontsize=6.5,
        color=GREY,
    )


def _index(shown: Picture, mark: Mark) -> int:
    return [text(hue) for hue in shown.hues()].index(text(mark.hue))


def _grid(shown: Picture, height: float = 3.2) -> tuple[Figure, list[Axes]]:
    """Panels two abreast, with common axes, each under its facet."""
    columns = min(2, len(shown.panels))
    lines = ceil(len(shown.panels) / columns)
    marks = max(len(panel.marks) for panel in shown.panels)
    figure = canvas(max(4.2, min(9.0, 1.5 + 0.55 * marks)) * columns, 0.9 + height * lines)
    first: Axes | None = None
    found = []
    for number, panel in enumerate(shown.panels, 1):
        axes = figure.add_subplot(lines, columns, number, sharey=first)
        first = first or axes
        if shown.axes.facet:
            axes.set_title(f"{words(shown.axes.facet)} {text(panel.facet)}", fontsize=9)
        found.append(axes)
    return figure, found


def _legend(figure: Figure, shown: Picture) -> None:
    if not shown.axes.hue:
        return
    from matplotlib.lines import Line2D

    hues = shown.hues()
    handles = [
        Line2D([], [], color=colour(i), marker=MARKERS[i % len(MARKERS)], linestyle="none", label=text(hue))
        for i, hue in enumerate(hues)
    ]
    figure.legend(handles=handles, title=words(shown.axes.hue), loc="outside right upper")


def _finish(
    figure: Figure,
    panels: Sequence[Axes],
    shown: Picture,
    data: FigureData,
    what: str,
    key: str,
    *,
    y_label: bool = True,
) -> Figure:
    for axes in panels:
        axes.set_xlabel(named(shown.axes.x, data.rows))
        if y_label:
            axes.set_ylabel(named(shown.axes.y, data.rows))
    marks = [mark for panel in shown.panels for mark in panel.marks]
    n, expected = sum(len(mark.values) for mark in marks), sum(mark.expected for mark in marks)
    number = f"n = {n}" + (f" of {expected}" if n < expected else "")
    told = [f"{data.setting()}, {number}; {key}", *[note for note in shown.notes if note][:NOTES]]
    heading(figure, f"{what}: {named(shown.axes.y, data.rows)}", "\n".join(told))
    return figure
