"""What the answer of `orch explain` rests on besides the job itself, and what a supervisor that is frozen or gone means
for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from db.canaries import OpenCanary
from db.details import Detail
from db.limits import StudyLimits
from jobs.words import BackendName, JobState
from orchestrator.views.progress import Progress
from orchestrator.views.status import SupervisorView

HELD = "held"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the answer rests on besides the job itself."""

    now: datetime
    supervisor: SupervisorView | None = None
    stopped: Sequence[str] = ()
    """Pools where nothing is sent, a sentence each."""
    excluded: Mapping[str, datetime] = field(default_factory=dict)
    """Bad node → until when it is kept out."""
    spared: frozenset[str] = frozenset()
    """Bad nodes that are used all the same, since too many are out already."""
    canary: OpenCanary | None = None
    """The one that it waits for, or that it is."""
    limits: StudyLimits | None = None
    """Of its study."""
    slot: str | None = None
    """Why no local slot takes it now."""
    before: int = 0
    """Queued jobs that come first."""
    progress: Progress | None = None
    slices: Sequence[str] = ()
    """Of a live attempt in pieces: how they stand, a sentence each."""
    silent: str = ""
    """Since when the host that it runs on has been silent."""
    odd: Sequence[str] = ()
    """Files of it that cannot be used, a sentence each."""


def meanwhile(detail: Detail, around: Surroundings, following: str) -> str:
    """What comes next while the supervisor stands still: the machines go on, and what needs a person still does."""
    job, attempt = detail.job, detail.attempts[-1] if detail.attempts else None
    if job.state in (JobState.SUBMITTED, JobState.RUNNING) and attempt is not None and attempt.native_id is not None:
        if job.state is JobState.RUNNING or attempt.backend == BackendName.LOCAL:
            return "it goes on by itself; its end is taken in when the supervisor goes on, or another one does that"
        if attempt.phase != HELD:
            return following
    flock = around.canary is not None and job.behind == around.canary.job
    held = around.canary.failed if around.canary is not None and flock else _needs_a_person(detail, around)
    return following if held else "nothing before the supervisor goes on, or another one takes its place"


def _needs_a_person(detail: Detail, around: Surroundings) -> bool:
    """Whether it waits for what no supervisor ever does."""
    stopped = around.limits is not None and around.limits.stopped
    return bool(detail.blocked_by) or (detail.job.state is JobState.QUEUED and stopped)


def alone(around: Surroundings) -> list[str]:
    """That nobody sends anything, where that is so."""
    if around.supervisor is not None and around.supervisor.alive:
        return []
    return ["no supervisor runs, so nothing is sent: start one with 'orch supervise' (any 'orch submit' does too)"]
