"""Axes call a program's metrics as a person declared them."""

from __future__ import annotations

import pytest

from db.rows import Curve, ResultRow
from jobs.reported import Declared
from orchestrator.figures import curves
from orchestrator.figures.data import FigureData
from tests.helpers.plausible import row

DECLARED = {"acc": Declared(label="Test accuracy", unit="%")}


def rows() -> list[ResultRow]:
    return [
        row(job, accuracy=None, kind="command", seed=job, declared=DECLARED, metrics={"acc": 90.0 + job})
        for job in (1, 2)
    ]


def test_the_axis_of_curves_has_label_and_unit() -> None:
    points = tuple((epoch, {"acc": 80.0 + epoch, "val_loss": 1.0 / epoch}) for epoch in (1, 2, 3))
    found = [Curve(job=job, kind="command", seed=job, config={}, points=points) for job in (1, 2)]
    for metric, label in (("acc", "Test accuracy (%)"), ("val_loss", "validation loss")):
        figure = curves.learning(FigureData(rows=rows(), curves=found, metric=metric))
        assert [axes.get_ylabel() for axes in figure.axes] == [label]


@pytest.mark.parametrize(
    ("kinds", "label"),
    [(("search", "evaluate"), "validation accuracy (%)"), (("command",), None), (("search", "command"), None)],
)
def test_only_what_the_house_trains_is_percent_by_its_name(kinds: tuple[str, ...], label: str | None) -> None:
    """A program's `val_accuracy` may be a fraction: nobody said what it is."""
    points = tuple((epoch, {"val_accuracy": 0.8 + epoch / 100}) for epoch in (1, 2, 3))
    found = [Curve(job=job, kind=kind, seed=job, config={}, points=points) for job, kind in enumerate(kinds, 1)]
    own = [row(one.job, accuracy=None, kind=one.kind, seed=one.job, metrics={"val_accuracy": 0.83}) for one in found]
    figure = curves.learning(FigureData(rows=own, curves=found, metric="val_accuracy"))
    assert {axes.get_ylabel() for axes in figure.axes} == {label or "validation accuracy"}
