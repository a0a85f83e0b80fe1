"""Compare a decision by the fields that a test is about: a new field of it changes no test."""

from __future__ import annotations

import re
from typing import Any


class Match:
    """Equal to everything of a class that has these fields; a pattern is searched for."""

    def __init__(self, kind: type, fields: dict[str, Any]) -> None:
        self.kind, self.fields = kind, fields

    def __eq__(self, other: object) -> bool:
        return isinstance(other, self.kind) and not self.differences(other)

    __hash__ = None  # type: ignore[assignment]

    def differences(self, other: object) -> dict[str, Any]:
        """Field → what it is, of those that are not as wanted. Raises AttributeError for a field that is none."""
        found = {name: getattr(other, name) for name in self.fields}
        return {name: value for name, value in found.items() if not _fits(value, self.fields[name])}

    def __repr__(self) -> str:
        wanted = ", ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{self.kind.__name__}({wanted}, …)"


def match(kind: type, **fields: Any) -> Match:
    """`assert decide(case) == match(Decision, then=JobState.FAILED, error=re.compile("given up"))`"""
    return Match(kind, fields)


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, re.Pattern):
        return isinstance(value, str) and wanted.search(value) is not None
    return bool(value == wanted)
