"""What `explain` says of a job that is run in slices: its pieces, what they waited, and what one would wait. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from db.attempts import StoredAttempt
from db.executions import StoredExecution
from jobs.layout import restart_of
from jobs.words import AttemptState
from orchestrator.views.words import clock, duration, plural

AT_ONCE_SECONDS = 5.0
"""SLURM tells whole seconds, by the controller's clock."""


def told(
    attempt: StoredAttempt,
    executions: Sequence[StoredExecution],
    minutes: int | None,
    alone: datetime | None,
    now: datetime,
) -> list[str]:
    """Sentences on the newest attempt, which is live. `minutes`: of a piece, where its manifest tells; `alone`: when
    SLURM would begin it as one piece that is sent now, where it was asked and said so."""
    mine = sorted(
        (one for one in executions if one.attempt == attempt.number), key=lambda one: (restart_of(one.name), one.id)
    )
    cut = f" of {plural(minutes, 'minute')}" if minutes is not None else ""
    runs = attempt.state is AttemptState.RUNNING
    if runs:
        where = f"piece {len(mine)} of at most {attempt.pieces} runs"
    else:
        where = f"{len(mine)} of at most {attempt.pieces} pieces ran, and the next one waits"
    waited = duration(waited_seconds(attempt, mine, now if not runs else None))
    said = [f"it is run in slices{cut}: {where}; its pieces have waited {waited} in all"]
    if alone is not None:
        seconds = (alone - now).total_seconds()
        if seconds < AT_ONCE_SECONDS:
            said.append("in one piece, sent now, it would begin at once (`sbatch --test-only`)")
        else:
            said.append(
                f"in one piece, sent now, SLURM guesses that it would wait {duration(seconds)}, until "
                f"{clock(alone, now)} (`sbatch --test-only`, which adds the full time of all that waits in the "
                "partition, the pieces of this job too)"
            )
    return said


def waited_seconds(attempt: StoredAttempt, runs: Sequence[StoredExecution], now: datetime | None) -> float:
    """Seconds in which none of its pieces ran, since it was sent, `runs` being them in their order; to `now`, where one
    waits. The end of one that was killed is not known: no wait is counted after it."""
    begins = [one.started_at for one in runs] + ([now] if now is not None else [])
    ends = [attempt.created_at, *(one.ended_at for one in runs)]
    pairs = zip(begins, ends, strict=False)
    return sum(max((begin - end).total_seconds(), 0.0) for begin, end in pairs if end is not None)
