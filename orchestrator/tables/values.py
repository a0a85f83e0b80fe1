"""Values as what they are: numbers, truth values, text and lists, however they were written. Pure.

A parameter reaches orch as text (a program is given text), a setting of a kind typed. Here both are one: `0.1`, `0.10`
and 0.1 are one number, `true`, `True` and true one truth value, `[64,64]` one list. Text in quotes stays text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal, DecimalException
from functools import lru_cache
from math import isfinite
from typing import Any

from jobs.commands import canonical_number

NUMBER, TRUTH, TEXT, LIST, NOTHING = range(5)
"""What a value is; in this order they sort."""
DEEPEST = 20
"""A list that is nested deeper is text."""

Sorted = tuple[int, Any]
"""(what it is, the value itself): equal for equal values, and sorts as they do."""


class Name(str):
    """Text that was given in quotes: a name, whatever it looks like."""

    __slots__ = ()


def known_as(found: Any) -> Sorted:
    """By what a value is found and sorted: 0.02 < 0.1 < 10, false < true, text, [8] < [16], none.

    A name in quotes that looks like a number sorts among the numbers, and is none of them.
    """
    return _known(found, 0)


def sort_of(found: Any) -> int:
    """What a value is."""
    return TEXT if isinstance(found, Name) else known_as(found)[0]


def _known(found: Any, depth: int) -> Sorted:
    if found is None:
        return NOTHING, 0
    if isinstance(found, bool):
        return TRUTH, int(found)
    if isinstance(found, int | float):
        number = decimal(found)
        return (TEXT, repr(found)) if number is None else (NUMBER, (number, ""))
    if isinstance(found, list | tuple):
        return LIST, tuple(_known(one, depth + 1) for one in found)
    if isinstance(found, Name):
        number = decimal(str(found))
        return (TEXT, str(found)) if number is None else (NUMBER, (number, str(found)))
    if isinstance(found, str) and depth <= DEEPEST:
        return _of_text(found, depth)
    return TEXT, str(found)


@lru_cache(maxsize=2**16)
def _of_text(found: str, depth: int) -> Sorted:
    number = decimal(found)
    if number is not None:
        return NUMBER, (number, "")
    if found.casefold() in ("true", "false"):
        return TRUTH, int(found.casefold() == "true")
    if found.startswith("[") and found.endswith("]"):
        values = _list(found)
        if values is not None:
            return LIST, tuple(_known(one, depth + 1) for one in values)
    return TEXT, str(found)


def decimal(found: Any) -> Decimal | None:
    """The exact number that a text or a float is written as; None of anything else, and of what is not finite."""
    if isinstance(found, float):
        return Decimal(repr(found)) if isfinite(found) else None
    if isinstance(found, int):
        return Decimal(found)
    plain = canonical_number(found) if isinstance(found, str) else None
    try:
        return None if plain is None else Decimal(plain)
    except DecimalException:  # an exponent beyond all bounds
        return None


def _list(found: str) -> list[Any] | None:
    """The values of a JSON list; numbers keep their exact text, names of text stay names."""
    try:
        values = json.loads(found, parse_float=_Written, parse_int=_Written, parse_constant=_Written)
    except (ValueError, RecursionError):
        return None
    return [_item(one) for one in values] if isinstance(values, list) else None


class _Written(str):
    """A number of a JSON text, as it was written."""

    __slots__ = ()


def _item(found: Any) -> Any:
    if isinstance(found, list):
        return [_item(one) for one in found]
    return Name(found) if isinstance(found, str) and not isinstance(found, _Written) else found


def in_order(found: Iterable[Any]) -> list[Any]:
    """Each value once, sorted as what it is; the first of those that are one value stands for them."""
    by_value: dict[Sorted, Any] = {}
    for one in found:
        by_value.setdefault(known_as(one), one)
    return [by_value[key] for key in sorted(by_value)]


def parts(text: str) -> list[str]:
    """`a,"b,c",[1,2]` at the commas that stand outside of quotes and brackets, without blanks around."""
    found, depth, quote, start = [], 0, "", 0
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'" and not text[start:place].strip():
            quote = sign  # only at the beginning of a part: it's a letter elsewhere
        elif sign == "[" and (depth or not text[start:place].strip()):
            depth += 1  # a list; inside a word it is a letter like any other
        elif sign == "]":
            depth = max(0, depth - 1)
        elif sign == "," and not depth:
            found.append(text[start:place].strip())
            start = place + 1
    return [*found, text[start:].strip()]


def unquoted(text: str) -> str | Name:
    """Text without the quotes around it, which make it a name."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return Name(text[1:-1])
    return text


def as_data(found: Any) -> Any:
    """A value as JSON has it: a parameter that is written as a number is one; a name in quotes stays text."""
    if found is None or isinstance(found, bool | int):
        return found
    if isinstance(found, float):
        return found if isfinite(found) else str(found)
    if isinstance(found, list | tuple):
        return [as_data(one) for one in found]
    if isinstance(found, dict):
        return {str(name): as_data(one) for name, one in found.items()}
    if isinstance(found, Name) or not isinstance(found, str):
        return str(found)
    kind, known = known_as(found)
    if kind == NUMBER:
        number = float(known[0])
        whole = number.is_integer() and abs(number) < 2**53
        return int(known[0]) if whole else number if isfinite(number) else found
    if kind == TRUTH:
        return bool(known)
    values = _list(found) if kind == LIST else None
    return found if values is None else [as_data(one) for one in values]
