"""What is known of resuming, said of a study and of a job. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from db.sealing import NOT_REHEARSED
from db.seals import ANYWAY, WRONG, Seal

VERIFIED = ("bit-identical", "equal within noise")


def word(verdict: str) -> str:
    """A verdict as a footnote says it."""
    if verdict == NOT_REHEARSED:
        return verdict
    return f"resume verified: {verdict}" if verdict in VERIFIED else verdict


def line(counts: Mapping[str, int]) -> str:
    """`resume verified: bit-identical (12), not rehearsed (3)`; empty where nothing was ever rehearsed."""
    return ", ".join(f"{word(verdict)} ({count})" for verdict, count in sorted(counts.items()))


def of_job(seal: Seal | None, resume: object) -> str:
    """Of one job, with what follows from it."""
    if seal is None:
        return NOT_REHEARSED
    told = f"{word(seal.verdict)} (rehearsed {seal.at:%Y-%m-%d})" + (f": {seal.reason}" if seal.reason else "")
    if seal.verdict == WRONG:
        goes_on = "it goes on from its checkpoints all the same" if resume == ANYWAY else "each execution begins anew"
        told += f"; {goes_on}"
    return told
