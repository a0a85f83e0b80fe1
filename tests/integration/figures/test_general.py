"""Figures of any study as matplotlib draws them: every seed is a point, every mean has its n."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.axes import Axes as Plot
from matplotlib.figure import Figure

from jobs.errors import BadInput
from orchestrator.figures import Axes, FigureData, general
from orchestrator.figures.style import styled
from tests.helpers.sweep import rows

BY = Axes(x="lr", y="acc", hue="opt")


def drawn(what: str, axes: Axes = BY, seeds: int = 5) -> Figure:
    given = rows(seeds)
    given[0] = replace(given[0], metrics={"acc": None})
    with styled():
        found: Figure = getattr(general, what)(FigureData(rows=given, axes=axes))
        found.canvas.draw()
    return found


def points(plot: Plot) -> list[float]:
    """The y of everything that stands there as a single mark without a line."""
    found: list[float] = []
    for line in plot.lines:
        if line.get_linestyle() == "None" and line.get_marker() in ("o", "s"):
            found += [float(value) for value in line.get_ydata()]
    return found


def counts(figure: Figure) -> list[str]:
    return [one.get_text() for plot in figure.axes for one in plot.texts if "n = " in one.get_text()]


@pytest.mark.parametrize("what", ["bars", "boxes", "scatter"])
def test_every_seed_is_a_point_and_every_mean_has_its_n(what: str) -> None:
    figure = drawn(what)
    values = [row.metrics["acc"] for row in rows(5)][1:]
    shown = points(figure.axes[0])
    assert set(values) <= set(shown)
    assert sorted(counts(figure)) == ["n = 4/5", *["n = 5"] * 5]
    assert "n = 29 of 30" in (figure.get_supxlabel())


def test_bars_begin_at_nothing_and_end_at_the_mean() -> None:
    plot = drawn("bars").axes[0]
    means = [sum(part) / len(part) for part in _groups()]
    assert plot.get_ylim()[0] == 0
    assert sorted(bar.get_height() for bar in plot.patches) == pytest.approx(sorted(means))
    assert [label.get_text() for label in plot.get_xticklabels()] == ["0.02", "0.1", "10"]


def _groups() -> list[list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows(5)[1:]:
        given = row.config["parameters"]
        found.setdefault((given["lr"], given["opt"]), []).append(float(row.metrics["acc"] or 0))
    return list(found.values())


def test_a_wide_x_is_logarithmic_and_shows_its_own_values() -> None:
    plot = drawn("scatter").axes[0]
    assert plot.get_xscale() == "log"
    assert [label.get_text() for label in plot.get_xticklabels()] == ["0.02", "0.1", "10"]
    assert drawn("scatter", Axes(x="opt", y="acc")).axes[0].get_xscale() == "linear"


def test_a_heatmap_tells_mean_spread_and_n_in_every_field() -> None:
    figure = drawn("heatmap")
    assert len(counts(figure)) == 6 and all("±" in told for told in counts(figure))
    with pytest.raises(BadInput, match="two keys"):
        drawn("heatmap", Axes(x="lr", y="acc", facet="opt", hue=""))


def test_facets_share_their_axes() -> None:
    figure = drawn("boxes", Axes(x="lr", y="acc", facet="opt"))
    first, second = figure.axes
    assert first.get_ylim() == second.get_ylim()
    assert [plot.get_title(loc="left") for plot in figure.axes] == ["opt adam", "opt sgd"]


def test_seeds_are_not_grouped_by_what_they_report() -> None:
    for what in ("bars", "boxes"):
        with pytest.raises(BadInput, match="seeds cannot be grouped by it"):
            drawn(what, Axes(x="seconds", y="acc"))
    assert drawn("scatter", Axes(x="seconds", y="acc", hue="opt")).axes[0].get_legend() is not None


def test_a_single_seed_has_no_interval() -> None:
    plot = drawn("bars", seeds=2).axes[0]
    assert len(plot.containers) >= 6
    assert any("n = 1/2" in told for told in counts(drawn("bars", seeds=2)))


def test_a_stage_before_takes_no_part_in_the_figure_of_what_its_test_reports() -> None:
    """Otherwise each n would be 5/10: as if half of the seeds had lost their number."""
    given = [replace(one, experiment="test") for one in rows(5)]
    training = [
        replace(one, job=one.job + 100, experiment="train", metrics={"loss": 1.0}, declared={}) for one in rows(5)
    ]
    with styled():
        found = general.bars(FigureData(rows=[*training, *given], axes=BY))
    assert {told for told in counts(found) if told} == {"n = 5"}
