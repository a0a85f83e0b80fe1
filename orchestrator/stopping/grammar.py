"""What `--until` may say: `lr=0.1 > lr=0.01 on test_acc`, `test_acc ±0.2 at lr=0.1`, `… or futile`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from jobs.errors import BadInput
from orchestrator.tables.values import parts
from orchestrator.text import plain

LONGEST = 1000
_SIGN = re.compile(r"\s([<>])\s")
_MARGIN = re.compile(r"(.*\S)\s*(?:±|\+-|\+/-)\s*(\S+)\s+at\s+(.*)", re.DOTALL)
_FUTILE = re.compile(r"(.*\S)\s+or\s+futile", re.DOTALL)
FORMS = "write it like 'lr=0.1 > lr=0.01 on test_acc' or 'test_acc ±0.2 at lr=0.1'"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A rule as it was written: whom it compares is not yet looked for."""

    text: str
    metric: str
    sides: tuple[Mapping[str, str], ...]
    """Parameter → value, of each side."""
    less: bool = False
    margin: float | None = None
    futile: bool = False


@dataclass(frozen=True, kw_only=True)
class Compares:
    """The two sides of a rule 'A > B' in force, as a comparison of their own asks for them."""

    metric: str
    second: Mapping[str, str]
    """Parameter → value of the side that the first one is held against."""
    jobs: frozenset[int]
    """Of both sides, those seeds alone that the rule asked for."""


def parse(text: str) -> Wish:
    """The rule that a person wrote. Raises BadInput."""
    said = " ".join(text.split())
    shown = plain(said)[:100]
    if not said or len(said) > LONGEST or plain(said) != said:
        raise BadInput(f"cannot read the rule '{shown}': {FORMS}, in at most {LONGEST} signs that can be shown")
    body, futile = said, False
    if (match := _FUTILE.fullmatch(said)) is not None:
        body, futile = match[1], True
    if (match := _MARGIN.fullmatch(body)) is not None:
        if futile:
            raise BadInput(f"'or futile' is for A > B, and '{shown}' compares nothing: leave it out")
        return Wish(text=said, metric=match[1], sides=(_side(match[3], shown),), margin=_margin(match[2], shown))
    sides, on, metric = body.rpartition(" on ")
    found = list(_SIGN.finditer(sides))
    if not on or len(found) != 1 or not metric.strip():
        raise BadInput(f"cannot read the rule '{shown}': {FORMS}")
    first, second = _side(sides[: found[0].start()], shown), _side(sides[found[0].end() :], shown)
    if first == second:
        raise BadInput(f"the rule '{shown}' compares a side with itself: name another one")
    less = found[0][1] == "<"
    return Wish(text=said, metric=metric.strip(), sides=(first, second), less=less, futile=futile)


def _side(text: str, shown: str) -> Mapping[str, str]:
    """`lr=0.1,opt=adam`. Raises BadInput."""
    found: dict[str, str] = {}
    for part in parts(text):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not (name and equals and value):
            raise BadInput(f"cannot read '{plain(text).strip()}' in the rule '{shown}': a side is like lr=0.1,opt=adam")
        if name in found:
            raise BadInput(f"'{plain(text).strip()}' in the rule '{shown}' names {name} twice: keep one")
        found[name] = value
    return found


def _margin(text: str, shown: str) -> float:
    try:
        margin = float(text)
    except ValueError:
        margin = 0.0
    if not (isfinite(margin) and margin > 0.0):
        raise BadInput(f"the margin of the rule '{shown}' must be a number above 0, like ±0.2 (got {text})")
    return margin
