"""What to do after an attempt ended without a success: the table of docs/resubmission.md as one pure function.

Budgets count failures of the same cause since the last checkpoint advance; an overall cap counts everything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jobs.node.pieces import too_short
from jobs.words import Cause, JobState
from orchestrator.supervision.likeness import same_error

OVERALL_CAP = 50
NODES_TO_BLAME_THE_PROGRAM = 3
EARLY_SECONDS = 60.0
"""A job killed within this time of its start strikes the node."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One ending of an attempt (or of an execution that SLURM requeued), as the budgets see it."""

    cause: Cause
    node: str | None = None
    error: str | None = None
    ready: bool = True
    checkpoint_step: int = -1
    """The newest checkpoint of the job at that time."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """Everything that the decision rests on. `earlier` are this generation's endings before, oldest first."""

    job: int
    attempt: int
    now: datetime
    failure: Failure
    earlier: Sequence[Failure] = ()
    ran_seconds: float = 0.0
    start_step: int = -1
    """The newest checkpoint when the attempt began."""
    several_nodes: bool = False
    """Whether another node could be tried at all."""
    shared_error: bool = False
    """Whether jobs that differ by seed only met the same exception on several nodes (`is_shared`)."""
    foreign_gpu_memory: bool = False
    shared_disk: bool = False
    """Whether a disk failed it that every node shares: no node is struck for that."""
    hung_there: bool = False
    """Whether something has hung there before, lately, and not on every other node too."""
    memory_mb: int = 0
    peak_memory_mb: float = 0.0
    retry_oom_factor: float = 0.0
    """0: an out_of_memory fails at once."""
    minutes: int = 0
    sliced: bool = False
    """Whether it was run in pieces."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The numbers, as `[resubmission]` of orch.toml may set them."""

    budgets: Mapping[Cause, int] = field(
        default_factory=lambda: {
            Cause.NODE_FAILURE: 8,
            Cause.PREEMPTED: 8,
            Cause.LOST: 8,
            Cause.LAUNCH_FAILURE: 8,
            Cause.GPU_FAULT: 8,
            Cause.KILLED: 3,
            Cause.GPU_OUT_OF_MEMORY: 8,
            Cause.HANG: 3,
        }
    )
    overall: int = OVERALL_CAP
    backoff_seconds: float = 5.0
    backoff_most_seconds: float = 300.0


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`then` is QUEUED (with a delay) or FAILED; `sentence` says it to a person."""

    then: JobState
    sentence: str
    delay: timedelta = timedelta()
    strike: bool = False
    cause: Cause
    error: str | None = None
    memory_mb: int | None = None


def is_shared(nodes: Collection[str], there_are: int) -> bool:
    """Whether one exception on these nodes is the program's fault: on so many, or on all that there are."""
    return len(nodes) >= min(NODES_TO_BLAME_THE_PROGRAM, there_are)


def final_cause(
    failure: Failure, earlier: Sequence[Failure], *, several_nodes: bool, shared_error: bool = False
) -> Cause:
    """The cause after judging readiness: an exception before the first step is the launch's fault, not the job's,

    unless it repeats on another node, or there is no other node it could be tried on. A wrong program would strike
    every node of a cluster before one of its jobs was tried twice, so jobs that differ by seed only count together.
    """
    if failure.cause is not Cause.ERROR or failure.ready:
        return failure.cause
    same_elsewhere = any(
        past.node != failure.node and same_error(past.error, failure.error or "", (past.node, failure.node))
        for past in earlier
        if past.error is not None and not past.ready
    )
    return Cause.ERROR if same_elsewhere or shared_error or not several_nodes else Cause.LAUNCH_FAILURE


def decide(situation: Situation, policy: Policy | None = None) -> Decision:
    """Resubmit (when) or fail (why)."""
    policy = policy or Policy()
    failure = situation.failure
    cause = final_cause(
        failure, situation.earlier, several_nodes=situation.several_nodes, shared_error=situation.shared_error
    )
    strike = _strikes(cause, situation)
    advanced = failure.checkpoint_step > situation.start_step
    if cause is Cause.ERROR:
        return _fail(cause, failure.error or "the job raised an error", strike=False)
    if cause is Cause.CANCELLED:
        return Decision(then=JobState.CANCELLED, sentence="it was cancelled", cause=cause)
    if cause is Cause.OUT_OF_MEMORY:
        return _out_of_memory(situation)
    if cause is Cause.GPU_OUT_OF_MEMORY and not situation.foreign_gpu_memory:
        used = f" (peak {situation.peak_memory_mb:.0f} MB of host memory)" if situation.peak_memory_mb else ""
        return _fail(cause, f"the GPU's memory did not suffice{used}: {failure.error or 'CUDA out of memory'}")
    if len(situation.earlier) + 1 >= policy.overall:
        return _fail(cause, f"{policy.overall} endings without a result: given up", strike=strike)
    if cause is Cause.TIMEOUT:
        if not advanced and situation.sliced:
            return _fail(cause, failure.error or too_short())
        if not advanced:
            limit = f" ({situation.minutes} minutes)" if situation.minutes else ""
            return _fail(cause, f"no progress in a whole time limit{limit}: raise --time or checkpoint more often")
        over = (failure.error or "all its pieces were used") if situation.sliced else "time limit reached"
        return Decision(
            then=JobState.QUEUED, sentence=f"{over}: goes on from its checkpoint", cause=cause, strike=strike
        )
    spent = spent_of(cause, situation)
    budget = policy.budgets[cause]
    if spent > budget:
        why = f" ({failure.error})" if situation.shared_disk and failure.error else ""
        return _fail(cause, f"{cause} {spent} times since the last checkpoint: given up{why}", strike=strike)
    delay = backoff(policy, situation.job, situation.attempt, spent)
    return Decision(
        then=JobState.QUEUED,
        sentence=f"{cause}: resubmitted ({spent} of {budget} since the last checkpoint)",
        delay=delay,
        strike=strike,
        cause=cause,
        error=failure.error,
    )


def spent_of(cause: Cause, situation: Situation) -> int:
    """Failures of that cause since the last checkpoint advance, this one included."""
    spent = 1
    step = situation.failure.checkpoint_step
    if step > situation.start_step:
        return spent
    for past in reversed(situation.earlier):
        if past.checkpoint_step < step:
            break
        spent += past.cause is cause or (cause is Cause.LAUNCH_FAILURE and past.cause is Cause.ERROR)
    return spent


def backoff(policy: Policy, job: int, attempt: int, spent: int) -> timedelta:
    """Doubling with each failure, jittered by the job's own number, so that a crowd does not come back at once."""
    base = min(policy.backoff_seconds * 2 ** (spent - 1), policy.backoff_most_seconds)
    digest = hashlib.sha256(f"{job}/{attempt}".encode()).digest()
    return timedelta(seconds=base * (0.5 + digest[0] / 255))


def others_used_memory(error: str | None, shares: int) -> bool:
    """Whether a GPU's memory was not the job's alone: its slot was a share, or torch named another process.

    torch's message says "Process 1234 has 10.00 GiB memory in use" of others (c10/cuda/CUDACachingAllocator.cpp).
    """
    return shares > 1 or re.search(r"Process \d+ has [\d.]+ [KMG]iB memory in use", error or "") is not None


def _strikes(cause: Cause, situation: Situation) -> bool:
    if situation.shared_disk:
        return False
    if cause in (Cause.NODE_FAILURE, Cause.LAUNCH_FAILURE, Cause.GPU_FAULT):
        return True
    if cause is Cause.HANG:
        return situation.hung_there
    return cause is Cause.KILLED and situation.ran_seconds < EARLY_SECONDS


def _fail(cause: Cause, sentence: str, *, strike: bool = False) -> Decision:
    return Decision(then=JobState.FAILED, sentence=sentence, cause=cause, error=sentence, strike=strike)


def _out_of_memory(situation: Situation) -> Decision:
    peak = f"peak {situation.peak_memory_mb:.0f} MB, " if situation.peak_memory_mb else ""
    text = f"out of memory: {peak}requested {situation.memory_mb} MB"
    raised = round(situation.memory_mb * situation.retry_oom_factor)
    tries = sum(past.cause is Cause.OUT_OF_MEMORY for past in situation.earlier)
    if raised > situation.memory_mb and tries < 4:
        return Decision(
            then=JobState.QUEUED,
            sentence=f"{text}; resubmitted with {raised} MB",
            cause=Cause.OUT_OF_MEMORY,
            memory_mb=raised,
            error=text,
        )
    return _fail(Cause.OUT_OF_MEMORY, f"{text}; ask for more with --mem, or opt in to --retry-oom-mem 1.5")
