"""What became of an attempt, from its executions' files and what the machines say. Pure.

Evidence in this order: outcome files, the machines' own record, silence. Absent is not dead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from db.attempts import StoredAttempt
from jobs.records import Outcome
from jobs.words import AttemptState, BackendName, Cause
from orchestrator.supervision.seen import Seen
from slurm.backend import Observation, Phase

STALE_SECONDS = 60.0
"""A heartbeat that has not changed for so long, on our clock, no longer speaks for a living worker."""
LOST_CYCLES = 3
SETTLE_SECONDS = 5.0
"""How long to wait for an outcome file after the machines say that a job ended: shared folders lag (batchtools #85)."""
STOPPING_CAUSES = (Cause.CANCELLED, Cause.NODE_FAILURE, Cause.PREEMPTED, Cause.TIMEOUT)
"""Why SLURM asks a job to stop, in the words of its own record."""
BEFORE_A_REQUEUE = (Cause.NODE_FAILURE, Cause.PREEMPTED)
"""Ends that SLURM's records show before it requeues the attempt under the same id: in that moment nobody may follow."""
UNSEEN_SECONDS = 60.0
"""A submission that no source knows may be this young and still be on its way."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Everything that is known of one live attempt. `executions` are oldest first."""

    attempt: StoredAttempt
    executions: Sequence[Seen]
    observation: Observation | None
    """None: the machines were not asked, or did not answer."""
    age_seconds: float
    """Since its dispatch."""
    ended_seconds: float = 0.0
    """Since the machines first said that it ended."""
    left: str | None = None
    """The execution that was the newest when the machines last said that the attempt waits: its heart may beat on."""


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """Go on looking."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """It runs."""

    node: str | None


@dataclass(frozen=True, kw_only=True)
class Requeued:
    """It waits again under the same id."""


@dataclass(frozen=True, kw_only=True)
class Accept:
    """Its first complete success."""

    seen: Seen


@dataclass(frozen=True, kw_only=True)
class Over:
    """It ended without a success."""

    cause: Cause
    error: str | None
    evidence: tuple[str, ...]
    seen: Seen | None
    node: str | None


@dataclass(frozen=True, kw_only=True)
class Returned:
    """The task that was to run it will not: it is queued again, and nothing counts against it."""

    evidence: tuple[str, ...]
    ran: bool


Verdict = Nothing | Running | Requeued | Accept | Over | Returned


def judge(case: Case) -> Verdict:
    """The verdict over one attempt."""
    finished = [seen for seen in case.executions if seen.outcome is not None and seen.outcome.ending == "success"]
    if finished:
        whole = [seen for seen in finished if seen.complete]
        if not whole:
            return Nothing()  # its last epochs are still on their way through the shared folder
        return Accept(seen=min(whole, key=lambda seen: seen.outcome.at if seen.outcome else seen.started.at))
    newest = case.executions[-1] if case.executions else None
    said = newest.outcome if newest is not None else None
    if case.observation is not None and case.observation.returned and not _is_its_own(said):
        return _returned(case, case.observation)
    if newest is not None and newest.outcome is not None and not newest.outcome.superseded:
        return _with_outcome(case, newest)
    return _without_outcome(case, newest)


def _is_its_own(outcome: Outcome | None) -> bool:
    """Whether a job's own word on its failure stands, whatever became of its task; of memory its runner knows more."""
    return outcome is not None and outcome.ending == "failure" and outcome.cause is not Cause.OUT_OF_MEMORY


def _returned(case: Case, observation: Observation) -> Verdict:
    if observation.phase is Phase.ABSENT:
        if case.attempt.absent + 1 < LOST_CYCLES or case.age_seconds < UNSEEN_SECONDS:
            return Nothing()
    elif case.ended_seconds < SETTLE_SECONDS and not case.executions:
        return Nothing()  # a start may be seen late
    if _copy_alive(case, None):
        return Nothing()
    return Returned(evidence=observation.evidence, ran=bool(case.executions))


def _with_outcome(case: Case, newest: Seen) -> Verdict:
    outcome, observation = newest.outcome, case.observation
    assert outcome is not None
    over = Over(
        cause=outcome.cause,
        error=outcome.error,
        evidence=_lines(f"outcome of {newest.name} on {newest.started.node}: {outcome.cause}", outcome.error),
        seen=newest,
        node=outcome.node or newest.started.node,
    )
    if outcome.ending == "failure":
        return Nothing() if _copy_alive(case, newest) else over
    # interrupted: it goes on where its machines start it again
    phase = observation.phase if observation else None
    if phase in (Phase.PENDING, Phase.HELD):
        return Requeued()
    told = observation.cause if observation else None
    unsettled = outcome.requeued or told in BEFORE_A_REQUEUE
    if phase is Phase.ENDED and (not unsettled or case.ended_seconds >= SETTLE_SECONDS):
        # A worker that was asked to stop does not know why; SLURM's record may.
        if observation is None or told not in STOPPING_CAUSES:
            return over
        return replace(over, cause=told, evidence=(*over.evidence, *observation.evidence))
    if phase is Phase.ABSENT and case.attempt.absent + 1 >= LOST_CYCLES:
        return over
    return Nothing()


def _without_outcome(case: Case, newest: Seen | None) -> Verdict:
    attempt, observation = case.attempt, case.observation
    node = newest.started.node if newest else attempt.node
    if observation is None:
        alive = newest is not None and newest.outcome is None and newest.silent_seconds() < STALE_SECONDS
        left = newest is not None and newest.name == case.left
        begins = alive and not left and attempt.state is AttemptState.SUBMITTED
        return Running(node=node) if begins else Nothing()
    if observation.phase is Phase.ENDED:
        if attempt.backend == BackendName.SLURM:
            if newest is not None and not _there(observation, newest):
                newest = None  # what ended left no files: these are of another execution
            if case.ended_seconds < SETTLE_SECONDS or _copy_alive(case, newest):
                return Nothing()
        cause = observation.cause or Cause.KILLED
        return Over(
            cause=cause,
            error=_exception(observation.evidence) if cause is Cause.ERROR else None,
            evidence=observation.evidence,
            seen=newest,
            node=observation.node or (None if observation.nodes else node),
        )
    if observation.phase is Phase.ABSENT:
        silent = newest is None or newest.silent_seconds() >= STALE_SECONDS
        if silent and attempt.absent + 1 >= LOST_CYCLES and case.age_seconds >= UNSEEN_SECONDS:
            text = f"absent from every source for {attempt.absent + 1} looks, and no heartbeat"
            return Over(cause=Cause.LOST, error=None, evidence=(text,), seen=newest, node=node)
        return Nothing()
    if observation.phase in (Phase.PENDING, Phase.HELD):
        if attempt.state is AttemptState.RUNNING:
            return Requeued()
        return Nothing()
    if observation.phase in (Phase.RUNNING, Phase.SUSPENDED):
        return Running(node=observation.node or node)
    return Nothing()


def _there(observation: Observation, seen: Seen) -> bool:
    """Whether what the machines speak of may be that execution: it is of a node that they name, where they name any."""
    named = {*observation.nodes, *([observation.node] if observation.node else [])}
    return not named or seen.started.node in named


def _copy_alive(case: Case, ended: Seen | None) -> bool:
    """Whether another execution than the one that ended may still succeed: its heart beats (a node's daemon died)."""
    return any(
        seen.outcome is None and seen.silent_seconds() < STALE_SECONDS for seen in case.executions if seen is not ended
    )


def _exception(evidence: Sequence[str]) -> str | None:
    return evidence[-1] if evidence else None


def _lines(*lines: str | None) -> tuple[str, ...]:
    return tuple(line for line in lines if line)
