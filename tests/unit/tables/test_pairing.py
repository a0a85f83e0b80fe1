"""What is a pair: a random architecture that was drawn for a searched one, and no other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy import stats as scipy_stats

from db.rows import ResultRow
from orchestrator.tables import render, stats, table2
from orchestrator.tables.stats import RowStatistics
from tests.helpers.plausible import row

A50 = {"method": "A", "search_epoch": 50}
FOUND = {0: 93.5, 1: 93.9, 2: 93.4, 3: 94.1}
DRAWN = {2: 93.1, 3: 93.6, 4: 92.9, 5: 93.2}


def side(kind: str, values: dict[int, float], start: int, imported: bool = False, **config: object) -> list[ResultRow]:
    return [
        row(start + seed, kind=kind, seed=seed, accuracy=value, config={**A50, **config}, imported=imported)
        for seed, value in values.items()
    ]


def only(rows: list[ResultRow]) -> tuple[RowStatistics, str]:
    """The statistics of a table of one row, and how they are shown."""
    table = table2.build(rows)
    computed = stats.compute(table)
    (one,) = computed.rows
    return one, render.render(table, "md", stats=computed).partition("Statistics")[2]


def test_two_pairs_under_four_say_so() -> None:
    one, shown = only(side("evaluate", FOUND, 1) + side("random-baseline", DRAWN, 20))
    assert (one.matched, one.pairs, one.row.cell.n) == (True, 2, 4)
    assert one.paired is not None and one.paired.n == 2
    assert one.paired.difference == pytest.approx((93.4 - 93.1 + 94.1 - 93.6) / 2)
    assert "| 2/4 |" in shown and "that of the pairs alone, not of all architectures: A 50 (2 of 4)" in shown


def test_equal_seeds_of_imported_rows_are_no_match() -> None:
    rows = side("evaluate", FOUND, 1, imported=True) + side("random-baseline", FOUND, 20, imported=True)
    one, shown = only(rows)
    assert (one.matched, one.pairs, one.paired, one.holm) == (False, 0, None, None)
    assert one.welch is not None and one.welch.n == 8
    assert "A 50: nobody matched the random architectures" in shown
    line = next(line for line in shown.splitlines() if "architecture search A" in line)
    assert [cell.strip() for cell in line.split("|")][6:9] == ["-", "-", "-"], "no gain, no pairs, no paired test"
    said = side("random-baseline", FOUND, 20, imported=True, match="count")
    one, shown = only(side("evaluate", FOUND, 1, imported=True) + said)
    assert (one.matched, one.pairs) == (True, 4) and "nobody matched" not in shown


def test_named_searches_and_exported_rows_are_matched() -> None:
    for drawn in (
        [
            replace(one, config={**one.config, "search": 7 + one.seed})
            for one in side("random-baseline", FOUND, 20, True)
        ],
        [replace(one, exported=True) for one in side("random-baseline", FOUND, 20, True)],
    ):
        searched = [replace(one, config={**one.config, "search": 7 + one.seed}) for one in side("evaluate", FOUND, 1)]
        one, _ = only(searched + drawn)
        assert (one.matched, one.pairs) == (True, 4)


def test_pairs_are_never_across_searches_of_one_seed() -> None:
    """Two searches of one seed (another setting of theirs is not in the evaluation's config) pair by search alone."""
    searched = [row(1 + k, seed=0, accuracy=93.0 + k, config={**A50, "search": 10 + k}) for k in range(3)]
    drawn = [
        row(9 + k, kind="random-baseline", seed=0, accuracy=92.0 + 3 * k, config={**A50, "search": 12 - k})
        for k in range(3)
    ]
    one, _ = only(searched + drawn)
    wanted = scipy_stats.ttest_rel([93.0, 94.0, 95.0], [98.0, 95.0, 92.0])
    assert one.paired is not None and (one.paired.n, one.paired.p) == (3, pytest.approx(wanted.pvalue, rel=1e-9))


def test_a_pair_with_itself_is_left_out_and_told() -> None:
    searched, drawn = side("evaluate", FOUND, 1), side("random-baseline", {**FOUND, 1: 93.0, 2: 93.0}, 20)
    searched[0], drawn[0] = (replace(one, edges=((0, 2),)) for one in (searched[0], drawn[0]))
    drawn[3] = replace(drawn[3], flags={"match": "no other architecture fits: it is the searched one itself"})
    one, shown = only(searched + drawn)
    assert (one.pairs, one.itself) == (2, 2)
    assert one.paired is not None and one.paired.difference == pytest.approx((0.9 + 0.4) / 2)
    assert "the random architecture is the searched one itself: A 50 (2)" in shown


def test_nothing_to_compare_says_nothing() -> None:
    one, shown = only(side("evaluate", FOUND, 1))
    assert (one.matched, one.pairs, one.welch) == (False, 0, None)
    assert "nobody matched" not in shown and "pairs alone" not in shown
