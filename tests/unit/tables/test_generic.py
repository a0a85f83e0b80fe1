"""`table --by`: groups by any key, filters, epochs of curves, wide and long; and `table --diff`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from db.rows import Curve, ResultRow
from jobs.errors import BadInput
from jobs.words import JobState
from orchestrator.tables import diff, generic, grid, render, table2
from orchestrator.tables.filters import select
from tests.helpers.plausible import PUBLISHED, published_rows, row


def sample() -> list[ResultRow]:
    found = []
    for job in range(8):
        metrics = {"shortcuts": float(4 + job // 4), "train_loss": 0.1 * (job + 1)}
        config = {"lr": 0.1 if job % 2 else 0.01, "parameters": {"depth": str(job % 2)}}
        found.append(row(job, kind="random-baseline", seed=job, accuracy=90.0 + job, metrics=metrics, config=config))
    return found


def curve(job: int, *accuracies: float) -> Curve:
    points = tuple((epoch, {"test_accuracy": one, "train_loss": 1.0 / one}) for epoch, one in enumerate(accuracies, 1))
    return Curve(job=job, kind="random-baseline", seed=job, config={}, points=points)


def test_group_by_a_metric_and_an_attribute() -> None:
    grouped = generic.group(sample(), ["kind", "shortcuts"])
    found = [(group.keys, group.n, group.spreads[0].mean) for group in grouped.groups]
    assert found == [(("random-baseline", 4.0), 4, 91.5), (("random-baseline", 5.0), 4, 95.5)]
    assert grouped.notes == ("within groups these settings differ: depth, lr",)


def test_every_statistic_of_a_metric() -> None:
    (one,) = generic.group(sample(), ["kind"], ["test_accuracy", "train_loss"]).groups
    spread = one.spreads[0]
    assert (spread.n, spread.mean, spread.min, spread.median, spread.max) == (8, 93.5, 90.0, 93.5, 97.0)
    assert spread.std == pytest.approx(6**0.5)
    text = grid.markdown(generic.to_grid(generic.group(sample(), ["kind"]), show=["mean", "min", "median", "max"]))
    assert "| random-baseline | 8 | 93.50 ± 2.45 | 90.00 | 93.50 | 97.00 |" in text


def test_a_setting_inside_a_setting_is_a_key() -> None:
    grouped = generic.group(sample(), ["parameters.depth"])
    assert [(group.keys, group.spreads[0].mean) for group in grouped.groups] == [(("0",), 93.0), (("1",), 94.0)]


def test_a_default_is_shown_as_its_value() -> None:
    rows = [row(1), row(2, config={"lr": 0.1})]
    assert [group.keys for group in generic.group(rows, ["lr"]).groups] == [(0.0090131,), (0.1,)]


def test_data_sets_and_presets_are_never_mixed() -> None:
    rows = [row(1), row(2, dataset="digits", preset="demo")]
    grouped = generic.group(rows, ["kind"])
    assert grouped.by == ("dataset", "preset", "kind") and len(grouped.groups) == 2
    assert "never mixed" in grouped.notes[0]


def test_repeats_are_averaged_first_and_missing_ones_are_counted() -> None:
    rows = [
        row(1, seed=0, accuracy=90.0),
        row(2, seed=0, accuracy=92.0, config={"repeat": 1}),
        row(3, seed=1, accuracy=95.0),
        row(4, seed=2, accuracy=None, state=JobState.RUNNING),
        row(5, seed=3, accuracy=None, state=JobState.CANCELLED),
    ]
    (one,) = generic.group(rows, ["kind"]).groups
    assert (one.n, one.expected, one.spreads[0].mean) == (2, 3, 93.0)
    assert "| evaluate | 2/3 |" in grid.markdown(generic.to_grid(generic.group(rows, ["kind"])))


def test_last_and_best_epoch_come_from_the_curves() -> None:
    rows = sample()[:2]
    curves = [curve(0, 50.0, 90.0, 80.0), curve(1, 60.0, 70.0)]
    last = generic.group(rows, ["seed"], epoch="last", curves=curves)
    best = generic.group(rows, ["seed"], ["test_accuracy", "train_loss"], epoch="best", curves=curves)
    assert [group.spreads[0].mean for group in last.groups] == [80.0, 70.0]
    assert [[spread.mean for spread in group.spreads] for group in best.groups] == [[90.0, 1 / 90.0], [70.0, 1 / 70.0]]
    assert "optimistic" in best.notes[-1]


def test_a_run_that_diverged_has_no_best_epoch() -> None:
    """Not finite at its newest line: an older epoch's number is not its result."""
    rows = sample()[:3]
    nan = ((1, {"test_accuracy": 99.0}), (2, {"test_accuracy": None}))
    curves = [curve(0, 50.0, 90.0, 80.0), curve(1, 60.0), replace(curve(2), points=nan)]
    best = generic.group(rows, ["kind"], epoch="best", curves=curves)
    assert (best.groups[0].spreads[0].n, best.groups[0].spreads[0].mean) == (2, 75.0)
    assert "test_accuracy, job 2, seed 2: not finite at its last epoch" in best.notes


def test_wide_turns_the_last_key_into_columns() -> None:
    grouped = generic.group(sample(), ["shortcuts", "lr"])
    wide = generic.to_grid(grouped, wide=True)
    assert list(wide.headings) == ["shortcuts", "test_accuracy, lr 0.01", "test_accuracy, lr 0.1"]
    assert [list(one) for one in wide.rows] == [
        ["4", "91.00 ± 1.41", "92.00 ± 1.41"],
        ["5", "95.00 ± 1.41", "96.00 ± 1.41"],
    ]
    with pytest.raises(BadInput, match="two keys"):
        generic.to_grid(generic.group(sample(), ["kind"]), wide=True)


@pytest.mark.parametrize(
    ("text", "jobs"),
    [
        ("test_accuracy>=95", [5, 6, 7]),
        ("test_accuracy<92", [0, 1]),
        ("lr=0.10", [1, 3, 5, 7]),
        ("lr!=0.1", [0, 2, 4, 6]),
        ("seed=1,3,9", [1, 3]),
        ("kind=evaluate", []),
        ("state=succeeded", list(range(8))),
        ("parameters.depth=1", [1, 3, 5, 7]),
        ("imported=false", list(range(8))),
    ],
)
def test_filters(text: str, jobs: list[int]) -> None:
    assert [one.job for one in select(sample(), [text])] == jobs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("acuracy=3", "no row has the key 'acuracy'"),
        ("shortcut=3", "did you mean 'shortcuts'"),
        ("kind", "write it as key=value"),
        ("kind>3", "only numbers have an order"),
    ],
)
def test_a_bad_filter_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        select(sample(), [text])


def test_a_parameter_is_one_value_however_it_was_written() -> None:
    """Jobs of version 1 hold it as it was written; they are of the same cell, and a filter may spell it as it likes."""
    texts = ["0.10", "0.1", "10", "2", "1.10"]
    quoted: list[dict[str, object]] = [{}, {}, {}, {}, {"quoted": ["Drop-Out"]}]
    rows = [
        row(job, seed=job, config={"parameters": {"Drop-Out": text}, **more})
        for job, (text, more) in enumerate(zip(texts, quoted, strict=True))
    ]
    found = [(group.keys[-1], group.n) for group in generic.group(rows, ["Drop-Out"]).groups]
    assert found == [("0.1", 2), ("1.10", 1), ("2", 1), ("10", 1)]
    for text, jobs in {
        "Drop-Out=0.10": [0, 1], "Drop-Out=1e-1": [0, 1], 'Drop-Out="1.10"': [4], "Drop-Out=1.1": [],
        "parameters.Drop-Out=.1": [0, 1], "Drop-Out>1.5": [2, 3],
    }.items():  # fmt: skip
        assert [one.job for one in select(rows, [text])] == jobs, text


def test_unknown_keys_metrics_and_choices_are_refused() -> None:
    with pytest.raises(BadInput, match="did you mean 'seed'"):
        generic.group(sample(), ["sed"])
    with pytest.raises(BadInput, match="no row has the metric 'test_acuracy': did you mean 'test_accuracy'"):
        generic.group(sample(), ["seed"], ["test_acuracy"])
    with pytest.raises(BadInput, match="known per epoch: test_accuracy, train_loss"):
        generic.group(sample(), ["seed"], ["params"], epoch="last", curves=[curve(0, 1.0)])


def test_csv_and_json_hold_unrounded_numbers() -> None:
    grouped = generic.group(sample(), ["lr"])
    lines = grid.comma_separated(generic.to_grid(grouped)).splitlines()
    assert lines[0].startswith("lr,n,expected,test_accuracy_n,test_accuracy_mean,test_accuracy_std")
    assert lines[1].startswith("0.01,4,4,4,93.0,2.58198889747")
    found = json.loads(render.dump(grouped.contract()))
    assert found["rows"][0]["by"] == {"lr": 0.01} and found["rows"][0]["metrics"]["test_accuracy"]["mean"] == 93.0


def test_the_reports_own_numbers_differ_from_the_published_by_nothing() -> None:
    found = diff.compare(table2.build(published_rows()), diff.load("report"))
    gaps = [one.difference for one in found.differences if one.theirs is not None and one.theirs.mean is not None]
    assert len(gaps) == 6 * 3 + 5 + 3 and all(gap == pytest.approx(0.0, abs=0.001) for gap in gaps)
    text = diff.render(found, "md")
    assert "| architecture search A | 50 epoch | test accuracy (%) | 93.70 ± 0.22 | 93.70 ± 0.22 | 0.00 |" in text


def test_a_difference_is_shown_without_a_verdict_and_missing_rows_stay(tmp_path: Path) -> None:
    rows = [row(1 + seed, seed=seed, accuracy=94.0, config={"method": "A", "search_epoch": 50}) for seed in range(3)]
    found = diff.compare(table2.build(rows), diff.load("report"))
    text = diff.render(found, "md")
    assert "| test accuracy (%) | 94.00 ± 0.00 | 93.70 ± 0.22 | +0.30 |" in text
    assert "| architecture search B | 100 epoch | test accuracy (%) | - | 93.93 ± 0.08 | - |" in text
    assert "its n per cell is not stated" in text
    other = tmp_path / "other.json"
    other.write_text(render.render(table2.build(rows), "json"))
    again = diff.compare(table2.build(rows), diff.load(str(other)))
    assert {one.difference for one in again.differences} == {0.0, None}


def test_another_data_set_never_stands_beside_the_reports() -> None:
    rows = [row(1, dataset="digits", preset="demo", config={"method": "A", "search_epoch": 1})]
    with pytest.raises(BadInput, match="different data sets are never set side by side"):
        diff.compare(table2.build(rows), diff.load("report"))


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"rows": 3}')
    with pytest.raises(BadInput, match="is no table in JSON"):
        diff.load(str(bad))
    with pytest.raises(BadInput, match="cannot read"):
        diff.load(str(tmp_path / "absent.json"))


def test_the_published_table_names_its_source() -> None:
    assert "CIFAR-10" in PUBLISHED["source"] and len(PUBLISHED["rows"]) == 7
