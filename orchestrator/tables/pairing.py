"""Which random architectures were matched to which searched ones: only those are pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from db.rows import ResultRow
from orchestrator.tables.cells import ACCURACY, Cell, Unit, belonging, replicate
from orchestrator.tables.keys import setting

DRAWN = "random-baseline"
ITSELF = "the searched one itself"
"""So the job of a matched draw says it where no other architecture fits (jobs/shortcuts/matching.py)."""


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """The values of searched architectures and of those that were matched to them, pair by pair."""

    searched: tuple[float, ...]
    random: tuple[float, ...]
    matched: bool
    """Whether anybody matched them at all; False: there are no pairs, whatever their seeds."""
    itself: int
    """Pairs left out, since the random architecture is the searched one itself."""

    @property
    def n(self) -> int:
        return len(self.searched)


def pair(searched: Cell, random: Cell, metric: str = ACCURACY) -> Pairing:
    """The pairs of a row: by search where both sides know it, else by seed."""
    matched = [unit for unit in random.units if is_matched(unit)]
    found: list[tuple[float, float]] = []
    itself = 0
    for one, two in belonging(searched.units, matched):
        first, second = one.value(metric), two.value(metric)
        if _is_itself(one, two, first == second):
            itself += 1
        elif first is not None and second is not None:
            found.append((first, second))
    return Pairing(
        searched=tuple(first for first, _ in found),
        random=tuple(second for _, second in found),
        matched=bool(matched),
        itself=itself,
    )


def is_matched(unit: Unit) -> bool:
    """Whether a random architecture was drawn for a searched one.

    Orch draws it so (a baseline with a method has a search). Of a row made elsewhere it must be said, by its search or
    by the setting `match`: equal seeds are no match.
    """
    for row in unit.rows:
        elsewhere = row.imported and not row.exported
        if elsewhere and not row.config.get("search") and setting(row, "match") in (None, "none"):
            return False
    return True


def pair_key(rows: Sequence[ResultRow]) -> tuple[str, int | str] | None:
    """What a unit shares with the units of other groups that it is paired with; None where nothing is.

    Its search, else its seed; a random architecture that nobody matched is paired with none.
    """
    search = rows[0].config.get("search") or None
    if rows[0].kind == DRAWN and not is_matched(Unit(search=search, seed=rows[0].seed, rows=tuple(rows))):
        return None
    return ("search", search) if search else ("seed", replicate(rows[0]))


def _is_itself(one: Unit, two: Unit, equal: bool) -> bool:
    """Whether a random architecture is the searched one: its job says so, or it was the same training (older draws)."""
    edges = {row.edges for row in (*one.rows, *two.rows)}
    told = any(ITSELF in flag for row in two.rows for flag in row.flags.values())
    return told or (equal and None not in edges and len(edges) == 1)
