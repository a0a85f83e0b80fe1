"""Which number of a metric counts."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.metrics import last_values, numbers

NOT_FINITE = [
    "NaN", "Infinity", "-Infinity", "null", "1e999", "1" + "0" * 400, '"nan"', '"NaN"', '"Infinity"', '"-inf"',
]  # fmt: skip
NO_NUMBER = ['"0.95"', '"diverged"', "true", "[0.95]", '{"a": 0.95}']


@pytest.mark.parametrize("spelled", [*NOT_FINITE, *NO_NUMBER])
def test_the_newest_line_that_names_a_metric_decides_even_where_it_has_no_number(spelled: str) -> None:
    lines = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.4}, json.loads(f'{{"epoch": 3, "loss": {spelled}}}')]
    assert last_values(lines) == {"loss": None}
    assert last_values([*lines, {"epoch": 4, "loss": 0.3}]) == {"loss": 0.3}


@pytest.mark.parametrize("spelled", NOT_FINITE)
def test_what_spells_not_finite_names_a_metric_and_any_other_text_does_not(spelled: str) -> None:
    assert numbers(json.loads(f'{{"loss": {spelled}, "phase": "train", "on": false, "tags": []}}')) == {"loss": None}


def test_lines_out_of_order_and_lines_that_leave_a_metric_out() -> None:
    lines = [{"epoch": 9, "acc": 0.9}, {"epoch": 10, "acc": 0.8, "loss": 1}, {"epoch": 3, "acc": 0.7}, {"epoch": 11}]
    assert last_values(lines) == {"acc": 0.7, "loss": 1.0}


def test_the_result_wins_for_the_names_it_gives() -> None:
    lines = [{"acc": 0.9, "loss": math.nan, "speed": 5.0}]
    assert last_values(lines, {"acc": 0.95, "loss": 0.1}) == {"acc": 0.95, "loss": 0.1, "speed": 5.0}
    assert last_values(lines, {"acc": math.nan}) == {"acc": None, "loss": None, "speed": 5.0}
    assert last_values(lines, {"acc": "0.95", "note": "fine", "epochs": 7}) == {
        "acc": None,
        "loss": None,
        "speed": 5.0,
        "epochs": 7.0,
    }


VALUES = st.one_of(
    st.floats(), st.integers(), st.none(), st.booleans(), st.sampled_from(["nan", "inf", "0.5", "ab", ""])
)
LINES = st.lists(st.dictionaries(st.sampled_from(["a", "b", "epoch", "epochs"]), VALUES), max_size=8)


@given(LINES, st.none() | st.dictionaries(st.sampled_from(["a", "b", "epoch"]), VALUES))
def test_every_value_is_of_the_newest_place_that_names_it(
    lines: list[dict[str, Any]], result: dict[str, Any] | None
) -> None:
    found = last_values(lines, result)
    for name in ("a", "b"):
        places = [*lines, *([] if result is None else [result])]
        given_at = [place[name] for place in places if name in place]
        finite = [_finite(value) for value in given_at]
        if name in found:
            assert found[name] == finite[-1]
        else:  # no place gave a number or said that it has none
            assert all(isinstance(value, bool | str) and value not in ("nan", "inf") for value in given_at)
    assert "epochs" not in found


@given(LINES)
def test_lines_can_be_folded_one_by_one(lines: list[dict[str, Any]]) -> None:
    folded: dict[str, float | None] = {}
    for line in lines:
        folded = last_values([folded, line])
    assert folded == last_values(lines)


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and _is(value) else None


def _is(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
