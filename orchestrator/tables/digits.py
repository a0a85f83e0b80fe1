"""How many digits of a number are shown, and how they are rounded. Pure.

Where a kind declares no digits, the spread says how many mean anything: two significant digits of the standard
deviation (one where n = 2), never more than the data have. Ties are rounded half up in decimal, so 0.125 is 0.13
whatever its binary neighbour is. Very large and very small numbers are written with a power of ten.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

ALONE = 4
"""Significant digits of a number without a spread."""
LARGEST, SMALLEST = 15, -5
"""Powers of ten outside of which a number is written with one: 10^15 has more digits than a float holds."""
HELD = 16
"""Digits behind the first that a float holds at most."""
_BEHIND = re.compile(r"\.(\d*[1-9])")
NOISE = Fraction(1, 2**50)
"""Relative error that a mean of floats may have: so near to a mean of the decimals given, it is that one."""


def decimals(values: Iterable[float]) -> int:
    """The most decimals that any of the values has, as it is written: 2 of 0.93; negative for 1e300 (-300)."""
    listed = list(values)
    shown = repr(listed) if set(map(type, listed)) == {float} else "e"
    if "e" not in shown and (behind := _BEHIND.findall(shown)):  # as most columns are: one look at all of it
        return max(map(len, behind))  # a whole number has fewer
    return max(map(_decimals, listed), default=0)


def places(value: float, std: float | None, n: int, data: int) -> int:
    """How many decimals are shown of a mean over n values that have `data` decimals (see `decimals`).

    Negative for a number with a power of ten: so many of its digits before the point are not shown.
    """
    telling = _places(std, 1 if n == 2 else 2) if std else _places(value, ALONE) if value else data
    wanted = min(telling, data, HELD - _adjusted(max(abs(value), std or 0.0)))
    return wanted if _power(value, std) else max(0, wanted)


def spread(value: float, std: float | None, n: int, data: int) -> str:
    """'0.9329 ± 0.0017', '0.93' without a standard deviation, '(1.20 ± 0.14)e300': as many digits as mean anything."""
    return written(value, std, places(value, std, n, data), n, data)


def alone(value: float) -> str:
    """One number: four significant digits, more where they stand before the point, never more than it has."""
    return spread(value, None, 1, _decimals(value))


def written(value: float, std: float | None, digits: int, n: int = 1, data: int | None = None) -> str:
    """Mean and standard deviation with so many decimals. `n` and `data` tell of which decimals it is the mean."""
    exact = _exact(value, n, data)
    spread = None if std is None else _fraction(std)
    power = _power(value, std)
    if power:
        # In such a number the digits are those of its first part.
        digits = min(max(0, digits + power), HELD if data is not None else ALONE - 1)
        exact, spread = exact / Fraction(10) ** power, None if spread is None else spread / Fraction(10) ** power
        if spread is None:
            return f"{_rounded(exact, digits)}e{power}"
        return f"({_rounded(exact, digits)} ± {_rounded(spread, digits)})e{power}"
    shown = _rounded(exact, digits)
    return shown if spread is None else f"{shown} ± {_rounded(spread, digits)}"


def _rounded(value: Fraction, digits: int) -> str:
    """Half up in decimal (away from zero), without a sign on what rounds to nothing."""
    whole = int(abs(value) * 10**digits + Fraction(1, 2))
    text = str(whole).rjust(digits + 1, "0")
    sign = "-" if value < 0 and whole else ""
    return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else f"{sign}{text}"


def _exact(value: float, n: int, data: int | None) -> Fraction:
    """The mean of n decimals that the float stands for, where there is one so near; else the float as it is written."""
    if data is not None and -400 < data < 400:
        unit = n * Fraction(10) ** data
        scaled = Fraction(value) * unit
        whole = round(scaled)
        if 0 < abs(whole) < 2**48 and abs(scaled - whole) <= NOISE * abs(whole):
            return whole / unit
    return _fraction(value)


def _fraction(value: float) -> Fraction:
    return Fraction(Decimal(repr(float(value))))


def _decimals(value: float) -> int:
    _, _, behind = repr(float(value)).partition(".")
    if behind.isdigit() and behind[-1] != "0":  # as most numbers are; Decimal takes ten times as long
        return len(behind)
    exponent = Decimal(repr(float(value))).normalize().as_tuple().exponent
    assert isinstance(exponent, int)  # text only of NaN and infinity
    return -exponent


def _places(value: float, significant: int) -> int:
    """Decimals that show so many significant digits: 4 for two of 0.0017, and 3 of 0.00996, which is 0.010."""
    given = Decimal(repr(float(value))).normalize()
    power = given.adjusted()
    if int(abs(_fraction(value)) / Fraction(10) ** (power - significant + 1) + Fraction(1, 2)) == 10**significant:
        power += 1
    return significant - 1 - power


def _power(value: float, std: float | None) -> int:
    """The power of ten that is written; 0 for none."""
    power = _adjusted(max(abs(value), std or 0.0))
    return power if power >= LARGEST or power < SMALLEST else 0


def _adjusted(value: float) -> int:
    """The power of ten of its first digit; 0 of nothing."""
    return Decimal(repr(float(value))).adjusted() if value else 0
