"""What a person declared of a program's metrics, in tables."""

from __future__ import annotations

from db.rows import Curve, ResultRow
from jobs.reported import Declared
from jobs.words import JobState
from orchestrator.tables import generic, grid
from orchestrator.tables.declared import better_up, called, digits
from tests.helpers.plausible import row

ACC = {"acc": Declared(label="Test accuracy", unit="%", digits=1), "odd": Declared(better="lower")}


def rows(declared: dict[str, Declared] = ACC) -> list[ResultRow]:
    return [
        row(job, accuracy=None, kind="command", seed=job, declared=declared, state=JobState.SUCCEEDED, **more)
        for job, more in ((1, {"metrics": {"acc": 90.0}}), (2, {"metrics": {"acc": 91.0}}))
    ]


def test_label_unit_and_digits_reach_the_table() -> None:
    text = grid.markdown(generic.to_grid(generic.group(rows(), ["kind"], ["acc"]), show=["mean", "max"]))
    assert "| kind | n | Test accuracy (%) | Test accuracy (%) max |" in text
    assert "| command | 2 | 90.5 ± 0.7 | 91.0 |" in text
    assert generic.group(rows(), ["kind"], ["acc"]).contract()["metrics"] == ["acc"]


def test_which_way_is_better_decides_what_the_best_epoch_is() -> None:
    points = ((1, {"acc": 1.0, "odd": 5.0}), (2, {"acc": 3.0, "odd": 4.0}), (3, {"acc": 2.0, "odd": 6.0}))
    curves = [Curve(job=job, kind="command", seed=job, config={}, points=points) for job in (1, 2)]
    (one,) = generic.group(rows(), ["kind"], ["acc", "odd"], curves=curves, epoch="best").groups
    assert [spread.mean for spread in one.spreads] == [3.0, 4.0]


def test_the_newest_job_says_it_and_a_kinds_own_words_stay() -> None:
    later = row(3, accuracy=None, kind="command", declared={"acc": Declared(label="Accuracy", digits=3)})
    assert called("acc", [later, *rows()]) == "Accuracy" and digits("acc", [later, *rows()]) == 3
    assert called("loss", rows()) == "loss" and digits("loss", rows()) is None
    assert better_up("acc", rows()) and not better_up("odd", rows()) and not better_up("val_loss", rows())
    house = [row(1, kind="evaluate")]
    assert digits("test_accuracy", house) == 2 and better_up("test_accuracy", house)
    assert called("test_accuracy", house) == "test_accuracy"


def test_a_declared_metric_is_known_before_any_job_has_reported_it() -> None:
    waiting = [row(1, accuracy=None, kind="command", declared=ACC)]
    (one,) = generic.group(waiting, ["kind"], ["acc"]).groups
    assert (one.n, one.expected, one.open) == (0, 1, (True,))
