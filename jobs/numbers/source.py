"""What every way of reading a program's numbers offers, and values out of its texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from jobs.records import MOST_EPOCHS, MetricLine

NAMED = 5
"""How many odd things a remark names; the rest is counted."""
MOST_NAMES = 1000
"""Of so many metrics of one source numbers are kept: more are no metrics, but data."""
LONGEST_NAME = 200


class Source(Protocol):
    """Something that a program writes numbers to, read while it runs. Nothing here raises for what it wrote."""

    @property
    def values(self) -> dict[str, float | None]:
        """Of the newest line that names each metric; None where that is no finite number."""

    def read(self, *, closed: bool = False) -> list[MetricLine]:
        """The next new lines, a bounded piece of them. `closed`: the program has ended, so what is there is whole."""

    @property
    def more(self) -> bool:
        """Whether another `read` may find something at once."""

    def lacks(self) -> list[tuple[str, str]]:
        """What was expected of it and is not there, after the end: (the metric, empty for all of them; a phrase)."""

    def remarks(self) -> list[str]:
        """What else a person should know of it after the end, a phrase each."""


def number_of(text: str) -> float | None:
    """The number that a text spells, also with a sign for percent or the stop of a sentence behind it; None for none.

    'nan' and 'inf' are numbers here, which are not finite.
    """
    if "_" in text:  # 1_000 is a number to Python alone
        return None
    try:
        return float(text)
    except ValueError:
        bare = text.strip().rstrip("%.,;:)").strip()
    try:
        return float(bare)
    except ValueError:
        return None


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def place(value: Any) -> int | None:
    """An epoch as a whole number: 1.0 is 1, and a fraction counts to the epoch that it lies in (0.5 to epoch 1), so
    that each epoch keeps the newest of its lines. None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_EPOCHS:
        return None  # NaN is not between either
    return math.ceil(value)


def clean(name: str) -> str:
    """A metric's name as text that UTF-8 and a terminal can hold."""
    if not name.isprintable():
        name = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in name)
    return name.strip()[:LONGEST_NAME]


def counted(odd: Mapping[str, int]) -> list[str]:
    """`3 lines with other cells than columns`: kinds of odd things, with how often each came."""
    return [f"{n} {what}" for what, n in odd.items()]


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    found = sorted(names)
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(found[:NAMED]) + more
