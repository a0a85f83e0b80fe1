"""Times, counts and causes in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from jobs.words import Cause
from orchestrator.tables.digits import decimals, places, written

CAUSES: dict[Cause, str] = {
    Cause.SUCCESS: "it succeeded",
    Cause.NODE_FAILURE: "its node failed",
    Cause.LAUNCH_FAILURE: "it could not start (it ended before its first step)",
    Cause.GPU_FAULT: "its GPU failed",
    Cause.PREEMPTED: "it was preempted",
    Cause.TIMEOUT: "it reached its time limit",
    Cause.OUT_OF_MEMORY: "it used more memory than it asked for",
    Cause.GPU_OUT_OF_MEMORY: "its GPU's memory did not suffice",
    Cause.KILLED: "something killed it",
    Cause.ERROR: "it raised an error of its own",
    Cause.CANCELLED: "it was cancelled",
    Cause.LOST: "it vanished without a trace",
    Cause.HANG: "it hung: it lived, and gave no sign of life",
}


def duration(seconds: float) -> str:
    """'0.4 s', '45 s', '3 min 05 s', '2 h 07 min', '3 d 04 h': two units at most."""
    if seconds < 0:
        return "0 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02d} h"


def short(seconds: float) -> str:
    """'45s', '3m05', '2h07', '3d04': for a narrow column."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02d}"


def clock(at: datetime, now: datetime) -> str:
    """A time in UTC; without its date where that is today's."""
    form = "%H:%M:%S" if at.date() == now.date() else "%Y-%m-%d %H:%M:%S"
    return f"{at:{form}} UTC"


def plural(n: int, word: str, several: str = "") -> str:
    """'1 job', '3 jobs'; `several` where an s does not do."""
    return f"{n} {word}" if n == 1 else f"{n} {several or word + 's'}"


def listed(items: Sequence[object], most: int = 5) -> str:
    """'1, 2, 3, … (12 in all)'."""
    shown = ", ".join(str(item) for item in items[:most])
    return shown if len(items) <= most else f"{shown}, … ({len(items)} in all)"


def one_line(text: str) -> str:
    """A text without line breaks and control characters, for one line of a terminal."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def number(value: float | None) -> str:
    """A metric for people: whole numbers with separators, others with four significant digits or two decimals.

    Never more than it has; '-' for none.
    """
    if value is None:
        return "-"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    data = decimals([value])
    return written(value, None, min(max(2, places(value, None, 1, data)), data))
