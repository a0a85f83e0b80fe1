"""`table --stats`: pairs, tests beside each other, Holm over the rows, growth within a search."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from scipy import stats as scipy_stats

from db.rows import ResultRow
from orchestrator.tables import grid, render, statistics, stats, table2
from orchestrator.tables.cells import Cell, pairs
from tests.helpers.plausible import published_rows, row, study_rows

A50 = {"method": "A", "search_epoch": 50}


def side(kind: str, values: dict[int, float], start: int, **config: object) -> list[ResultRow]:
    return [
        row(start + seed, kind=kind, seed=seed, accuracy=value, config={**A50, **config}, edges=((0, 4), (1, 3)))
        for seed, value in values.items()
    ]


def test_the_paired_test_uses_the_pairs_that_are_there() -> None:
    found = {0: 93.5, 1: 93.9, 2: 93.4, 3: 94.1, 4: 93.0}
    drawn = {4: 92.9, 3: 93.6, 2: 93.5, 1: 93.5}
    table = table2.build(side("evaluate", found, 1) + side("random-baseline", drawn, 20))
    (one,) = stats.compute(table).rows
    wanted = scipy_stats.ttest_rel([found[seed] for seed in range(1, 5)], [drawn[seed] for seed in range(1, 5)])
    assert one.paired is not None and one.welch is not None and one.ranks is not None
    assert (one.paired.n, one.paired.p) == (4, pytest.approx(wanted.pvalue, rel=1e-9))
    assert one.holm == pytest.approx(wanted.pvalue, rel=1e-9)
    assert one.welch.p == pytest.approx(
        scipy_stats.ttest_ind(list(found.values()), list(drawn.values()), equal_var=False).pvalue, rel=1e-9
    )
    assert one.long_share.mean == 0.5


def test_pairs_are_by_search_where_both_sides_know_it() -> None:
    first = [row(1 + k, seed=k, accuracy=93.0 + k, config={**A50, "search": 100 + k}) for k in range(3)]
    second = [row(9 + k, seed=2 - k, accuracy=92.0 + k, config={**A50, "search": 100 + k}) for k in range(3)]
    assert pairs(Cell(tuple(first)), Cell(tuple(second))) == ([93.0, 94.0, 95.0], [92.0, 93.0, 94.0])
    without = [row(9 + k, seed=2 - k, accuracy=92.0 + k, config=A50) for k in range(3)]
    assert pairs(Cell(tuple(first)), Cell(tuple(without))) == ([93.0, 94.0, 95.0], [94.0, 93.0, 92.0])


def test_a_seed_that_stands_for_two_architectures_pairs_nothing() -> None:
    twice = [
        row(1, seed=0, accuracy=93.0, config=A50, imported=True, architecture="x"),
        row(2, seed=0, accuracy=94.0, config=A50, imported=True, architecture="y"),
        row(3, seed=1, accuracy=95.0, config=A50, imported=True, architecture="z"),
    ]
    other = [row(9 + k, seed=k, accuracy=92.0, config=A50) for k in range(2)]
    assert pairs(Cell(tuple(twice)), Cell(tuple(other))) == ([95.0], [92.0])


def test_ranks_are_refused_below_four_a_side() -> None:
    rows = side("evaluate", {0: 93.1, 1: 93.2, 2: 93.4}, 1) + side("random-baseline", {0: 93.0, 1: 92.9, 2: 93.3}, 9)
    table = table2.build(rows)
    computed = stats.compute(table)
    assert computed.rows[0].ranks is None and "at least 4 values a side" in computed.rows[0].ranks_refused
    text = render.render(table, "md", stats=computed)
    assert r"n \< 4" in text and "Mann-Whitney needs at least 4 values a side (got 3 and 3)" in text


def test_holm_goes_over_the_rows() -> None:
    rows = [replace(one, config={**one.config, "match": "count"}) for one in published_rows()]
    computed = stats.compute(table2.build(rows))
    tested = [one for one in computed.rows if one.paired is not None]
    assert len(tested) == 5
    wanted = statistics.holm([one.paired.p for one in tested if one.paired])
    assert [one.holm for one in tested] == wanted
    assert all(one.holm is None for one in computed.rows if one.paired is None)


def test_growth_is_paired_within_a_search() -> None:
    table = table2.build(study_rows(6))
    growth = {(one.architecture, one.metric, one.start, one.end): one for one in stats.compute(table).growth}
    assert len(growth) == 2 * 2 * 3
    cells = {(one.architecture, one.epoch): one.cell for one in table.rows}
    late, early = ([unit.value("shortcuts") for unit in cells["B", epoch].units] for epoch in (150, 50))
    wanted = scipy_stats.ttest_rel(late, early)
    change = growth["B", "shortcuts", 50, 150].change
    assert change is not None and change.p == pytest.approx(wanted.pvalue, rel=1e-9)


def test_gpu_hours_count_trainings_random_ones_and_searches() -> None:
    computed = stats.compute(table2.build(study_rows(4)))
    one = computed.rows[0]
    assert one.gpu_hours == pytest.approx(4 * 130 / 3600)
    assert one.random_gpu_hours == pytest.approx(4 * 130 / 3600)
    assert one.search_gpu_hours == pytest.approx(4 * 5200 / 3600)


@pytest.mark.parametrize("format", ["md", "tex", "html", "csv", "json"])
def test_every_format_has_the_statistics(format: str) -> None:
    table = table2.build(study_rows(4))
    text = render.render(table, format, stats=stats.compute(table))
    assert "t(3)" in text if format != "json" else json.loads(text)["statistics"]["rows"][0]["paired"]["n"] == 4


def test_random_architectures_alone_have_no_gain() -> None:
    table = table2.build([row(1 + seed, kind="random-baseline", seed=seed, accuracy=93.0 + seed) for seed in range(5)])
    (one,) = stats.compute(table).rows
    assert (one.paired, one.welch, one.ranks, one.hedges_g) == (None, None, None, None)
    assert one.interval is not None and one.interval.low < 95.0 < one.interval.high


def test_the_statistics_are_split_where_a_page_ends_and_nothing_is_lost() -> None:
    (table,) = table2.build_all(study_rows())
    whole = stats.compute(table).grids()[0]
    parts = whole.parts()
    assert [len(part.headings) for part in parts] == [6, 6, 6, 4]
    assert sorted(column for piece in stats.PIECES for column in piece) == list(range(2, len(whole.headings)))
    for place, cells in enumerate([whole.headings, *whole.rows]):
        shown = [part.headings if place == 0 else part.rows[place - 1] for part in parts]
        assert all(one[:2] == cells[:2] for one in shown)
        assert [cell for one in shown for cell in one[2:]] == [cells[at] for piece in stats.PIECES for at in piece]
    tex = grid.latex(whole)
    assert tex.count(r"\begin{table}") == tex.count(r"\end{table}") == 4
    assert max(len(line) for line in tex.splitlines()) < 140
    assert grid.markdown(whole).count("**Statistics**") == 1  # where nothing ends, it is one


def test_a_table_without_pieces_is_whole() -> None:
    plain = grid.Grid(caption="c", headings=["a", "b"], rows=[["1", "2"]])
    assert plain.parts() == [plain]
