"""SLURM's host list expressions: 'gpu[01-03,7],login' and back to names (scontrol(1), `show hostnames`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product

_TOP_COMMA = re.compile(r",(?![^\[]*\])")
_PART = re.compile(r"\[([^\]]*)\]|([^\[]+)")
_RANGE = re.compile(r"^(\d+)-(\d+)$")
_LARGEST = 100_000


def expand(text: str) -> list[str]:
    """The names of a host list, in order. Raises ValueError on a range that is none."""
    found: list[str] = []
    for word in _TOP_COMMA.split(text.strip()):
        parts = [_alternatives(match[1]) if match[1] is not None else [match[2]] for match in _PART.finditer(word)]
        if parts:
            found.extend("".join(choice) for choice in product(*parts))
    return found


def is_closed(text: str) -> bool:
    """Whether every bracket has its other one, side by side as SLURM takes them."""
    return re.fullmatch(r"(?:[^\[\]]|\[[^\[\]]+\])*", text) is not None


def _alternatives(inside: str) -> list[str]:
    found: list[str] = []
    for piece in inside.split(","):
        match = _RANGE.match(piece)
        if match is None:
            found.append(piece)
            continue
        low, high = int(match[1]), int(match[2])
        if high < low or high - low > _LARGEST:
            raise ValueError(f"'{piece}' is no range of nodes")
        width = len(match[1])
        found.extend(f"{number:0{width}d}" for number in range(low, high + 1))
    return found


def join(names: Iterable[str]) -> str:
    """Names as a host list that SLURM takes: sorted, each once, written out."""
    return ",".join(sorted(set(names)))
