"""Sentences below `orch status` about code and other studies. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.views.words import listed, plural


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
