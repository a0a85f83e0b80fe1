"""Typed values of a sweep, from TOML and from the command line: numbers, booleans, text and lists. Pure.

Each becomes text, since a program is given text: a number as it was first written (compared by its exact decimal
value), a boolean as `true` or `false`, a list as JSON without blanks.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Context, Decimal
from typing import Any

from jobs.commands import Parameter, canonical_number, name_of_text, parameter, values_of
from jobs.errors import BadInput

MOST_VALUES = 100_000
DIGITS = 6
"""Significant digits of a value that orch computes itself."""
_RANGE = re.compile(r"([+-]?\d{1,18})\.\.([+-]?\d{1,18})(?:\.\.(\d{1,18}))?", re.ASCII)
_SPACED = re.compile(r"(log|lin):([^:,]+):([^:,]+):([^:,]+)")
_EXACT = Context(prec=50)


class Number(str):
    """A number of TOML or JSON as it was written."""

    __slots__ = ()

    @classmethod
    def read(cls, text: str) -> Number:
        """For the `parse_float` and `parse_int` of a reader."""
        return cls(text.replace("_", ""))


def of_typed(value: Any) -> Parameter:
    """The value of a sweep that a TOML or JSON document holds. Raises BadInput with the reason alone."""
    if isinstance(value, Number | bool | int) or not isinstance(value, str | list):
        return parameter(_scalar(value))
    if isinstance(value, str):
        return name_of_text(value)
    return Parameter(value=_json(value, canonical=True), written=_json(value, canonical=False))


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Number | int):
        if str(value).lstrip("+-") == "nan":
            raise BadInput("nan equals nothing, so no job could be asked for again by it: leave it out")
        return str(value)
    if value is None:
        raise BadInput('null is no value: write "" or leave the parameter out')
    kind = "a table" if isinstance(value, dict) else f"a {type(value).__name__}"
    raise BadInput(f"{kind} is no value: use numbers, booleans, text in quotes or lists of these")


def _json(value: Any, *, canonical: bool) -> str:
    if isinstance(value, list):
        return f"[{','.join(_json(item, canonical=canonical) for item in value)}]"
    if isinstance(value, str) and not isinstance(value, Number):
        return json.dumps(value, ensure_ascii=False)
    text = _scalar(value)
    return (canonical_number(text) or text) if canonical else text


def axis(text: str) -> list[Parameter]:
    """The values of `--grid NAME=…`: `0.1,0.01`, `1..10`, `0..100..20`, `log:1e-4:1e-1:4`, `lin:0:1:5`, a JSON list.

    Anything else is a list with commas; quotes keep a value as text. Raises BadInput.
    """
    if (match := _RANGE.fullmatch(text.strip())) is not None:
        return _range(text, *match.groups())
    if (match := _SPACED.fullmatch(text.strip())) is not None:
        return _spaced(text, *match.groups())
    if text.lstrip().startswith("["):
        return [of_typed(value) for value in _list(text)]
    return values_of(text)


def _range(text: str, first: str, last: str, step: str | None) -> list[Parameter]:
    start, end, by = int(first), int(last), int(step) if step is not None else 1
    if by < 1 or end < start:
        raise BadInput(f"'{text}' names no number: write FIRST..LAST or FIRST..LAST..STEP with FIRST below LAST")
    if (end - start) // by >= MOST_VALUES:
        raise BadInput(f"'{text}' names more than {MOST_VALUES} values: choose a larger step")
    return [parameter(str(number)) for number in range(start, end + 1, by)]


def _spaced(text: str, how: str, low: str, high: str, count: str) -> list[Parameter]:
    wanted = f"write {how}:FROM:TO:NUMBER, like {'log:1e-4:1e-1:4' if how == 'log' else 'lin:0:1:5'}"
    ends = [canonical_number(end.strip()) for end in (low, high)]
    if None in ends or not re.fullmatch(r"\d{1,9}", count.strip()):
        raise BadInput(f"'{text}' cannot be read: {wanted}")
    first, last, number = Decimal(str(ends[0])), Decimal(str(ends[1])), int(count)
    if not 2 <= number <= MOST_VALUES:
        raise BadInput(f"'{text}' asks for {number} values: from 2 to {MOST_VALUES} are possible")
    if how == "log" and (first <= 0 or last <= 0):
        raise BadInput(f"'{text}' goes through 0, and a logarithmic scale does not: {wanted}")
    inner = [spelt(_between(how, first, last, index, number - 1)) for index in range(1, number - 1)]
    texts = [str(ends[0]), *inner, str(ends[1])]
    if len(set(texts)) < number:
        raise BadInput(f"'{text}' asks for {number} values that differ in less than {DIGITS} digits: ask for fewer")
    return [parameter(value) for value in texts]


def _between(how: str, first: Decimal, last: Decimal, index: int, steps: int) -> Decimal:
    if how == "lin":
        return _EXACT.add(first, _EXACT.divide(_EXACT.multiply(_EXACT.subtract(last, first), Decimal(index)), steps))
    logs = _EXACT.log10(first), _EXACT.log10(last)
    share = _EXACT.divide(_EXACT.multiply(_EXACT.subtract(logs[1], logs[0]), Decimal(index)), Decimal(steps))
    return _EXACT.power(Decimal(10), _EXACT.add(logs[0], share))


def spelt(value: Decimal | float, digits: int = DIGITS) -> str:
    """A computed number as text: its `digits` significant digits, in the one canonical form."""
    number = Decimal(repr(value)) if isinstance(value, float) else value
    if not number.is_finite():
        raise BadInput(f"{value} is no number")
    rounded = Context(prec=digits).plus(number)
    text = canonical_number(str(rounded).replace("E", "e"))
    assert text is not None, rounded
    return text


def _list(text: str) -> list[Any]:
    try:
        found = json.loads(text, parse_float=Number.read, parse_int=Number.read, parse_constant=_constant)
    except RecursionError:
        raise BadInput("a list is nested too deeply") from None
    except ValueError as error:
        raise BadInput(
            f"'{text}' cannot be read as a JSON list ({error}): write '[[64,64],[128]]', or put text into quotes"
        ) from None
    if not isinstance(found, list):
        raise BadInput(f"'{text}' is no JSON list: write '[[64,64],[128]]'")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def as_float(text: str) -> float:
    """A number of the file as a float. Raises BadInput where it is none, or not finite."""
    plain = canonical_number(text)
    value = float(plain) if plain is not None else math.nan
    if not math.isfinite(value):
        raise BadInput(f"{text} is no finite number")
    return value
