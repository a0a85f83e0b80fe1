"""Points of a sweep: how many, in which order, and that more draws keep the first."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.commands import Parameter, parameter
from jobs.errors import BadInput
from orchestrator.studyfile.drawing import Distribution, Draws, draw
from orchestrator.studyfile.points import Point, Sweep, expand
from orchestrator.studyfile.reading import parse


def points(sweep: str) -> list[Point]:
    text = f"[[experiment]]\nname = 'x'\ncommand = ['x']\n{sweep}"
    return expand(parse(text, Path("study.toml")).experiments[0].sweep)


def plain(found: list[Point]) -> list[dict[str, str]]:
    return [{name: item.written for name, item in point.values.items()} for point in found]


def test_without_a_sweep_there_is_one_point() -> None:
    assert plain(points("")) == [{}]
    assert plain(points("params = {lr = 0.10}")) == [{"lr": "0.10"}]


def test_a_grid_times_rows_that_go_together() -> None:
    found = plain(points("params = {m = 1}\ngrid = {lr = [0.1, 0.01]}\nzip = {a = [1, 2], b = ['x', 'y']}"))
    assert found == [
        {"m": "1", "lr": lr, "a": a, "b": b} for lr in ("0.1", "0.01") for a, b in (("1", "x"), ("2", "y"))
    ]


def test_momentum_is_swept_for_sgd_alone() -> None:
    found = points(
        """
exclude = [{opt = "adam", lr = 0.10}]
[experiment.grid]
lr = [0.1, 0.01]
opt = ["sgd", "adam"]
[[experiment.sub]]
when = {opt = "sgd"}
args = ["--momentum", "{momentum}"]
[experiment.sub.grid]
momentum = [0, 0.9]
[[experiment.sub.sub]]
when = {momentum = 0.90}
[experiment.sub.sub.params]
nesterov = true
"""
    )
    assert plain(found) == [
        {"lr": "0.1", "opt": "sgd", "momentum": "0"},
        {"lr": "0.1", "opt": "sgd", "momentum": "0.9", "nesterov": "true"},
        {"lr": "0.01", "opt": "sgd", "momentum": "0"},
        {"lr": "0.01", "opt": "sgd", "momentum": "0.9", "nesterov": "true"},
        {"lr": "0.01", "opt": "adam"},
    ]
    assert [point.args for point in found] == [("--momentum", "{momentum}")] * 4 + [()]


def test_two_subs_of_one_point_multiply() -> None:
    text = "grid = {opt = ['sgd', 'adam']}\n"
    for name in ("a", "b"):
        text += f"[[experiment.sub]]\nwhen = {{opt = 'sgd'}}\ngrid = {{{name} = [1, 2]}}\n"
    found = plain(points(text))
    assert found == [{"opt": "sgd", "a": a, "b": b} for a in "12" for b in "12"] + [{"opt": "adam"}]


@pytest.mark.parametrize(
    ("sweep", "why"),
    [
        ("grid = {lr = [1]}\nexclude = [{lrr = 1}]", "no parameter 'lrr', did you mean 'lr'"),
        ("grid = {lr = [1, 2]}\nexclude = [{lr = 3}]", "lr is never 3, but 1, 2"),
        ("grid = {lr = [1, 2]}\nexclude = [{lr = '1'}]", "a number and a text are two values"),
        ("grid = {lr = [1]}\nexclude = [{lr = 1}]", "leaves no point"),
        ("zip = {a = [1, 2], b = [1, 2]}\nexclude = [{a = 1, b = 2}]", "never come together"),
        ("grid = {o = ['s']}\n[[experiment.sub]]\nwhen = {o = 'S'}\nparams = {m = 1}", "o is never S, but s"),
        ("grid = {lr = [1]}\nparams = {lr = 2}", "'lr' is given twice"),
        ("grid = {lr = [1]}\n[[experiment.sub]]\nwhen = {lr = 1}\ngrid = {lr = [2]}", "'lr' is given twice"),
        ("random = {n = 4, seed = 1, a = {integers = [1, 3]}}", "there are only 3"),
        ("grid = {a = '1..2000', b = '1..2000'}", "4000000 points"),
    ],
)
def test_a_slip_is_refused(sweep: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        points(sweep)


SPACE = {
    "lr": Distribution(how="loguniform", low=1e-4, high=1e-1),
    "wd": Distribution(how="uniform", low=-1, high=3),
    "n": Distribution(how="integers", low=1, high=7),
    "opt": Distribution(how="choice", choices=[parameter("a"), parameter("b"), parameter("c")]),
}


@given(st.integers(0, 2**63 - 1), st.integers(1, 40), st.integers(0, 40))
def test_more_draws_keep_the_first(seed: int, n: int, more: int) -> None:
    first = draw(Draws(n=n, seed=seed, of=SPACE))
    assert draw(Draws(n=n + more, seed=seed, of=SPACE))[:n] == first
    assert len({tuple(item.value for item in point.values()) for point in first}) == n
    for point in first:
        assert 1e-4 <= float(point["lr"].value) <= 1e-1 and -1 <= float(point["wd"].value) <= 3
        assert point["n"].value in set("1234567") and point["opt"].value in set("abc")
    alone = {"lr": SPACE["lr"]}
    assert [point["lr"] for point in draw(Draws(n=1, seed=seed, of=alone))] == [first[0]["lr"]], "of its name alone"


def test_draws_are_spread_as_they_should_be() -> None:
    """10,000 draws of one seed: each share within five standard errors (binomial: at most 0.025)."""
    shares: dict[str, list[float]] = {"lr": [], "wd": []}
    counts: dict[str, int] = {}
    for point in draw(Draws(n=10_000, seed=7, of=SPACE)):
        shares["lr"].append(float(point["lr"].value) < 1e-3)
        shares["wd"].append(float(point["wd"].value) < 0)
        counts[point["opt"].value] = counts.get(point["opt"].value, 0) + 1
    assert abs(sum(shares["lr"]) / 10_000 - 1 / 3) < 0.025
    assert abs(sum(shares["wd"]) / 10_000 - 1 / 4) < 0.025
    assert all(abs(number / 10_000 - 1 / 3) < 0.025 for number in counts.values())


def test_an_empty_choice_of_points_is_never_made() -> None:
    values: dict[str, Any] = {"a": [Parameter(value="1", written="1")]}
    assert len(expand(Sweep(grid=values))) == 1
