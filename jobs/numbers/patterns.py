"""Regular expressions on what a program prints (`--metric`): checked when they are given, guarded where they run.

The engine is the package `regex`, which takes Python's syntax and, unlike Python's own, a time limit for each search:
a pattern that backtracks without end costs a line, and after a few such lines it is given up. The limit costs more than
most searches do, so it is left out for patterns that cannot take long on a line of bounded length.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jobs.errors import BadInput

LONGEST_PATTERN = 1000
SEARCH_SECONDS = 0.1
MOST_LATE = 3
"""After so many searches that took too long a pattern is given up."""
VALUE = "value"
"""The name of the group that counts, where there are several."""
_PLAIN = re.compile(r"[A-Za-z0-9 _:=/,<>%#-]+")
_FLAGS = re.compile(r"\(\?[^:P<=!]")
"""Of a pattern that may be read in another way, like (?i)."""
_QUANTIFIED = "*?{+"
_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?(?:P?<\w+>|:)|.", re.DOTALL)
_SLOW = frozenset(rf"\{sign}" for sign in "123456789gkKRXpPLN")
"""Escapes that look back, or stand for texts of any length."""
MOST_OPTIONAL = 3


class Pattern:
    """One metric's pattern, ready to search."""

    def __init__(self, name: str, text: str) -> None:
        """Raises BadInput, in one sentence, for what cannot be one."""
        self.name = name
        self.text = text
        self.late = 0
        if len(text) > LONGEST_PATTERN:
            raise BadInput(f"the pattern of '{name}' has more than {LONGEST_PATTERN} characters: make it shorter")
        self._engine = _compiled(name, text)
        self._group = self._counting()
        self.needed = literal(text)
        """Text that stands in every line with a match."""
        self._limit = None if is_quick(text) else SEARCH_SECONDS

    def _counting(self) -> int | str:
        groups, named = self._engine.groups, self._engine.groupindex
        for wanted in (VALUE, self.name):
            if wanted in named:
                return wanted
        if groups == 1:
            return 1
        if groups == 0:
            raise BadInput(
                f"the pattern of '{self.name}' has no group: put the number in brackets, like "
                rf"'{self.name}={self.name}: ([\d.]+)'"
            )
        raise BadInput(
            f"the pattern of '{self.name}' has {groups} groups: name the one that counts (?P<{VALUE}>…), or begin the "
            "others with (?:"
        )

    @property
    def given_up(self) -> bool:
        return self.late >= MOST_LATE

    def found(self, line: str) -> list[str]:
        """What the group holds at each match in the line; a search that takes too long finds nothing."""
        if self.late >= MOST_LATE:
            return []
        try:
            if self._limit is None:
                matches = self._engine.finditer(line)
            else:
                matches = self._engine.finditer(line, timeout=self._limit)
            return [text for match in matches if (text := match[self._group]) is not None]
        except TimeoutError:
            self.late += 1
            return []


def _compiled(name: str, text: str) -> Any:
    import regex

    try:
        return regex.compile(text)
    except (regex.error, ValueError, OverflowError, RecursionError, IndexError, KeyError) as error:
        where = str(error).partition("\n")[0]
        raise BadInput(f"the pattern of '{name}' is no regular expression: {where} (got '{text[:100]}')") from None


def literal(pattern: str) -> str:
    """Plain text with which every match begins; '' where there is none. Most lines are passed over by it."""
    if "|" in pattern or _FLAGS.search(pattern):
        return ""
    match = _PLAIN.match(pattern)
    found = match.group() if match else ""
    return found[:-1] if pattern[len(found) : len(found) + 1] and pattern[len(found)] in _QUANTIFIED else found


def is_quick(pattern: str) -> bool:
    """Whether its time grows at most with the square of a line: one repetition without bound at most, of one sign or
    set of signs, few optional parts, nothing that looks ahead, behind or back."""
    before, unbounded, optional = "", 0, 0
    for match in _ATOM.finditer(pattern):
        atom = match.group()
        if atom in ("*", "+"):
            if before == ")" or unbounded:
                return False
            unbounded += 1
        elif atom == "?":
            optional += before not in ("*", "+")  # there it only says: as few as can be
            if before == ")" or optional > MOST_OPTIONAL:
                return False
        elif atom == "{" or atom[:2] in _SLOW or (atom == "(" and pattern.startswith("(?", match.start())):
            return False
        before = atom
    return True


def compiled(patterns: Mapping[str, str]) -> list[Pattern]:
    """All of them. Raises BadInput for the first that is none."""
    return [Pattern(name, text) for name, text in patterns.items()]
