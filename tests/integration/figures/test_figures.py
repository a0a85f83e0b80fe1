"""Every figure is drawn by matplotlib, in every format, from made-up rows (study `synthetic`)."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from db.rows import Curve, ResultRow, Span
from jobs.architectures import EDGES
from jobs.errors import BadInput
from jobs.shortcuts.discretise import gates, keep_alpha, nones, read_alpha
from orchestrator import figures
from orchestrator.figures import (
    FIGURES,
    AlphaMap,
    FigureData,
    NothingToDraw,
    alpha,
    alpha_maps,
    curves,
    gantt,
    graph,
    scatter,
)
from orchestrator.tables import clouds as points
from orchestrator.tables.regression import regress
from orchestrator.tables.table2 import build
from tests.helpers import plausible

BEGINS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def data() -> FigureData:
    rows = plausible.study_rows(4)
    pretrained = [
        replace(row, job=row.job + 1000, config={**row.config, "pretrained": True})
        for row in rows
        if row.config.get("method") == "A" and row.kind in ("search", "evaluate")
    ]
    maps = []
    for late in (False, True):
        for method in ("A", "B"):
            gates = plausible.alpha(method, seed=1 + late)
            kept = [(i, j) for i, j in EDGES if gates[i][j] >= 0.6]
            job = len(maps) + 1
            none = [1.0 - sum(row[j] for row in gates) if j > 1 else 0.0 for j in range(16)] if method == "B" else ()
            maps.append(
                AlphaMap(job=job, method=method, seed=0, epoch=6, gates=gates, kept=kept, pretrained=late, none=none)
            )
    everything = [*rows, *pretrained]
    return FigureData(
        rows=everything, curves=plausible.curves(everything), spans=plausible.spans(rows[:24]), alphas=maps
    )


def words(figure: Figure) -> str:
    """All text of a figure."""
    from matplotlib.text import Text

    return "\n".join(found.get_text() for found in figure.findobj(Text) if isinstance(found, Text))


def chosen(name: str) -> FigureData:
    found = data()
    if name == "graph":
        return replace(found, rows=[row for row in found.rows if row.edges][:3])
    return found


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_names_study_data_set_and_n(name: str) -> None:
    figure = FIGURES[name][1](chosen(name))
    text = words(figure)
    assert "study synthetic, CIFAR-10, preset report" in text and "n = " in text


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_written(name: str, tmp_path: Path) -> None:
    format = ("png", "svg", "pdf")[list(FIGURES).index(name) % 3]
    out = tmp_path / f"figure.{format}"
    figures.draw(name, chosen(name), out)
    content = out.read_bytes()
    assert content.startswith(BEGINS[format]) and len(content) > 5_000
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_to_draw_is_a_sentence(name: str) -> None:
    with pytest.raises(NothingToDraw, match="nothing to draw"):
        figures.image(name, FigureData(), "svg")


def test_the_same_data_give_the_same_file() -> None:
    assert figures.image("fig2", data(), "svg") == figures.image("fig2", data(), "svg")


def test_random_architectures_are_hollow_and_slopes_have_their_interval() -> None:
    figure = scatter.shortcuts(replace(data(), rows=plausible.study_rows(4)))
    clouds = [one for one in figure.axes[0].collections if isinstance(one, PathCollection)]
    hollow = [one for one in clouds if len(one.get_facecolors()) == 0]
    assert (len(clouds), len(hollow)) == (13, 6)
    rows = [row for row in plausible.study_rows(4) if row.kind == "evaluate" and row.config.get("method") == "B"]
    line = regress(
        [row.metrics["shortcuts"] or 0.0 for row in rows],
        [row.metrics["test_accuracy"] or 0.0 for row in rows],
        [row.config["search"] for row in rows],
    )
    assert line is not None and (line.n, line.clusters) == (12, 4)
    assert f"B: {scatter.slope_text(line, 'points per shortcut')}" in words(figure)
    assert "points per M" in words(scatter.parameters(replace(data(), rows=plausible.study_rows(4))))


def test_one_training_is_one_point_and_two_searches_have_no_band() -> None:
    rows = [row for row in plausible.study_rows(2) if row.config.get("method") == "A"]
    drawn = scatter.shortcuts(replace(data(), rows=rows))
    assert "points per shortcut, no interval: 2 searches" in words(drawn)
    assert not [one for one in drawn.axes[0].collections if isinstance(one, PolyCollection)]
    three = [row for row in plausible.study_rows(3) if row.config.get("method") == "A"]
    assert "no interval" not in words(scatter.shortcuts(replace(data(), rows=three)))
    found = points.clouds(build(three).rows, "shortcuts")
    searched = [cloud for cloud in found if not cloud.random]
    assert len(points.distinct(searched)[0]) == 9
    same = [  # every read-out of a search found what its first one had found: three jobs, one training
        replace(row, edges=first.edges, metrics=first.metrics)
        for row in three
        if row.kind == "evaluate"
        for first in three
        if first.kind == "evaluate" and (first.seed, first.config["search_epoch"]) == (row.seed, 50)
    ]
    clouds = points.clouds(build(same).rows, "shortcuts")
    x, y, searches = points.distinct(clouds)
    assert len(x) == len(y) == len(set(searches)) == 3 and len(clouds) == 3
    figure = scatter.shortcuts(replace(data(), rows=same))
    marks = [one for one in figure.axes[0].collections if isinstance(one, PathCollection)]
    assert [len(one.get_offsets()) for one in marks] == [3, 0, 0], "each training is drawn once"


def test_long_shortcuts_are_highlighted() -> None:
    edges = ((0, 2), (1, 4), (0, 4), (3, 15))
    figure = graph.draw([("one", edges)], "study synthetic", "A graph")
    arrows = [one for one in figure.axes[0].patches if isinstance(one, FancyArrowPatch)]
    long = [one for one in arrows if one.get_linestyle() in ("-", "solid")]
    assert (len(arrows), len(long)) == (4, 2)
    blocks = [one for one in figure.axes[0].patches if isinstance(one, Rectangle)]
    assert len(blocks) == 16 and len({one.get_facecolor() for one in blocks}) == 5
    assert "4 shortcuts, 2 of span ≥ 4" in words(figure)


def test_an_architecture_without_shortcuts_is_drawn_as_such() -> None:
    figure = graph.draw([("none", ())], "study synthetic", "A graph")
    assert "no shortcuts" in words(figure)
    assert figures.save(figure, "png").startswith(BEGINS["png"])


def test_one_shortcut_is_no_plural() -> None:
    assert "one: 1 shortcut, 0 of span ≥ 4" in words(graph.draw([("one", ((8, 10),))], "study synthetic", "A graph"))


def test_too_many_architectures_ask_for_a_choice() -> None:
    with pytest.raises(BadInput, match="at most 6"):
        graph.graphs(FigureData(rows=plausible.study_rows(4)))


def test_impossible_cells_are_masked_and_kept_edges_outlined() -> None:
    maps = data().alphas
    figure = alpha.maps(FigureData(rows=data().rows, alphas=maps))
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 4
    for axes, one in zip(panels, maps, strict=True):
        image = axes.images[0]
        shown = image.get_array()
        assert shown is not None and shown.count() == (105 if one.method == "A" else 119)
        assert image.get_clim() == (-alpha.scale(maps), alpha.scale(maps))
        assert shown[0, 15] == pytest.approx(one.gates[0][15] - (0.5 if one.method == "A" else 1 / 15))
        assert shown[13, 15] == pytest.approx(one.gates[13][15] - (0.5 if one.method == "A" else 1 / 15))
        outlines = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert len(outlines) == 2 * len(one.kept)


def test_none_competes_in_a_row_of_its_own() -> None:
    start = [[0.0] * 16 for _ in range(16)]
    start[4][4] = 2.0  # "none" of block 4 wins over its three sources
    one = AlphaMap(job=1, method="B", seed=0, epoch=1, gates=gates(start, "B"), none=nones(start))
    found = alpha.moves(one)
    assert len(found) == 17
    assert found[16][4] == pytest.approx(math.exp(2) / (math.exp(2) + 3) - 1 / 4)
    assert found[0][4] == pytest.approx(1 / (math.exp(2) + 3) - 1 / 4)
    assert found[16][5] == found[0][2] == 0.0  # where nothing was decided nothing has moved
    assert math.isnan(found[16][1]) and math.isnan(found[3][4])
    assert alpha.scale([one]) == 0.5


def test_old_maps_without_none_are_drawn() -> None:
    assert len(alpha.moves(replace(data().alphas[1], none=()))) == 16


def test_seven_and_eight_have_one_colour_scale() -> None:
    found = data()
    tops = {
        axes.images[0].get_clim() for late in (False, True) for axes in alpha.searched(found, late).axes if axes.images
    }
    assert len(tops) == 1


def test_seven_and_eight_count_their_own_searches() -> None:
    found = data()
    assert all("n = 2 searches" in words(alpha.searched(found, late)) for late in (False, True))
    one = replace(found, alphas=[*found.alphas[:1], *found.alphas[2:]])
    assert "n = 1 search;" in words(alpha.searched(one, False))


def test_searches_that_differ_in_a_setting_are_no_band() -> None:
    rows = [row for row in plausible.study_rows(4) if row.kind == "search" and row.config["method"] == "A"]
    narrow = [replace(row, job=row.job + 500, config={**row.config, "width": 0.125}) for row in rows]
    found = FigureData(rows=[*rows, *narrow], curves=plausible.curves([*rows, *narrow]))
    for figure in (curves.search(found), curves.learning(found)):
        text = words(figure)
        assert "width 1 (n = 4)" in text and "width 0.125 (n = 4)" in text and "n = 8" in text


def test_points_of_a_grid_are_curves_of_their_own() -> None:
    rows = [
        plausible.row(job, kind="command", seed=job, config={"name": "mine", "parameters": {"lr": lr}})
        for job, lr in enumerate(("0.1", "0.1", "0.01"), 1)
    ]
    text = words(curves.learning(FigureData(rows=rows, curves=plausible.curves(rows))))
    assert "command mine, lr 0.1 (n = 2)" in text and "command mine, lr 0.01 (n = 1)" in text


def test_search_curves_tell_scratch_from_pretrained() -> None:
    text = words(curves.search(data()))
    assert "A, from scratch (n = 4)" in text and "A, pretrained (n = 4)" in text


def test_one_epoch_has_one_tick_and_a_bar_for_its_deviation() -> None:
    rows = [plausible.row(job, kind="individual", seed=job) for job in (1, 2, 3)]
    points = [replace(one, points=one.points[:1]) for one in plausible.curves(rows)]
    (axes,) = curves.learning(FigureData(rows=rows, curves=points)).axes
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [points[0].points[0][0]]
    assert len(axes.collections) == 1 and len(axes.collections[0].get_paths()) == 1


def test_the_band_ends_where_a_curve_ends_and_the_legend_says_how_many_go_on() -> None:
    rows = [plausible.row(job, kind="individual", seed=job) for job in (1, 2, 3)]
    long = [
        Curve(
            job=job, kind="individual", seed=job, config={}, points=tuple((e, {"loss": job / e}) for e in range(1, 9))
        )
        for job in (1, 2, 3)
    ]
    short = replace(long[2], points=(*long[2].points[:4], (5, {"loss": None}), (6, {"loss": float("nan")})))
    found = FigureData(rows=rows, curves=[*long[:2], short], metric="loss")
    (axes,) = curves.learning(found).axes
    (legend,) = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend.endswith("(n = 3, from epoch 5: 2)")
    (band,) = [one for one in axes.collections if isinstance(one, PolyCollection)]
    assert max(x for path in band.get_paths() for x, _ in path.vertices) == 4
    (told,) = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    assert [x for x, y in zip(told.get_xdata(), told.get_ydata(), strict=True) if y == y] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([(1, 3), (2, 3)], "n = 3"),
        ([(1, 3), (2, 2), (3, 1)], "n = 3, from epoch 2: 2, from epoch 3: 1"),
        ([(1, 3), (2, 2), (3, 3), (4, 2)], "n = 2 to 3"),
    ],
)
def test_how_many_are_counted_is_told_by_epochs(counts: list[tuple[int, int]], told: str) -> None:
    assert curves.counted(counts) == told


def test_a_metric_that_nobody_reports_is_named() -> None:
    with pytest.raises(NothingToDraw, match=r"'top5'.*known: test_accuracy, train_loss"):
        curves.learning(replace(data(), metric="top5"))


def test_the_front_holds_what_nothing_beats() -> None:
    points = [(1.0, 90.0), (2.0, 89.0), (2.0, 91.0), (3.0, 91.0), (4.0, 95.0), (1.0, 88.0)]
    assert scatter.front(points) == [(1.0, 90.0), (2.0, 91.0), (4.0, 95.0)]


def test_the_front_counts_each_architecture_once() -> None:
    rows = [plausible.row(1, kind="individual"), plausible.row(2, kind="evolve-step")]
    text = words(scatter.pareto(FigureData(rows=rows)))
    assert "individual (n = 1)" in text and "evolve-step" not in text


def test_the_front_is_of_the_means_of_architectures_and_says_that_it_rests_on_test_data() -> None:
    def one(job: int, accuracy: float, edges: tuple[tuple[int, int], ...] | None) -> ResultRow:
        return plausible.row(job, accuracy=accuracy, edges=edges, seed=job)

    rows = [one(1, 95.0, ((0, 2),)), one(2, 91.0, ((0, 2),)), one(3, 94.0, ((0, 3),)), one(4, 90.0, None)]
    (points,) = scatter.architectures(rows, "test_accuracy").values()
    assert [y for _, y in points] == [93.0, 94.0, 90.0]  # the lucky 95 is no architecture
    assert scatter.front(points) == [(points[0][0], 94.0)]
    text = words(scatter.pareto(FigureData(rows=rows)))
    assert "n = 3 architectures" in text and "rests on test data" in text
    judged = [replace(row, kind="individual", metrics={"val_accuracy": 90.0, "params": 2e7}) for row in rows]
    assert "test data" not in words(scatter.pareto(FigureData(rows=judged)))


def test_a_bar_too_short_for_its_number_has_none() -> None:
    start = datetime(2026, 1, 5, tzinfo=UTC)
    spans = [
        Span(
            job=job, kind="evolve", seed=0, attempt=1, execution="e0-000000", node="n1",
            started_at=start + timedelta(seconds=begin), ended_at=start + timedelta(seconds=end), cause="success",
        )
        for job, begin, end in ((701, 0, 1), (702, 1, 100))
    ]  # fmt: skip
    text = words(gantt.gantt(FigureData(spans=spans)))
    assert "702" in text and "701" not in text


def test_executions_at_once_on_one_node_have_lanes_of_their_own() -> None:
    start = datetime(2026, 1, 5, tzinfo=UTC)

    def span(job: int, begin: int, end: int | None) -> Span:
        ended = None if end is None else start + timedelta(minutes=end)
        return Span(
            job=job, kind="evaluate", seed=0, attempt=1, execution="e0-000000", node="n1",
            started_at=start + timedelta(minutes=begin), ended_at=ended, cause=None,
        )  # fmt: skip

    spans = [span(1, 0, 10), span(2, 5, 15), span(3, 10, 20), span(4, 12, None)]
    placed = {one.job: lane for one, lane in gantt.lanes(spans, start + timedelta(minutes=30))}
    assert placed == {1: 0, 2: 1, 3: 0, 4: 2}


def test_data_sets_are_never_mixed() -> None:
    rows = [plausible.row(1), plausible.row(2, dataset="digits", preset="demo")]
    with pytest.raises(BadInput, match="never mixes data sets"):
        figures.image("pareto", FigureData(rows=rows), "svg")


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [("fig9", "png", "unknown figure 'fig9': did you mean"), ("fig1", "gif", "cannot draw a figure as 'gif'")],
)
def test_unknown_names_and_formats_are_refused(name: str, format: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        figures.image(name, FigureData(), format)


def test_an_unwritable_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot write"):
        figures.draw("fig2", data(), tmp_path / "absent" / "figure.png")


def test_a_name_with_markup_is_only_text() -> None:
    rows = [replace(row, study="$\\frac{1}$ <b>&") for row in plausible.study_rows(4)]
    content = figures.image("pareto", FigureData(rows=rows), "svg").decode()
    assert "<b>" not in content


def test_tables_and_figures_import_nothing_heavy() -> None:
    code = (
        "import sys, orchestrator.figures, orchestrator.tables.render, orchestrator.tables.generic, "
        "orchestrator.tables.diff, orchestrator.tables.stats, orchestrator.report.page; "
        "print([name for name in ('matplotlib', 'numpy', 'scipy', 'jinja2', 'torch', 'sqlalchemy', 'submitit')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert done.stdout.strip() == "[]"


def test_maps_come_from_what_a_search_wrote(tmp_path: Path) -> None:
    raw = [[0.0] * 16 for _ in range(16)]
    for epoch in range(3):
        raw[0][5] = float(epoch)
        keep_alpha(tmp_path, epoch, raw, "A")
    lines = read_alpha(tmp_path)
    search = plausible.row(7, kind="search", seed=3, config={"method": "A", "pretrained": True})
    (last,) = alpha_maps(search, lines)
    assert (last.job, last.seed, last.epoch, last.pretrained, list(last.kept)) == (7, 3, 2, True, [(0, 5)])
    assert last.gates[0][5] == pytest.approx(0.8807970779778823)
    assert [one.epoch for one in alpha_maps(search, lines, [0, 1])] == [0, 1]
    loose = replace(search, config={"method": "A", "tau": 0.5})
    assert len(alpha_maps(loose, lines)[0].kept) == 105
    assert alpha_maps(plausible.row(1), lines) == [] and alpha_maps(search, []) == []
