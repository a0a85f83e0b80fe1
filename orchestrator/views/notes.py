"""Sentences below `orch status` about code, searches and other studies. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from jobs.shortcuts import collapse
from orchestrator.views.words import listed, plural

FIRST_COLLAPSES = 2


def code_note(n: int, first: Sequence[int]) -> str | None:
    """Says which jobs ran with other code than was submitted."""
    if not n:
        return None
    more = ", …" if n > len(first) else ""
    return f"{plural(n, 'job')} ran with other code than at submission: {', '.join(map(str, first))}{more}"


def studies_note(study: str, studies: Mapping[str, int]) -> str | None:
    """Names the other studies of the store."""
    others = [f"{name} ({n})" for name, n in studies.items() if name != study and n]
    return f"other studies here: {listed(others, 6)}; choose one with --study" if others else None


def collapse_notes(searches: Sequence[tuple[int, str]]) -> list[str]:
    """What the newest numbers of searches (job, JSON) say of a collapse: the first few, and how many more."""
    found = [
        collapse.sentence(job, said)
        for job, metrics in searches
        if (said := collapse.warnings(msgspec.json.decode(metrics, type=dict[str, float | None])))
    ]
    more = len(found) - FIRST_COLLAPSES
    return [
        *found[:FIRST_COLLAPSES],
        *([f"{plural(more, 'more search', 'more searches')} may be collapsing"] if more > 0 else []),
    ]
