"""What `--until` may say, and what each slip is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import BadInput
from orchestrator.stopping.grammar import Wish, parse


def test_a_comparison() -> None:
    assert parse(" lr=0.1  >  lr=0.01 on test_acc ") == Wish(
        text="lr=0.1 > lr=0.01 on test_acc", metric="test_acc", sides=({"lr": "0.1"}, {"lr": "0.01"})
    )
    found = parse("opt=adam,lr=0.1 < opt=sgd, lr=1 on val/loss or futile")
    assert found.sides == ({"opt": "adam", "lr": "0.1"}, {"opt": "sgd", "lr": "1"})
    assert found.metric == "val/loss" and found.less and found.futile


@pytest.mark.parametrize("sign", ["±", "+-", "+/-"])
def test_a_margin(sign: str) -> None:
    found = parse(f"test_acc {sign}0.2 at lr=0.1")
    assert (found.metric, found.margin, found.sides) == ("test_acc", 0.2, ({"lr": "0.1"},))
    assert parse(f"test_acc {sign} 0.2 at lr=0.1").margin == 0.2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "write it like"),
        ("lr=0.1 > lr=0.01", "write it like"),
        ("lr=0.1 on test_acc", "write it like"),
        ("lr=0.1 > lr=0.01 > lr=1 on test_acc", "write it like"),
        ("lr > lr=0.01 on test_acc", "a side is like"),
        ("lr=0.1 > lr= on test_acc", "a side is like"),
        ("lr=0.1,lr=0.2 > lr=0.01 on test_acc", "names lr twice"),
        ("lr=0.1 > lr=0.1 on test_acc", "compares a side with itself"),
        ("test_acc ±0 at lr=0.1", "above 0"),
        ("test_acc ±nan at lr=0.1", "above 0"),
        ("test_acc ±wide at lr=0.1", "above 0"),
        ("test_acc ±0.2 at lr=0.1 or futile", "leave it out"),
        ("a" * 2000, "1000 signs"),
        ("lr=0.1 > lr=0.01 on \x1b[31mred", "write it like"),
    ],
)
def test_a_slip_is_named(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        parse(text)
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)


@given(text=st.text(max_size=60))
def test_any_text_is_a_rule_or_a_sentence(text: str) -> None:
    try:
        found = parse(text)
    except BadInput as error:
        assert str(error)
    else:
        assert found.sides and found.metric
