"""What SLURM's rows say of one attempt: where it is, or how it ended, with the end of what it printed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.files import tail
from jobs.layout import Layout, restart_of
from slurm.backend import LiveAttempt, Observation, Phase
from slurm.cluster import pieces, reasons, states
from slurm.cluster.machines import Machines
from slurm.cluster.queue import Queue
from slurm.cluster.requeues import Requeues
from slurm.cluster.rows import Row

LOG_TAIL = 64 * 1024
"""Bytes of a log in which the cause of an ending is looked for."""


@dataclass(frozen=True)
class Observer:
    """Of one backend, which asks the questions."""

    layout: Layout
    machines: Machines
    requeues: Requeues

    def in_queue(
        self, attempt: LiveAttempt, row: Row, node_states: Mapping[str, str], records: Queue | None
    ) -> Observation:
        phase = states.phase_of_row(row)
        runs = None if records is None else records.runs(attempt)
        if phase is Phase.ENDED:
            if row.state == "CANCELLED" and runs and runs[-1].cancelled_by is not None:
                row = replace(row, cancelled_by=runs[-1].cancelled_by)
            return self._ended(attempt, row)
        return Observation(
            phase=phase,
            node=next(iter(row.nodes), None),
            nodes=row.several,
            reason=reasons.of_phase(phase, row.reason),
            restarts=row.restarts,
            previous=self.requeues.explain(attempt.row_key, node_states, runs),
        )

    def sliced(
        self, attempt: LiveAttempt, queue: Queue, node_states: Mapping[str, str], records: Queue | None
    ) -> Observation | None:
        """An attempt in pieces is where the piece is that is furthest, and over when none is left. None: no news."""
        there = [(one, row) for one in queue.pieces(attempt) if (row := queue.row(one)) is not None]
        living = [(one, row) for one, row in there if pieces.lives(row)]
        if living:
            one, row = min(living, key=lambda found: pieces.rank(found[1]))
            looked = [self.in_queue(one, row, node_states, records)]
            looked += [
                self.in_queue(other, its, node_states, records)
                for other, its in living
                if other is not one and self.requeues.open(other.row_key)
            ]
            before = [seen.previous for seen in looked if seen.previous is not None]
            before += [
                self._ended(other, its)
                for other, its in there
                if its.state == "NODE_FAIL" and self.requeues.lost(other)
            ]
            return replace(looked[0], previous=before[0] if before else None)
        if records is None and len(there) < attempt.pieces:
            return None
        try:
            return self._all_over(attempt, [row for _, row in there], records)
        except OSError:  # the folder that tells which piece was the last does not answer now
            return None

    def _all_over(self, attempt: LiveAttempt, there: Sequence[Row], records: Queue | None) -> Observation:
        """No piece is in the queue any more: how the one ended that was the last to begin."""
        recorded = [records.row(one) for one in records.pieces(attempt)] if records is not None else []
        ended = {row.id: row for row in recorded if row is not None and not pieces.lives(row)}
        ended.update((row.id, row) for row in there)
        newest = pieces.newest(self.layout, attempt)
        if not ended or (newest is not None and newest not in ended):
            text = f"of its {attempt.pieces} pieces SLURM has none in its queue, and tells no end of the last one"
            return Observation(phase=Phase.ABSENT, evidence=(text,))
        last = ended[newest] if newest is not None else max(ended.values(), key=lambda row: (bool(row.node), row.task))
        return self._ended(replace(attempt, piece=last.task), last)

    def gone(self, attempt: LiveAttempt, records: Queue | None) -> Observation:
        """An attempt that the queue does not know: what the records say of its newest run."""
        runs = [] if records is None else records.runs(attempt)
        if not runs:
            return Observation(phase=Phase.ABSENT, evidence=("SLURM knows it neither in its queue nor in its records",))
        last = runs[-1]
        if states.phase_of_row(last) is Phase.ENDED:
            return self._ended(attempt, replace(last, restarts=len(runs) - 1))
        return Observation(phase=Phase.ABSENT, evidence=(f"{last.line()}; but it is not in the queue any more",))

    def _ended(self, attempt: LiveAttempt, row: Row) -> Observation:
        verdict = states.judge(row, self._printed(attempt, row) if row.state in ("FAILED", "COMPLETED") else "")
        return Observation(
            phase=Phase.ENDED,
            node=self.machines.failed(row) if row.state == "NODE_FAIL" else next(iter(row.nodes), None),
            nodes=row.several,
            cause=verdict.cause,
            evidence=verdict.evidence,
            restarts=row.restarts,
        )

    def _printed(self, attempt: LiveAttempt, row: Row) -> str:
        """The end of submitit's log, and of what this very run printed after it."""
        text = _tail(self.layout.submission(attempt.token) / "submitit" / f"{row.id}_0_log.out")
        runs: list[Path] = []
        with contextlib.suppress(OSError):  # a folder that does not answer now: the record alone must do
            runs = self.layout.executions(attempt.job, attempt.attempt)
        mine = [path for path in runs if restart_of(path.name) == (row.restarts or 0)]
        if attempt.pieces:
            mine = [path for path in runs if pieces.task_of(path) == row.id]
        for folder in mine[-1:]:
            text += "\n" + _tail(folder / "stderr")
        return text


def _tail(path: Path) -> str:
    """The end of a file; nothing where it is not there (yet)."""
    return tail(path, LOG_TAIL).decode(errors="replace")
