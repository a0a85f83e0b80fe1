"""`--filter` and the order of values: numbers as numbers, truth values, lists, text; of parameters and results."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.rows import ResultRow
from jobs.errors import BadInput
from orchestrator.tables import generic
from orchestrator.tables.arguments import given as given_by
from orchestrator.tables.arguments import positional, program
from orchestrator.tables.filters import select
from orchestrator.tables.values import Name, in_order, known_as
from tests.helpers.plausible import row


def program_row(job: int, metrics: dict[str, float | None], quoted: tuple[str, ...] = (), **values: str) -> ResultRow:
    config: dict[str, Any] = {"argv": ["python", "train.py", "--seed", "{seed}"], "parameters": values}
    return row(job, kind="command", seed=job, accuracy=None, metrics=metrics, config={**config, "quoted": list(quoted)})


ROWS = [
    program_row(0, {"val/acc": 90.0, "MAP@k": 0.5, "a b": 1.0, "lr": 0.001, "a>b": 3.0}, lr="0.1", flip="true"),
    program_row(1, {"val/acc": 93.5, "MAP@k": 0.25, "a b": 2.0, "lr": 0.01, "a>b": 4.0}, lr="0.02", flip="False"),
    program_row(2, {"val/acc": 5.0, "MAP@k": None, "lr": 0.01}, lr="10", layers="[64,64]", flip="True"),
    program_row(3, {}, lr="9007199254740993", layers="[128]", opt="sgd", release="1.10", quoted=("release",)),
]


@pytest.mark.parametrize(
    ("text", "jobs"),
    [
        ("val/acc>=5", [0, 1, 2]),
        ("val/acc > 5", [0, 1]),
        ("  val/acc<90 ", [2]),
        ("val/acc!=5", [0, 1, 3]),
        ("MAP@k<=0.25", [1]),
        ("MAP@k=.5", [0]),
        ("metrics.MAP@k==5e-1", [0]),
        ("a b=2", [1]),
        ("a>b>=4", [1]),
        ("a>b=3.0", [0]),
        ("lr<1", [0, 1]),
        ("lr>0.1", [2, 3]),
        ("lr=1e1", [2]),
        ("lr=0.10,.02", [0, 1]),
        ("metrics.lr=0.01", [1, 2]),
        ("lr=9007199254740993", [3]),
        ("lr=9007199254740992", []),
        ("flip=true", [0, 2]),
        ("flip!=TRUE", [1, 3]),
        ("layers=[64,64]", [2]),
        ("layers=[64, 6.4e1],[128]", [2, 3]),
        ("opt='sgd'", [3]),
        ("opt=none", [0, 1, 2]),
        ("release=1.10", [3]),
        ("release=1.1", []),
        ("state=failed", []),
        ("seed<=1", [0, 1]),
        ("kind=command", [0, 1, 2, 3]),
    ],
)
def test_a_filter_compares_as_what_the_values_are(text: str, jobs: list[int]) -> None:
    assert [one.job for one in select(ROWS, [text])] == jobs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("val/ac>=5", "no row has the key 'val/ac': did you mean 'val/acc'?"),
        ("map@K>=5", "no row has the key 'map@K': did you mean 'MAP@k'?"),
        ("val/acc", "cannot read the filter 'val/acc': write it as key=value"),
        (">=5", "cannot read the filter '>=5'"),
        ("val/acc>=high", "cannot compare val/acc >= 'high': only numbers have an order"),
        ("val/acc>=", "cannot compare val/acc >= '': only numbers have an order"),
        ("opt<3", "cannot compare opt < '3': only numbers have an order, and this is none (it is 'sgd' in a job)"),
        ("flip>0", "cannot compare flip > '0': only numbers have an order"),
        ("lr=fast", "no lr is 'fast': it is a number in every job"),
        ("val/acc=>5", "no val/acc is '>5': it is a number in every job"),
        ("flip=yes", "no flip is 'yes': it is true or false in every job"),
        ("imported=maybe", "no imported is 'maybe': it is true or false in every job"),
        ("seed=first", "no seed is 'first': it is a number in every job"),
        ("state=fialed", "there is no state 'fialed': did you mean 'failed'?"),
        ("kind=comand", "there is no kind 'comand': did you mean 'command'?"),
        ("kind>3", "only numbers have an order"),
    ],
)
def test_a_bad_filter_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        select(ROWS, [text])
    assert message in str(caught.value) and "config." not in str(caught.value) and "\n" not in str(caught.value)


def test_rows_stand_in_the_order_of_numbers_truth_values_lists_and_text() -> None:
    found = [one.keys[-1] for one in generic.group(ROWS, ["lr"], ["val/acc"]).groups]
    assert found == ["0.02", "0.1", "10", "9007199254740993"]
    layers = ["[64,64]", "[128]", "[8]", "[64,8]", "[64]"]
    assert in_order(layers) == ["[8]", "[64]", "[64,8]", "[64,64]", "[128]"]
    mixed = ["none of it", "true", "10", None, "False", "9", Name("9"), "[1]", 0.5]
    assert in_order(mixed) == [0.5, "9", Name("9"), "10", "False", "true", "none of it", "[1]", None]


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9)))
def test_numbers_written_in_any_way_sort_by_their_value(numbers: list[Decimal]) -> None:
    spellings = [form for one in numbers for form in (f"{one:f}", f"{one:E}", f"{one:+f}")]
    found = in_order(spellings)
    assert [Decimal(one) for one in found] == sorted(set(numbers))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8))
def test_any_two_values_have_an_order(value: object) -> None:
    for other in (None, True, 3, 0.1, "x", "[1,2]", ["a", 1], value):
        one, two = known_as(value), known_as(other)
        assert (one < two) + (one == two) + (one > two) == 1


def test_literal_arguments_of_a_command_line_have_names() -> None:
    argv = ["python", "train.py", "run", "--lr", "0.10", "-n=3", "model.depth=2", "+new=a=b", "--fast", "--wd", "-1"]
    argv += ["--seed", "{seed}", "--out={out}/x"]
    expected = {"lr": "0.1", "n": "3", "model.depth": "2", "new": "a=b", "fast": "true", "wd": "-1"}
    assert dict(given_by(argv)) == expected
    assert program(argv) == ("python", "train.py") and positional(argv) == ["run"]
    assert program(["python", "-m", "pkg.train", "x"]) == ("python", "-m", "pkg.train")
    assert program(["./train.sh", "0.1"]) == ("./train.sh",) and positional(["./train.sh", "0.1"]) == ["0.1"]
    rows = [
        row(job, kind="command", seed=0, metrics={"loss": 0.1}, config={"argv": ["a.out", "--lr", lr]})
        for job, lr in enumerate(["0.1", "10", "9e-2"])
    ]
    assert [one.job for one in select(rows, ["lr<1"])] == [0, 2]
    assert [one.keys[-1] for one in generic.group(rows, ["lr"], ["loss"]).groups] == ["0.09", "0.1", "10"]
