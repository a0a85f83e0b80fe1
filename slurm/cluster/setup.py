"""What a user's setup lines set for certain, whatever the shell that sent the job had. Pure.

What setup changed is found by comparing the environment before and after it. A variable that is set to the value that
the supervisor's shell happened to have would seem unchanged, and lose to what the submit kept.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL | re.ASCII)
_CONTROL = frozenset({"if", "for", "while", "until", "case", "select", "function", "{", "(", "[[", "return", "exit"})
_EXPORTING = (["export"], ["declare", "-x"], ["typeset", "-x"])
_SIGNS = ";&|()<>"


def assigned(lines: Sequence[str]) -> list[str]:
    """Names that plain lines assign in any case: `export A=1 B=2`, `A=1; B=2`, and not `test -d /x && A=1`.

    Not those whose new value holds the old one (`PATH=/mine:$PATH`): what is added there is found by comparing. Lines
    from the first one on that may not be run, or that cannot be read, are left out.
    """
    found: dict[str, None] = {}
    for line in lines:
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=_SIGNS)
            lexer.whitespace_split = True
            words = list(lexer)
        except ValueError:
            break
        if any(word in _CONTROL for word in words):
            break
        for part in _parts(words):
            found.update(dict.fromkeys(_names(part)))
    return list(found)


def _parts(words: Sequence[str]) -> list[list[str]]:
    """The commands of a line that are run in this shell in any case."""
    parts: list[list[str]] = []
    part: list[str] = []
    certain = True
    for word in [*words, ";"]:
        if word and set(word) <= set(_SIGNS):
            if certain and word in (";", "&&", "||"):
                parts.append(part)
            part, certain = [], word == ";"
        else:
            part.append(word)
    return parts


def _names(part: Sequence[str]) -> list[str]:
    words = next((part[len(head) :] for head in _EXPORTING if list(part[: len(head)]) == head), None)
    exported = words is not None
    found = []
    for word in part if words is None else words:
        match = _ASSIGNMENT.fullmatch(word)
        if match is None:
            if not exported:
                return []  # `A=1 command` sets it for that command alone
            continue
        if not re.search(rf"\$\{{?{match[1]}\b", match[2]):
            found.append(match[1])
    return found
