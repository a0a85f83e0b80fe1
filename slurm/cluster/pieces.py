"""The pieces of a sliced attempt in SLURM's queue: which of their rows says where the attempt is (docs/slices.md)."""

from __future__ import annotations

from pathlib import Path

from jobs.files import read_json
from jobs.layout import Layout
from jobs.records import Started
from slurm.backend import LiveAttempt, Phase
from slurm.cluster.rows import Row
from slurm.cluster.states import phase_of_row

_FURTHEST_FIRST = (Phase.RUNNING, Phase.SUSPENDED, Phase.COMPLETING, Phase.PENDING, Phase.HELD)


def lives(row: Row) -> bool:
    """Whether SLURM still has something to do for it."""
    return phase_of_row(row) is not Phase.ENDED


def rank(row: Row) -> tuple[int, int]:
    """How far a living piece is, the furthest least: one that runs goes before those that wait, these by index."""
    return _FURTHEST_FIRST.index(phase_of_row(row)), row.task or 0


def task_of(execution: Path) -> str | None:
    """The array task ('12_3') that an execution is of."""
    started = read_json(execution / "started.json", Started)
    return started.slurm_job if started is not None else None


def newest(layout: Layout, attempt: LiveAttempt) -> str | None:
    """The task of the piece that was the last to begin, by the pieces' own count; None where none has. Raises OSError
    where the folder does not answer now."""
    folders = layout.executions(attempt.job, attempt.attempt)
    found = [started for path in folders if (started := read_json(path / "started.json", Started)) is not None]
    return max(found, key=lambda one: (one.restart, one.at)).slurm_job if found else None
