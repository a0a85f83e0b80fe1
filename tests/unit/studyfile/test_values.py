"""Values of a sweep: what the program is given, and what counts as one value."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.commands import canonical_number
from jobs.errors import BadInput
from orchestrator.studyfile.values import Number, axis, of_typed, spelt


def written(text: str) -> list[str]:
    return [item.written for item in axis(text)]


def test_the_forms_of_the_command_line() -> None:
    assert written("0.1,0.010") == ["0.1", "0.010"]
    assert written("1..10") == [str(number) for number in range(1, 11)]
    assert written("-2..4..3") == ["-2", "1", "4"]
    assert written("log:1e-4:1e-1:4") == ["0.0001", "0.001", "0.01", "0.1"]
    assert written("lin:0:1:5") == ["0", "0.25", "0.5", "0.75", "1"]
    assert written("log:1:1000:3") == ["1", "31.6228", "1000"]
    assert written("[[64,64], [128]]") == ["[64,64]", "[128]"]
    assert written('["a,b", true, 1.50]') == ["a,b", "true", "1.50"]
    assert written("a..b") == ["a..b"]
    assert written('"1..3"') == ["1..3"]
    assert written("logs:a") == ["logs:a"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10..1", "names no number"),
        ("1..10..0", "names no number"),
        ("0..1000000000", "more than 100000 values"),
        ("log:0:1:3", "goes through 0"),
        ("log:-1:1:3", "goes through 0"),
        ("log:1e-4:1e-1:1", "from 2 to"),
        ("log:a:1:3", "cannot be read"),
        ("lin:0:nan:3", "cannot be read"),
        ("lin:1000000:1000001:3", "differ in less than 6 digits"),
        ("lin:0:1:2.5", "cannot be read"),
        ("[[64,64],[128]", "JSON list"),
        ("[64,64],[128]", "JSON list"),
        ("[NaN]", "JSON list"),
        ('[{"a": 1}]', "a table is no value"),
        ("[null]", "null is no value"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        axis(text)


def test_what_is_one_value() -> None:
    assert of_typed(Number.read("0.10")).value == of_typed(Number.read("1e-1")).value == "0.1"
    assert of_typed(1).value == of_typed(Number.read("1.0")).value == "1"
    assert of_typed("1").quoted and not of_typed(1).quoted
    assert of_typed([Number.read("64.0"), 64]).value == of_typed([64, Number.read("6.4e1")]).value == "[64,64]"
    assert of_typed([1]).value != of_typed(["1"]).value
    assert of_typed(Number.read("1_000.5")).value == "1000.5"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**12), max_value=10**12))
def test_a_computed_number_is_the_nearest_of_six_digits(value: Decimal) -> None:
    text = spelt(value)
    assert canonical_number(text) == text
    assert abs(Decimal(text) - value) <= abs(value) * Decimal("5e-6")


@given(
    st.integers(-(10**6), 10**6),
    st.integers(1, 10**6),
    st.integers(2, 60),
)
def test_spaced_values_rise_evenly_between_their_ends(low: int, width: int, number: int) -> None:
    try:
        found = [Decimal(item.value) for item in axis(f"lin:{low}:{low + width}:{number}")]
    except BadInput:
        assert width / number < max(abs(low), abs(low + width)) * 1e-5, "only what lies too near is refused"
        return
    assert (found[0], found[-1], len(found)) == (low, low + width, number)
    step = Decimal(width) / (number - 1)
    for index, value in enumerate(found):
        exact = low + step * index
        assert abs(value - exact) <= max(abs(exact), abs(value)) * Decimal("1e-5") + Decimal("1e-9")
