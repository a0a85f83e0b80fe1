"""What a metric's name says of it, and what is declared over that."""

from __future__ import annotations

import pytest

from jobs.reported import Declared, Reported, higher_is_better, title


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        ("acc", True),
        ("test_accuracy", True),
        ("val/top1", True),
        ("valAcc", True),
        ("AUC", True),
        ("f1", True),
        ("macro_F1", True),
        ("mAP@50", True),
        ("BLEU-4", True),
        ("loss", False),
        ("val_loss", False),
        ("trainLoss", False),
        ("top1_err", False),
        ("accuracy_loss", False),
        ("perplexity", False),
        ("FID", False),
        ("rmse", False),
        ("wer", False),
        ("train_time", False),
        ("test_error_rate", False),
        ("xloss", False),
        ("width", True),
    ],
)
def test_which_way_is_better_by_name(name: str, higher: bool) -> None:
    assert higher_is_better(name) is higher
    assert higher_is_better(name, {name: Declared(better="lower" if higher else "higher")}) is not higher
    assert higher_is_better(name, {name: Declared(label="x")}) is higher


def test_titles() -> None:
    declared = {"acc": Declared(label="Test accuracy", unit="%"), "t": Declared(unit="s"), "x": Declared()}
    assert [title(name, declared) for name in ("acc", "t", "x", "y")] == ["Test accuracy (%)", "t (s)", "x", "y"]


def test_options_hold_it_all_and_name_only_what_is_there() -> None:
    whole = Reported(result_files=("a",), metrics={"m": Declared(pattern="(x)", digits=2)}, tensorboard=("b",))
    assert Reported.of({**whole.options(), "minutes": 5}) == whole
    assert Reported(result_files=("a",)).options() == {"result_files": ["a"]}
    assert Reported.of({}) == Reported()
