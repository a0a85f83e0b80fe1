"""What a figure of any study shows, before it is drawn: every seed, its mean and interval, and how many are missing."""

from __future__ import annotations

from typing import Any

import pytest
from scipy import stats

from db.rows import ResultRow
from jobs.errors import BadInput
from jobs.words import JobState
from orchestrator.figures.data import Axes, NothingToDraw
from orchestrator.figures.panels import Mark, picture, varying
from orchestrator.tables.keys import text
from tests.helpers.sweep import rows


def test_axes_that_nobody_named_are_what_varies_and_what_is_reported() -> None:
    shown = picture(rows(), Axes())
    assert shown.axes == Axes(x="lr", y="acc", hue="opt", facet="")
    assert shown.xs() == ["0.02", "0.1", "10"], "numbers by their size"
    assert [text(hue) for hue in shown.hues()] == ["adam", "sgd"]
    assert varying(rows()) == ["lr", "opt"]


def test_a_mark_holds_its_seeds_their_mean_and_scipys_interval() -> None:
    given = rows()
    shown = picture(given, Axes(x="lr", hue="opt"))
    (panel,) = shown.panels
    assert len(panel.marks) == 6
    for mark in panel.marks:
        values = [
            row.metrics["acc"]
            for row in given
            if row.config["parameters"]["lr"] == mark.x and row.config["parameters"]["opt"] == mark.hue
        ]
        assert sorted(mark.values) == sorted(value for value in values if value is not None)
        low, high = stats.t.interval(0.95, 3, loc=mark.mean, scale=stats.sem(mark.values))
        assert mark.interval is not None
        assert (mark.interval.low, mark.interval.high) == (pytest.approx(low), pytest.approx(high))
        assert mark.count == "n = 4"


def test_seeds_without_a_finite_number_are_counted_as_missing() -> None:
    given = rows()
    given[0] = ResultRow(**{**vars_of(given[0]), "metrics": {"acc": None, "seconds": 1.0}})
    given[1] = ResultRow(**{**vars_of(given[1]), "metrics": {}, "state": JobState.RUNNING})
    marks = {(mark.x, mark.hue): mark for mark in picture(given, Axes(x="lr", y="acc", hue="opt")).panels[0].marks}
    assert marks["0.1", "sgd"].count == "n = 2/4" and marks["0.1", "adam"].count == "n = 4"
    one = Mark(x=1, hue=None, values=(3.0,), at=(), expected=1)
    assert one.interval is None and one.mean == 3.0


def vars_of(row: ResultRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ResultRow.__dataclass_fields__}


def test_a_number_that_jobs_report_is_an_x_of_every_seed() -> None:
    shown = picture(rows(), Axes(x="seconds", y="acc", hue="opt"))
    assert shown.measured
    for mark in shown.panels[0].marks:
        assert len(mark.values) == 12 and mark.at == pytest.approx([10 * value for value in mark.values])


def test_a_facet_is_a_panel() -> None:
    shown = picture(rows(), Axes(x="lr", y="acc", facet="opt"))
    assert [panel.facet for panel in shown.panels] == ["adam", "sgd"]
    assert [len(panel.marks) for panel in shown.panels] == [3, 3]


@pytest.mark.parametrize(
    ("axes", "why"),
    [
        (Axes(x="lrr"), "did you mean 'lr'"),
        (Axes(y="ac"), "did you mean 'acc'"),
        (Axes(x="lr", hue="lr"), "asked for twice"),
        (Axes(x="lr", y="lr"), "lr"),
        (Axes(x="lr", y="same"), "no job has a finite"),
    ],
)
def test_what_cannot_be_shown_is_refused(axes: Axes, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        picture(rows(), axes)


def test_nothing_is_said_to_be_nothing() -> None:
    with pytest.raises(NothingToDraw, match="no job is left"):
        picture([], Axes())
    bare = [ResultRow(**{**vars_of(row), "metrics": {}}) for row in rows()]
    with pytest.raises(NothingToDraw, match="no job has reported a number"):
        picture(bare, Axes())
