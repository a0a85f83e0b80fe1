"""Texts of the operating system that are not UTF-8, as text that JSON, SQLite and a terminal can hold.

A file name is bytes; Python reads one that is not UTF-8 with lone surrogates, which no JSON holds. Here such a byte
stands as U+0000 and its two hex digits: no argument and no path can hold U+0000 itself (execve(2), path_resolution(7)).
"""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\udc80-\udcff]")
_MARKED = re.compile("\0([0-9a-f]{2})")


def to_text(given: str) -> str:
    """A text of the operating system (an argument, a path) as it is kept."""
    return _SURROGATE.sub(lambda match: f"\0{ord(match.group()) - 0xDC00:02x}", given)


def from_text(kept: str) -> str:
    """The text of the operating system again."""
    return _MARKED.sub(lambda match: chr(0xDC00 + int(match.group(1), 16)), kept)
