"""How many jobs of each kind are in each state: a table, or, where that is too wide, lines of whole parts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len

from jobs.words import JobState
from orchestrator.views.tables import GAP

Kinds = Mapping[str, Mapping[JobState, int]]


def wide(kinds: Kinds) -> int:
    """The width of the table."""
    states = {state for found in kinds.values() for state, n in found.items() if n}
    widest = max((cell_len(kind) for kind in kinds), default=0)
    return max(widest, len("kind")) + sum(len(state) + GAP for state in states)


def texts(kinds: Kinds, order: Sequence[JobState], width: int) -> list[str]:
    """'command  3 failed, 2 running,' and what does not fit below it."""
    lines: list[str] = []
    for kind, found in kinds.items():
        lines.append(kind)
        parts = [f"{found[state]} {state}" for state in order if found.get(state)]
        for place, part in enumerate(parts):
            more = f"{'  ' if place == 0 else ' '}{part}{',' if part is not parts[-1] else ''}"
            if cell_len(lines[-1] + more) > width:
                lines.append(f"  {more.strip()}")
            else:
                lines[-1] += more
    return lines
