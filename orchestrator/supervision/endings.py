"""From an ending without success to what the journal says of it: the history is read, the policy decides."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from db import attempts, bundled, executions, holdups, jobs, rhythms
from db.attempts import StoredAttempt
from db.entries import ClearStrikes, Ended, Entry
from db.executions import StoredExecution
from db.known import known
from db.shares import gpu_parts
from jobs.node import disks
from jobs.node.disks import OF_THE_NODE
from jobs.words import FINAL, AttemptState, BackendName, Cause, JobState
from orchestrator.supervision import incidents, policy
from orchestrator.supervision.handover import resources_of
from orchestrator.supervision.judging import Over, Returned
from orchestrator.supervision.likeness import same_error
from orchestrator.supervision.seen import Seen
from slurm import causes
from slurm.local import slots

_OF_A_GPU = (Cause.GPU_FAULT, Cause.LAUNCH_FAILURE, Cause.HANG)
HANGS_TOGETHER = timedelta(hours=6)
"""So close together hangs at one place speak of the place."""
"""Causes that a local GPU is struck for: a reboot or a kill is not its fault."""


def entries(
    connection: Connection,
    attempt: StoredAttempt,
    verdict: Over,
    own: Sequence[Seen],
    rules: policy.Policy,
    at: datetime,
    nodes: int,
) -> list[Entry]:
    """Decide by the policy what follows an ending without success. `nodes`: on how many the job could be tried."""
    job = jobs.get(connection, attempt.job)
    resources = resources_of(job)
    history = _history(connection, job)
    step = max([seen.checkpoint_step for seen in own] + [past.checkpoint_step for past in history], default=-1)
    before = max((past.checkpoint_step for past in history), default=-1)
    outcome = verdict.seen.outcome if verdict.seen else None
    setup = _failed_setup(verdict)
    failure = policy.Failure(
        cause=Cause.ERROR if setup else verdict.cause,
        node=verdict.node,
        error=setup or verdict.error,
        ready=verdict.seen is not None and verdict.seen.ready is not None,
        checkpoint_step=step,
    )
    began = verdict.seen.started.at if verdict.seen else None
    alike = _alike(connection, job, failure, in_setup=setup is not None)
    decision = policy.decide(
        policy.Situation(
            job=job.id,
            attempt=attempt.number,
            now=at,
            failure=failure,
            earlier=history,
            ran_seconds=(at - began).total_seconds() if began else 0.0,
            start_step=before,
            several_nodes=nodes > 1,
            shared_error=bool(alike) and policy.is_shared({node for _, node in alike}, nodes),
            foreign_gpu_memory=policy.others_used_memory(verdict.error, _parts(attempt)),
            shared_disk=(outcome is not None and outcome.disk not in ("", OF_THE_NODE))
            or any(disks.TEXT.search(line) for line in verdict.evidence if outcome is None),
            hung_there=verdict.cause is Cause.HANG and _hung_there(connection, attempt, verdict, at),
            memory_mb=resources.memory_mb,
            peak_memory_mb=outcome.peak_memory_mb if outcome else 0.0,
            retry_oom_factor=float(job.launching.options.get("retry_oom_mem", 0)),
            minutes=resources.minutes,
            sliced=attempt.pieces > 0,
        ),
        rules,
    )
    made: list[Entry] = [
        Ended(
            job=job.id,
            attempt=attempt.number,
            cause=decision.cause,
            then=decision.then.value,
            error=decision.error,
            not_before=at + decision.delay if decision.delay > timedelta() else None,
            evidence=verdict.evidence,
            decision=decision.sentence,
            node=verdict.node,
            checkpoint_step=step,
            memory_mb=decision.memory_mb,
            known=known(connection, [job.id]) if decision.then in FINAL else (),
            at=at,
        )
    ]
    if decision.cause is Cause.ERROR and not failure.ready and (alike or history):
        made.append(ClearStrikes(jobs=tuple(sorted({job.id, *(other for other, _ in alike)})), at=at))
    if decision.strike:
        struck = _blamed(attempt, verdict, decision.cause)
        mates = bundled.mates(connection, attempt.token, attempt.position, attempt.bundle)
        made += incidents.strikes(connection, struck, decision.cause, job.id, began, at, mates)
    return made


def returned(attempt: StoredAttempt, verdict: Returned, own: Sequence[Seen], at: datetime) -> Ended:
    """A bundle gave it back: it is queued again at once, without a budget, a strike or a count."""
    return Ended(
        job=attempt.job,
        attempt=attempt.number,
        cause=Cause.CANCELLED,
        then=JobState.QUEUED.value,
        evidence=verdict.evidence,
        decision=": ".join([bundled.GIVEN_BACK, *verdict.evidence[-1:]]),
        launched=verdict.ran,
        checkpoint_step=max([seen.checkpoint_step for seen in own], default=-1),
        at=at,
    )


def _failed_setup(verdict: Over) -> str | None:
    """The user's setup line that ended it, unless it is a check of the node: a wrong line is nobody else's fault."""
    if verdict.cause is not Cause.LAUNCH_FAILURE:
        return None
    return next((line for line in verdict.evidence if causes.is_wrong_setup(line)), None)


def _alike(
    connection: Connection, job: jobs.StoredJob, failure: policy.Failure, *, in_setup: bool
) -> list[tuple[int, str]]:
    """(job, node) of every start that failed by the same exception before it was ready, this one among them."""
    if failure.cause is not Cause.ERROR or failure.ready or failure.error is None:
        return []
    if in_setup:
        found = holdups.never_began(connection, job.id)
        return [
            *((other, node) for other, node, lines in found if failure.error in lines),
            *([(job.id, failure.node)] if failure.node else []),
        ]
    early = holdups.early_errors(connection, job.id, job.generation)
    nodes = (failure.node, *(node for _, node, _ in early))
    return [(other, node) for other, node, error in early if same_error(error, failure.error, nodes)]


def _history(connection: Connection, job: jobs.StoredJob) -> list[policy.Failure]:
    """This generation's earlier endings, oldest first; attempts that were never launched do not count."""
    runs = executions.of_job(connection, job.id)
    return [
        policy.Failure(
            cause=past.cause,
            node=past.node,
            error=_error_of(past, runs),
            ready=any(run.ready_at is not None for run in runs if run.attempt == past.number),
            checkpoint_step=past.checkpoint_step,
        )
        for past in attempts.of_job(connection, job.id)
        if past.generation == job.generation
        and past.state is AttemptState.ENDED
        and past.cause is not None
        and past.cause is not Cause.CANCELLED
    ]


def _error_of(past: StoredAttempt, runs: Sequence[StoredExecution]) -> str | None:
    """What its execution raised; where none began, the last line of what shows the cause."""
    mine = [run for run in runs if run.attempt == past.number]
    if not mine:
        return past.evidence[-1] if past.evidence else None
    return next((run.error for run in reversed(mine) if run.error), None)


def _blamed(attempt: StoredAttempt, verdict: Over, cause: Cause) -> tuple[str, ...]:
    """What a strike goes to: the node, or the local GPUs it had.

    The only host is never struck, and no GPU for a reboot or a kill: those end whatever ran, on every GPU alike.
    """
    if attempt.backend == BackendName.LOCAL:
        return tuple(slots.slot_gpus(attempt.slot)) if attempt.slot and cause in _OF_A_GPU else ()
    return (verdict.node,) if verdict.node else ()


def _hung_there(connection: Connection, attempt: StoredAttempt, verdict: Over, at: datetime) -> bool:
    """Whether something has hung at this place before: another job, or this one. A program that hangs wherever it runs
    is to blame itself."""
    here = set(_blamed(attempt, verdict, Cause.HANG))
    before = rhythms.hangs(connection, at - HANGS_TOGETHER)
    config = rhythms.config_of(connection, attempt.job)
    places = [
        (one.config, (one.node,) if not one.slot or one.slot.startswith("share/") else slots.slot_gpus(one.slot))
        for one in before
    ]
    own = here.union(*(where for which, where in places if which == config))
    return len(own) < policy.NODES_TO_BLAME_THE_PROGRAM and any(here.intersection(where) for _, where in places)


def _parts(attempt: StoredAttempt) -> int:
    """How many jobs a GPU of its slot, or of its task, was divided between."""
    if attempt.bundle:
        return gpu_parts(attempt.slot)
    return max((share.parts for share in slots.parse_slot(attempt.slot)), default=1) if attempt.slot else 1
