"""Step 6, clean up: end what nobody wants any more, until the machines are seen without it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from db import attempts, executions
from db.attempts import StoredAttempt
from jobs.words import BackendName, Cause
from orchestrator.supervision.backends import Backends
from orchestrator.supervision.cycle import Cycle
from orchestrator.supervision.handover import live_attempt
from orchestrator.supervision.judging import BEFORE_A_REQUEUE, SETTLE_SECONDS
from orchestrator.supervision.observation import Ends, Observations
from orchestrator.supervision.tenure import Tenure
from slurm.backend import Observation, Phase

_OVER = (Phase.ENDED, Phase.ABSENT)
LEAVING_SECONDS = 30.0
"""How long a worker may take to be gone after its outcome, before it is ended."""


def clean_up(
    tenure: Tenure,
    backends: Backends,
    observations: Observations,
    ends: Ends,
    observe: Sequence[BackendName],
    cycle: Cycle,
    unfinished: Collection[int] = (),
) -> None:
    """Ask the machines to end doomed attempts, and let those go that they no longer have.

    `unfinished`: ids of those whose files are still being read.
    """
    with tenure.store.read() as connection:
        doomed = attempts.doomed(connection)
    at = tenure.clock.now()
    gone: list[StoredAttempt] = []
    for name in observe:
        left = []
        for attempt in doomed:
            if attempt.backend != name:
                continue
            key = (attempt.job, attempt.number)
            observation = observations.get(key)
            phase = observation.phase if observation is not None else None
            if observation is not None and phase in _OVER:
                settled = attempt.id not in unfinished and is_gone(observation, ends.seconds(key))
                gone += [attempt] if settled else []
            elif not is_leaving(attempt, phase, at):
                left.append(live_attempt(attempt))
            elif attempt.pieces:
                left.append(replace(live_attempt(attempt), leaving=True))
        if left:
            with backends.asking(name, cycle) as backend:
                backend.cancel(left)
    if gone:
        with tenure.write() as writer:
            attempts.undoom(writer.connection, [attempt.id for attempt in gone])
            executions.over(writer.connection, sorted({attempt.job for attempt in gone}))
        cycle.changed = True


def is_gone(observation: Observation, ended_seconds: float) -> bool:
    """Whether the machines let it go for good: they may have ended it only to requeue it under the same id. Pure."""
    if observation.phase is Phase.ENDED and observation.cause in BEFORE_A_REQUEUE:
        return ended_seconds >= SETTLE_SECONDS
    return observation.phase in _OVER


def is_leaving(attempt: StoredAttempt, phase: Phase | None, now: datetime) -> bool:
    """Whether it wrote its outcome just now, so that it will be gone by itself, unless SLURM requeued it. Pure."""
    if attempt.cause is Cause.CANCELLED or attempt.ended_at is None or phase in (Phase.PENDING, Phase.HELD):
        return False
    return 0.0 <= (now - attempt.ended_at).total_seconds() < LEAVING_SECONDS
