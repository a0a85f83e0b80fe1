"""Which number of a metric counts. One rule for the worker, for acceptance and for corrections. Pure.

The value of a metric is that of the newest line that names it, in the order in which lines were written, whatever
their epochs. A result file wins over all lines for the names it gives. What is named there and is no finite number
(NaN, Infinity, null, a text, true) has no value: it is kept as None, so that nobody takes an older number for it.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from jobs.records import NO_PLACE, MetricLine

RULE = 2
"""The number of the rule above. Results that were taken by an older one are read again (`orch correct`): by 0 an older
number counted where the newest was not finite, by 1 where the newest line had no epoch that can be placed. The index
`result_unchecked` (db/schema.py) holds this number too."""
PLACE = frozenset({"epoch", "epochs"})
"""Names in a metric line that say where it stands; they are no metrics there."""


def numbers(given: Mapping[str, Any], known: Container[str] = ()) -> dict[str, float | None]:
    """What one JSON object says of metrics: a finite number, or None for what has none.

    A text names a metric only where it is one already (`known`), or where it spells NaN or Infinity: a program may
    write {"phase": "train"} into its lines. So do true, false, lists and objects.
    """
    found: dict[str, float | None] = {}
    for name, value in given.items():
        one = _number(value)
        if one is not None or name in known or _says_not_finite(value):
            found[name] = one
    return found


def line_numbers(line: Mapping[str, Any], known: Container[str] = ()) -> dict[str, float | None]:
    """The same of a metric line, whose epoch and epochs are no metrics."""
    return {name: value for name, value in numbers(line, known).items() if name not in PLACE}


def last_values(lines: Iterable[Mapping[str, Any]], result: Mapping[str, Any] | None = None) -> dict[str, float | None]:
    """The value of every metric that lines (oldest first) or the result name; None where the newest has no number.

    Lines may be folded one by one: `last_values([before, line])` is the same as going over all of them.
    """
    found: dict[str, float | None] = {}
    for line in lines:
        found.update(line_numbers(line, found))
    if result is not None:
        found.update(numbers(result, found))
    return found


def newest_place(lines: Sequence[MetricLine], otherwise: int) -> int:
    """The epoch of the newest of these lines that says one; `otherwise` where none does."""
    return next((line.epoch for line in reversed(lines) if line.epoch != NO_PLACE), otherwise)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer with hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _says_not_finite(value: Any) -> bool:
    """NaN, an infinity or null, also spelled as text: what a program writes for a number that it does not have."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return True  # a number that is here is none that `_number` takes
    if isinstance(value, str):
        try:
            return not math.isfinite(float(value))
        except ValueError:
            return False
    return False
