"""Rows found by attempt: by the token (the job's name) together with the id, for SLURM uses ids again."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from slurm.backend import LiveAttempt, Phase
from slurm.cluster.rows import Row
from slurm.cluster.states import phase_of_row


def same(one: Sequence[LiveAttempt], two: Sequence[LiveAttempt]) -> bool:
    """Whether these are the same objects in the same order."""
    return len(one) == len(two) and all(map(operator.is_, one, two))


class Queue:
    """What one squeue or one sacct said."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)
        self._found: dict[tuple[str, int | None], list[Row]] = defaultdict(list)
        for row in self.rows:
            self._found[row.name, row.task].append(row)

    def runs(self, attempt: LiveAttempt) -> list[Row]:
        """Every row of the attempt, oldest first.

        Tasks of an array that were cancelled while they waited have one row together, without an index.
        """
        mine = self._matching(attempt, attempt.task)
        if not mine and attempt.task is not None:
            mine = [row for row in self._matching(attempt, None) if row.state == "CANCELLED"]
        return mine

    def pieces(self, attempt: LiveAttempt) -> list[LiveAttempt]:
        """The tasks of a sliced attempt that are here, each as an attempt of its own that has run nowhere yet; of any
        other attempt itself."""
        if not attempt.pieces:
            return [attempt]
        alone = replace(attempt, running=False, node=None)
        found = (replace(alone, piece=piece) for piece in range(attempt.pieces))
        return [one for one in found if self.runs(one)]

    def row(self, attempt: LiveAttempt) -> Row | None:
        """The row that counts: one that lives before one that ended, else the newest."""
        mine = self.runs(attempt)
        if len(mine) == 1:
            return mine[0]
        alive = [row for row in mine if phase_of_row(row) is not Phase.ENDED]
        best = alive or mine
        return best[-1] if best else None

    def _matching(self, attempt: LiveAttempt, index: int | None) -> list[Row]:
        rows = self._found.get((attempt.token, index), [])
        return [row for row in rows if attempt.native_id in (None, row.job)]
