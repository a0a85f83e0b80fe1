"""Whether two errors are the same but for what varies from run to run: numbers, times, ids, temporary names. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_TEMPORARY = re.compile(r"/(?:tmp|var/tmp|dev/shm|run/user|scratch|lscratch|localscratch)/[^\s'\",;()\[\]<>]+")
_NAMED_TEMPORARY = re.compile(r"\btmp[._-]?\w{4,}")
_DATE = re.compile(
    r"\b(?:(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?|Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?"
    r"|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:tember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?|UTC|GMT|CES?T)\b"
)
_HEXADECIMAL = re.compile(r"\b[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,})*\b")
_WITH_DIGIT = re.compile(r"\w*\d\w*")
_WORD = re.compile(r"[A-Za-z]{6,}")
_CASES = re.compile(r"[A-Z]+|[a-z]+")
_TOGETHER = re.compile(r"\*(?:[-+.,:_/ T]*\*)+")
_WORDS_IN_COMMON = 5
"""So many equal words make two errors the same that differ in one: a name made of letters alone looks like any word."""


def same_error(one: str, other: str, nodes: Iterable[str | None] = ()) -> bool:
    """Whether two exceptions differ at most in what varies; `nodes`: where they happened, which they may name."""
    names = tuple(sorted({name for name in nodes if name}, key=len, reverse=True))
    first, second = _masked(one, names), _masked(other, names)
    if first == second:
        return True
    words = list(zip(first.split(), second.split(), strict=False))
    equal = sum(a == b for a, b in words)
    longest = max(len(first.split()), len(second.split()))
    return equal >= _WORDS_IN_COMMON and longest - equal == 1 and words[0][0] == words[0][1]


@lru_cache(maxsize=4096)
def _masked(text: str, names: tuple[str, ...]) -> str:
    """The text with a * for all that varies."""
    for name in names:
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "*", text)
    for pattern in (_TEMPORARY, _NAMED_TEMPORARY, _DATE, _HEXADECIMAL, _WITH_DIGIT):
        text = pattern.sub("*", text)
    text = _WORD.sub(lambda match: "*" if _looks_random(match[0]) else match[0], text)
    return _TOGETHER.sub("*", text)


def _looks_random(word: str) -> bool:
    """'xQzRtB', which nobody writes; 'RuntimeError' and 'CUDAGraph' are words."""
    parts = _CASES.findall(word)
    return len(parts) >= 4 and len(word) < 2 * len(parts)
