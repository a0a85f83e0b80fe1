"""When a search is said to collapse: RobustDARTS's ratio of averages, and the share of edges on one block."""

from __future__ import annotations

import pytest

from jobs.shortcuts import collapse
from orchestrator.views.notes import collapse_notes


def test_the_ratio_is_of_two_averages_of_five_looks() -> None:
    looks = [9.0, *[1.0, 2.0, 3.0, 4.0, 5.0], *[3.0, 3.0, 5.0, 4.0, 5.0]]
    assert collapse.ratio(looks) == pytest.approx(20 / 15)
    assert collapse.ratio(looks[2:]) is None  # nine looks
    assert collapse.ratio([-1.0] * 5 + [1.0] * 5) is None
    assert collapse.ratio([0.0] * 10) is None


@pytest.mark.parametrize(("ratio", "warned"), [(1.33, False), (1.34, True), (None, False), (0.5, False)])
def test_the_paper_s_threshold(ratio: float | None, warned: bool) -> None:
    assert bool(collapse.warnings({"eigenvalue_ratio": ratio})) is warned


@pytest.mark.parametrize(("share", "edges", "warned"), [(0.5, 8.0, False), (0.51, 8.0, True), (1.0, 3.0, False)])
def test_most_edges_on_one_block(share: float, edges: float, warned: bool) -> None:
    assert bool(collapse.warnings({"target_share": share, "shortcuts": edges})) is warned


def test_what_an_old_search_did_not_report_warns_of_nothing() -> None:
    assert collapse.warnings({"shortcuts": 12.0, "val_accuracy": 80.0}) == []


def test_status_names_the_first_and_counts_the_rest() -> None:
    bad, good = '{"eigenvalue_ratio": 1.5, "shortcuts": 4}', '{"eigenvalue_ratio": 1.0, "target_share": null}'
    notes = collapse_notes([(1, bad), (2, good), (3, bad), (4, bad), (5, bad)])
    assert notes[0] == (
        "search 1 may be collapsing: the largest eigenvalue over α grew 1.50-fold (above 1.33: RobustDARTS)"
    )
    assert notes[1].startswith("search 3 ")
    assert notes[2].startswith("2 more searches may be collapsing") and len(notes) == 3
    assert collapse_notes([]) == []
