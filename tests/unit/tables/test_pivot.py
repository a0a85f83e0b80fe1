"""Odd tables of a study file: holes, parameters of other experiments, baselines that are none, names like markup."""

from __future__ import annotations

import itertools
from typing import Any

from db.layouts import Layout
from db.rows import ResultRow
from jobs.words import JobState
from orchestrator.tables.grid import Grid, latex, markdown
from orchestrator.tables.pivot import lay_out

JOBS = itertools.count(1)


def row(experiment: str, parameters: dict[str, str], seed: int, metrics: dict[str, Any]) -> ResultRow:
    return ResultRow(
        job=next(JOBS),
        study="s",
        kind="command",
        preset="report",
        dataset="",
        seed=seed,
        state=JobState.SUCCEEDED if metrics else JobState.QUEUED,
        experiment=experiment,
        config={
            "argv": ["python", f"{experiment}.py", *(f"{{{name}}}" for name in parameters)],
            "parameters": parameters,
        },
        metrics=metrics,
    )


TRAIN = [
    row("train", {"lr": lr}, seed, {"MAP@k": 0.1 * seed + float(lr)}) for lr in ("0.1", "0.01") for seed in range(3)
]
OTHER = [row("other", {"depth": "[64,64]"}, seed, {"MAP@k": 0.3 + 0.1 * seed, "%": 1.5}) for seed in range(2)]


def drawn(layout: Layout, rows: list[ResultRow]) -> Grid:
    return lay_out(layout, rows).grid()


def test_two_experiments_share_a_table_and_what_one_has_not_is_a_dash() -> None:
    grid = drawn(Layout(metrics=("MAP@k",)), [*TRAIN, *OTHER])
    assert grid.headings == ["experiment", "lr", "n", "MAP@k"]
    assert grid.rows == [
        ["other", "-", "2", "0.4 ± 0.1"],
        ["train", "0.01", "3", "0.11 ± 0.10"],
        ["train", "0.1", "3", "0.20 ± 0.10"],
    ]
    pivot = drawn(Layout(rows=("experiment",), columns=("metric", "lr"), metrics=("MAP@k",)), [*TRAIN, *OTHER])
    assert pivot.leaves == ["experiment", "lr = 0.01", "lr = 0.1", "no lr"]
    assert [(one.text, one.start, one.width) for (one,) in pivot.above] == [("MAP@k", 1, 3)]
    assert pivot.rows == [["other", "-", "-", "0.4 ± 0.1 (n = 2)"], ["train", "0.11 ± 0.10", "0.20 ± 0.10", "-"]]
    assert "n = 3 where nothing else is said" in pivot.notes


def test_what_nobody_has_is_named_and_no_number_is_made_of_it() -> None:
    grid = drawn(Layout(rows=("lrr",), metrics=("MAP@",)), TRAIN)
    assert grid.rows == [["-", "0/6", "-"]]
    assert "no job has reported 'MAP@': did you mean 'MAP@k'?" in grid.notes
    assert "no job has 'lrr', which [table] names: did you mean 'lr'?" in grid.notes
    waiting = [row("train", {"lr": "0.1"}, seed, {}) for seed in range(3)]
    assert drawn(Layout(rows=("lr",), metrics=("acc",), baseline={"lr": "0.1"}), waiting).rows == [
        ["0.1", "0/3", "pending", "-"]
    ]
    assert drawn(Layout(rows=("lr",), columns=("data", "metric")), []).notes == ["no results yet"]


def test_a_baseline_that_is_no_row_or_several_compares_nobody() -> None:
    several = drawn(Layout(rows=("experiment", "lr"), metrics=("MAP@k",), baseline={"experiment": "train"}), TRAIN)
    assert [cells[-1] for cells in several.rows] == ["-", "-"]
    assert several.notes[-1] == "no differences: several rows are the baseline (experiment = train); name lr too"
    none = drawn(Layout(rows=("lr",), baseline={"lr": "7"}), TRAIN)
    assert none.notes[-1] == "no differences: no row is the baseline (lr = 7)"


def test_one_seed_has_neither_interval_nor_p() -> None:
    grid = drawn(Layout(rows=("lr",), baseline={"lr": "0.10"}), [one for one in TRAIN if one.seed == 0])
    assert grid.rows == [["0.01", "1", "0.01", "−0.09"], ["0.1", "1", "0.1", "-"]]


def test_values_that_look_like_markup_are_text() -> None:
    odd = ["[x]", "*b*", "$x$", "&lt;", r"\textbf{x}", "a|b", "<i>"]
    grid = drawn(Layout(rows=("m",), order={"m": tuple(odd)}), [row("x", {"m": one}, 0, {"%": 1.5}) for one in odd])
    assert [cells[0] for cells in grid.rows] == odd
    shown = [line.split(" ")[1] for line in markdown(grid).splitlines()[4:11]]
    assert shown == [r"\[x]", r"\*b\*", r"\$x\$", r"\&lt;", r"\\textbf{x}", r"a\|b", r"\<i>"]
    tex = [line.strip().split(" & ")[0] for line in latex(grid).splitlines() if line.endswith(r"1.5 \\")]
    assert tex == ["{[}x]", "{*}b*", r"\$x\$", r"\&lt;", r"\textbackslash{}textbf\{x\}", "a|b", "$<$i$>$"]
