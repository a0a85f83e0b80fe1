"""Comparisons drawn: a forest of differences, pairs of seeds, performance profiles (orchestrator/comparison)."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from db.rows import ResultRow
from jobs.words import JobState
from orchestrator.comparison import robust
from orchestrator.comparison.anystudy import Compared, compare, groups
from orchestrator.comparison.claims import claims
from orchestrator.comparison.contrast import Contrast
from orchestrator.figures.data import Axes, FigureData, NothingToDraw
from orchestrator.figures.panels import chosen
from orchestrator.figures.style import BLACK, BLUE, DASHES, GREY, VERMILION, canvas, colour, heading, named, title
from orchestrator.tables import default
from orchestrator.tables.stats import p_text
from orchestrator.tables.table2 import build

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LINES = 40
MOST_PANELS = 6
STEPS = 200
"""Points of a performance profile."""


def forest(data: FigureData) -> Figure:
    """Each difference with its 95 % interval, and what its n could have shown. Raises NothingToDraw, BadInput."""
    found, what = _contrasts(data)
    if len(found) > MOST_LINES:
        raise NothingToDraw(f"{len(found)} comparisons are too many for one figure: name a --baseline")
    figure = canvas(7.6, 1.3 + 0.34 * len(found))
    axes = figure.add_subplot()
    for place, one in enumerate(reversed(found)):
        if one.smallest is not None:
            ends = (-one.smallest, one.smallest)
            axes.plot(ends, (place, place), linestyle="none", marker="|", color=GREY, markersize=9)
        if one.interval is not None:
            axes.plot((one.interval.low, one.interval.high), (place, place), color=BLUE)
        shown = one.holm is not None and one.holm < 0.05
        axes.plot(one.difference, place, "o", color=BLUE, markerfacecolor=BLUE if shown else "white", markersize=5)
    axes.axvline(0.0, color=BLACK, linewidth=0.8)
    axes.set_yticks(range(len(found)), [_line(one) for one in reversed(found)])
    axes.set_ylim(-0.7, len(found) - 0.3)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"difference: {what}")
    key = "filled: p < 0.05 (Holm), line: 95 % interval, grey: ± the smallest difference that n could have shown"
    title(axes, f"Differences: {what}", f"{data.setting()}; {key}")
    return figure


def paired(data: FigureData) -> Figure:
    """The pairs of each comparison, joined: one line a seed. Raises NothingToDraw, BadInput."""
    told, what = _contrasts(data)
    found = [one for one in told if one.pairs]
    if not found:
        raise NothingToDraw("nothing to draw: no two groups share two seeds with a number")
    left = len(found) - MOST_PANELS
    found = found[:MOST_PANELS]
    columns = min(3, len(found))
    lines = ceil(len(found) / columns)
    figure = canvas(max(4.2, 2.7 * columns), 0.9 + 2.8 * lines)
    for number, one in enumerate(found, 1):
        axes = figure.add_subplot(lines, columns, number)
        for a, b in zip(*one.values, strict=True):
            axes.plot((0, 1), (b, a), "-o", color=BLUE if a > b else VERMILION if a < b else GREY, markersize=3.5)
        axes.set_xticks((0, 1), (one.second, one.first))
        axes.set_xlim(-0.3, 1.3)
        axes.set_title(f"{one.task + ': ' if one.task else ''}n = {one.pairs}, {_p(one)}", fontsize=8)
        axes.grid(visible=False, axis="x")
        if number % columns == 1 or columns == 1:
            axes.set_ylabel(what)
    more = f"; {left} more comparisons are not drawn" if left > 0 else ""
    heading(figure, f"Pairs of seeds: {what}", f"{data.setting()}; a line is a seed, blue up, red down{more}")
    return figure


def profiles(data: FigureData) -> Figure:
    """For each group the share of runs above a score, with its 95 % band. Raises NothingToDraw, BadInput."""
    rows, by, axes = _keys(data)
    sides = groups(rows, by, axes.y, [axes.facet] if axes.facet else [])
    if not sides:
        raise NothingToDraw("nothing to draw: no group has a finite number yet")
    values = [value for side in sides for own in side.runs.values() for value in own]
    low, high = min(values), max(values)
    room = (high - low or 1.0) * 0.05
    at = [low - room + (high - low + 2 * room) * step / STEPS for step in range(STEPS + 1)]
    what = named(axes.y, data.rows)
    figure = canvas(6.4, 4.0)
    panel = figure.add_subplot()
    for index, side in enumerate(sides):
        shade = colour(index)
        n = sum(map(len, side.runs.values()))
        style = DASHES[index % len(DASHES)]
        panel.plot(at, robust.profile(side.runs, at), style, color=shade, label=f"{side.name} (n = {n})")
        band = robust.profile_band(side.runs, at)
        panel.fill_between(at, [one.low for one in band], [one.high for one in band], color=shade, alpha=0.12, lw=0)
    panel.set_xlabel(what)
    panel.set_ylabel("share of runs above")
    panel.set_ylim(0.0, 1.02)
    figure.legend(loc="outside right upper")
    title(panel, f"Performance profile: {what}", f"{data.setting()}; bands: 95 %, bootstrap")
    return figure


def _keys(data: FigureData) -> tuple[Sequence[ResultRow], list[str], Axes]:
    """The jobs, the keys that they are compared by, and what is shown of them."""
    rows = [row for row in data.rows if row.state != JobState.CANCELLED]
    if not rows:
        raise NothingToDraw("nothing to draw: no job is left by the filters ('orch status' lists the jobs)")
    axes = chosen(rows, data.axes)
    hue = axes.hue if data.axes.hue or not data.axes.x else ""  # nobody asked for another key
    return rows, [key for key in (axes.x, hue) if key], axes


def _any_study(data: FigureData) -> Compared:
    rows, by, axes = _keys(data)
    return compare(rows, by, axes.y, baseline=data.axes.baseline, tasks=[axes.facet] if axes.facet else [])


def _contrasts(data: FigureData) -> tuple[Sequence[Contrast], str]:
    """What is compared, and what it is called: the report's claims where nobody named an axis in its study."""
    plain = not (data.axes.x or data.axes.y or data.axes.hue)
    if plain and default.wants_table2(data.rows, [build(data.rows)]):
        families = [one for one in claims(build(data.rows)).families if one.metric == "test accuracy (%)"]
        if not families:
            raise NothingToDraw("nothing to draw: no two rows of Table 2 have a test accuracy yet")
        return [one for family in families for one in family.contrasts], "test accuracy (%)"
    found = _any_study(data)
    if not found.family.contrasts:
        raise NothingToDraw("nothing to draw: no two groups have a finite number yet")
    return found.family.contrasts, named(found.family.metric, data.rows)


def _line(one: Contrast) -> str:
    counted = f"{one.pairs}" if one.pairs else f"{one.n_first}, {one.n_second}"
    return f"{one.task + ': ' if one.task else ''}{one.first} − {one.second} (n = {counted})"


def _p(one: Contrast) -> str:
    told = p_text(one.p)
    return "no test" if one.p is None else f"p {told}" if told.startswith("<") else f"p = {told}"
