"""How many digits of a number are shown, and how they are rounded."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import fsum, isfinite, ldexp
from statistics import stdev

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from orchestrator.tables.digits import alone, decimals, places, spread, written
from orchestrator.tables.grid import Grid, latex
from orchestrator.tables.statistics import deviation, mean


def of(*values: float) -> str:
    """What a table shows of these values."""
    std = stdev(values) if len(values) > 1 else None
    return spread(fsum(values) / len(values), std, len(values), decimals(values))


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((0.9312, 0.9329, 0.9346), "0.9329 ± 0.0017"),
        ((0.9312, 0.9329), "0.932 ± 0.001"),
        ((0.9312,), "0.9312"),
        ((93.1234567,), "93.12"),
        ((93, 94, 95), "94 ± 1"),
        ((12345,), "12345"),
        ((56789, 54321, 60000), "57037 ± 2848"),
        ((0.5, 0.5, 0.5), "0.5 ± 0.0"),
        ((0.0, 0.0), "0 ± 0"),
        ((0.1, 0.2), "0.2 ± 0.1"),
        ((-0.1, -0.2), "-0.2 ± 0.1"),
        ((-0.01, 0.01), "0.00 ± 0.01"),
        ((0.0099, 0.02986, 0.01988), "0.020 ± 0.010"),
        ((1e300,), "1e300"),
        ((1.2345678e300,), "1.235e300"),
        ((1e-300,), "1e-300"),
        ((1.1e-300, 1.2e-300, 1.4e-300), "(1.2 ± 0.2)e-300"),
        ((0.00012, 0.00015, 0.00013), "0.00013 ± 0.00002"),
        ((1e300, 1.0), "(5 ± 7)e299"),
    ],
)
def test_a_table_shows_as_many_digits_as_mean_anything(values: tuple[float, ...], shown: str) -> None:
    if values == (1e300, 1.0):
        assert spread(5e299, 7.071067811865476e299, 2, decimals(values)) == shown
    else:
        assert of(*values) == shown


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (0.125, 2, "0.13"), (2.675, 2, "2.68"), (1.005, 2, "1.01"), (-0.125, 2, "-0.13"), (93.125, 2, "93.13"),
        (0.5, 0, "1"), (2.5, 0, "3"), (-0.004, 2, "0.00"), (1e15, 0, "1.000e15"), (12.0, 2, "12.00"),
    ],
)  # fmt: skip
def test_ties_are_rounded_half_up_in_decimal(value: float, digits: int, shown: str) -> None:
    assert written(value, None, digits) == shown


def test_a_mean_whose_binary_neighbour_lies_below_a_tie_is_a_tie() -> None:
    values = (0.15, 0.35, 0.4, 0.35)  # their mean is 0.3125, and a tie at three decimals
    below = 0.31249999999999994
    assert fsum(values) / 4 in (below, 0.3125)
    assert written(below, None, 3, 4, 2) == "0.313"
    assert written(below, None, 3) == "0.312"


DECIMALS = st.integers(0, 6).flatmap(
    lambda digits: st.lists(
        st.integers(-(10**8), 10**8).map(lambda whole: float(Decimal(whole).scaleb(-digits))), min_size=1, max_size=9
    )
)
NUMBER = re.compile(r"^\(?(-?\d+(?:\.\d+)?)(?: ± (\d+(?:\.\d+)?))?\)?(?:e(-?\d+))?$")


@given(DECIMALS)
@example([0.9312, 0.9329, 0.9346])
def test_what_is_shown_is_the_exact_mean_rounded_half_up(values: list[float]) -> None:
    n, data = len(values), decimals(values)
    std = stdev(values) if n > 1 else None
    mean = fsum(values) / n
    found = NUMBER.match(spread(mean, std, n, data))
    assert found is not None
    shown_mean, shown_std, power = found.groups()
    scale = Decimal(1).scaleb(int(power or 0))
    exact = sum((Fraction(Decimal(repr(value))) for value in values), Fraction(0)) / n
    unit = Fraction(Decimal(1).scaleb(-len(shown_mean.partition(".")[2])) * scale)
    ratio = abs(exact) / unit
    half_up = int(ratio + Fraction(1, 2)) * unit
    assert abs(Fraction(Decimal(shown_mean) * scale)) == half_up
    assert len(shown_mean.partition(".")[2]) <= max(0, data + int(power or 0))
    if std:
        assert shown_std is not None and len(shown_std.partition(".")[2]) == len(shown_mean.partition(".")[2])
        wanted = 1 if n == 2 else 2
        significant = shown_std.replace(".", "").lstrip("0")
        limited = places(mean, std, n, data) == data
        assert limited or len(significant) == wanted or "." not in shown_std


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, allow_infinity=False), st.integers(2, 100))
def test_any_two_floats_can_be_shown(value: float, std: float, n: int) -> None:
    found = NUMBER.match(spread(value, std, n, decimals([value, std])))
    assert found is not None
    assert len(found.group(0)) < 50
    largest = max(abs(value), std)
    assume(largest > 1e-300 and isfinite(largest * 10))
    power = int(found.group(3) or 0)
    step = Decimal(1).scaleb(power - len(found.group(1).partition(".")[2]))
    assert abs(Decimal(found.group(1)).scaleb(power) - Decimal(repr(value))) <= step


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_one_number_keeps_four_digits_and_all_before_its_point(value: float) -> None:
    shown = Decimal(alone(value))
    given = Decimal(repr(value))
    step = Decimal(1).scaleb(min(given.adjusted() - 3, 0) if abs(given.adjusted()) < 15 else given.adjusted() - 3)
    assert abs(shown - given) <= step / 2
    assert shown == given.quantize(step, ROUND_HALF_UP) or given == shown or abs(given.adjusted()) >= 5


@pytest.mark.parametrize("power", [1020, 600, -600, -1000])
def test_numbers_whose_squares_are_no_floats_have_a_mean_and_a_spread(power: int) -> None:
    plain, scaled = [1.25, 1.5, 1.875], [ldexp(one, power) for one in (1.25, 1.5, 1.875)]
    assert mean(scaled) == ldexp(mean(plain), power)
    assert deviation(scaled) == ldexp(deviation(plain) or 0.0, power)
    assert deviation([-1.7e308, 1.7e308]) is None and mean([-1.7e308, 1.7e308]) == 0.0


@pytest.mark.parametrize(
    ("shown", "tex"),
    [
        ("1.2e300", r"$1.2 \times 10^{300}$"),
        ("-1.2e-300", r"$-1.2 \times 10^{-300}$"),
        ("1e16", "$10^{16}$"),
        ("(1.20 ± 0.14)e-9", r"$(1.20 \pm 0.14) \times 10^{-9}$"),
        ("93.70 ± 0.22", r"$93.70 \pm 0.22$"),
        ("be3 1.5e3x fe12", "be3 1.5e3x fe12"),
    ],
)
def test_a_power_of_ten_is_a_formula_in_latex(shown: str, tex: str) -> None:
    table = Grid(caption="", headings=["a", "b"], rows=[["x", shown]], text_columns=1)
    (row,) = [line for line in latex(table).splitlines() if line.strip().startswith("x &")]
    assert row.strip() == f"x & {tex} \\\\"
