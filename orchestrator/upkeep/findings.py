"""What a check of `orch doctor` found: ok, a warning or a failure, with the mend. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was looked at, what was found, and (unless ok) what to do."""

    level: Level
    subject: str
    text: str
    mend: str = ""


def ok(subject: str, text: str) -> Finding:
    return Finding(level=Level.OK, subject=subject, text=text)


def warning(subject: str, text: str, mend: str) -> Finding:
    return Finding(level=Level.WARNING, subject=subject, text=text, mend=mend)


def failure(subject: str, text: str, mend: str) -> Finding:
    return Finding(level=Level.FAILURE, subject=subject, text=text, mend=mend)


def failures(found: Sequence[Finding]) -> int:
    """How many findings are failures."""
    return sum(one.level is Level.FAILURE for one in found)
