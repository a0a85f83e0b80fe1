"""`orch explain`: why a job waits, or why it ended and what orch did and will do, in sentences. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.text import Text

from db.attempts import StoredAttempt
from db.details import Detail
from jobs.words import FINAL, AttemptState, BackendName, Cause, JobState
from orchestrator.views import restraints
from orchestrator.views.job import progress_text, rests_text
from orchestrator.views.surroundings import HELD, Surroundings, alone, meanwhile
from orchestrator.views.words import CAUSES, clock, duration, listed, one_line, plural
from slurm.cluster import reasons

SUSPENDED = "suspended"


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """`why` says it; `evidence` shows it; `history` tells what orch did, `next` what it will do."""

    job: int
    state: JobState
    why: tuple[str, ...]
    evidence: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    next: str = ""

    def contract(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "job": self.job,
            "state": self.state,
            "why": list(self.why),
            "evidence": list(self.evidence),
            "history": list(self.history),
            "next": self.next,
        }


def explain(detail: Detail, around: Surroundings) -> Explanation:
    """The answer for a job in any state."""
    why, following = _REASONS[detail.job.state](detail, around)
    if around.canary is not None and around.canary.job == detail.job.id:
        why = [*why, restraints.of_the_canary(around.canary)]
    late = around.supervisor.late if around.supervisor is not None else ""
    if late and detail.job.state not in FINAL:
        why, following = [*why, late], meanwhile(detail, around, following)
    ended = [attempt for attempt in detail.attempts if attempt.state is AttemptState.ENDED]
    evidence: tuple[str, ...] = ()
    if ended and detail.job.state in (JobState.FAILED, JobState.QUEUED, JobState.CANCELLED):
        evidence = ended[-1].evidence
    rests = [f"its result rests on {text}" for text in rests_text(detail)]
    return Explanation(
        job=detail.job.id,
        state=detail.job.state,
        why=(*why, *around.slices, *rests, *around.odd),
        evidence=evidence,
        history=tuple(_told(attempt, detail, around.now) for attempt in ended),
        next=following,
    )


def _waiting(detail: Detail, around: Surroundings) -> tuple[list[str], str]:
    if detail.blocked_by:
        why = [f"it is blocked behind {plural(len(detail.blocked_by), 'job')}: {listed(detail.blocked_by)}"]
        for one in detail.needs:
            if one.id in detail.blocked_by:
                why.append(
                    f"job {one.id} ({one.kind}, seed {one.seed}) {one.state}: {one_line(one.error or 'no error')}"
                )
        first = detail.blocked_by[0]
        cancelled = any(one.id == first and one.state is JobState.CANCELLED for one in detail.needs)
        mend = "" if cancelled else "mend the cause and "
        return why, f"{mend}run 'orch retry {first}': when it succeeds, this job is queued"
    open_ones = [one for one in detail.needs if one.state is not JobState.SUCCEEDED]
    shown = [f"{one.id} ({one.kind}, {one.state})" for one in open_ones]
    why = [f"it waits for {plural(len(open_ones), 'job')}: {listed(shown)}"]
    return [*why, *alone(around)], "it is queued when they have succeeded"


def _queued(detail: Detail, around: Surroundings) -> tuple[list[str], str]:
    job, now = detail.job, around.now
    if around.canary is not None and job.behind == around.canary.job:
        why, following = restraints.explained(around.canary)
        return [*why, *([] if around.canary.failed else alone(around))], following
    full = restraints.of_study(around.limits)
    if full and around.limits is not None:
        following = (
            restraints.how_on(around.limits) if around.limits.stopped else "it is sent when another one has ended"
        )
        return [full, *([] if around.limits and around.limits.stopped else alone(around))], following
    last = detail.attempts[-1].decision if detail.attempts and detail.job.attempts else None
    decided = [last] if last else []
    why = list(decided)
    if job.not_before is not None and job.not_before > now:
        left = duration((job.not_before - now).total_seconds())
        why.append(f"it is held back until {clock(job.not_before, now)} (in {left}), so that a fault can pass")
    why += around.stopped
    if unsent := alone(around):
        return [*why, *unsent], "it is sent when a supervisor runs"
    leaving = [attempt for attempt in detail.attempts if attempt.doomed]
    if leaving:
        why.append(
            f"its attempt {leaving[-1].number} is not yet gone from {leaving[-1].node or leaving[-1].backend}: "
            "the next one starts when it is"
        )
    if around.slot:
        why.append(around.slot)
    if around.before:
        why.append(f"{plural(around.before, 'queued job')} {'comes' if around.before == 1 else 'come'} before it")
    why += _nodes(around)
    if why == decided:
        return [*why, "it is next"], "the supervisor sends it in a moment"
    return why, "it is sent as soon as that has passed"


def _submitted(detail: Detail, around: Surroundings) -> tuple[list[str], str]:
    attempt = detail.attempts[-1]
    since = duration((around.now - attempt.created_at).total_seconds())
    if attempt.native_id is None:
        return [
            f"attempt {attempt.number} was begun {since} ago, but its launch is not confirmed: "
            "the supervisor looks it up by its token"
        ], "it is adopted if it is found, and sent again if two good looks do not find it"
    if attempt.backend == BackendName.LOCAL:
        why = [f"its worker (pid {attempt.native_id}) was started {since} ago and has written nothing yet"]
        return ([*why, around.silent] if around.silent else why), ""
    name = native_name(attempt)
    reason = attempt.reason or "SLURM has not been asked about it yet"
    why = [f"SLURM has it as job {name} since {since}: {reason}", *_nodes(around)]
    if reasons.needs_a_person(reason):
        return why, (
            "nothing by itself: SLURM never starts it for that reason; mend it there, or give it other terms with "
            f"'orch set {detail.job.id}' and options like --time, --partition or --account"
        )
    if attempt.phase == HELD:
        return why, "a job that SLURM held after failed launches is released by orch; a person's hold is left alone"
    if detail.executions:
        why.append(f"it ran before: {plural(len(detail.executions), 'execution')}; it goes on from its checkpoint")
    return why, "SLURM starts it; orch need not be there for that"


def _running(detail: Detail, around: Surroundings) -> tuple[list[str], str]:
    attempt = detail.attempts[-1]
    newest = detail.executions[-1] if detail.executions else None
    where = attempt.node or "an unknown node"
    began = newest.started_at if newest else attempt.created_at
    since = duration((around.now - began).total_seconds())
    if attempt.phase == SUSPENDED:
        return [f"it stands still on {where}, where it began {since} ago", attempt.reason or "SLURM suspended it"], ""
    why = [f"it runs on {where} since {since}"]
    if newest is not None and newest.ready_at is None:
        why.append("it is not ready yet: it loads its data or has not done its first step")
    if around.progress is not None:
        why.append(progress_text(around.progress))
    if around.silent:
        why.append(around.silent)
    elif attempt.phase == "absent":
        why.append(
            f"but the machines do not see it any more ({attempt.absent} looks): {attempt.reason or 'no reason known'}"
        )
    return why, ""


def _succeeded(detail: Detail, around: Surroundings) -> tuple[list[str], str]:
    result = detail.result
    if detail.job.imported:
        return ["its result was imported"], ""
    accepted = next((one for one in detail.executions if result and one.id == result.execution), None)
    if accepted is None or result is None:
        return ["it succeeded"], ""
    why = [
        f"execution {accepted.name} of attempt {accepted.attempt} on {accepted.node} succeeded, "
        f"accepted {clock(result.accepted_at, around.now)}"
    ]
    others = sum(one.superseded for one in detail.executions)
    if others:
        why.append(f"{plural(others, 'other result')} of it came too: superseded, kept and never counted")
    return why, ""


def _failed(detail: Detail, around: Surroundings) -> tuple[list[str], str]:
    job = detail.job
    if job.imported:
        why = ["it failed elsewhere, and was imported so"] + ([one_line(job.error)] if job.error else [])
        return why, "nothing: submit it here to run it"
    cause = Cause(job.cause) if job.cause else None
    why = [f"it failed: {CAUSES[cause] if cause else 'no cause is known'}"]
    if job.error:
        why.append(one_line(job.error))
    behind = [one.id for one in detail.needed_by if one.state is JobState.WAITING]
    if behind:
        why.append(
            f"{plural(len(behind), 'job')} {'waits' if len(behind) == 1 else 'wait'} behind it: {listed(behind)}"
        )
    how = f"'orch logs {job.id}' shows what it printed; " if detail.executions else ""
    kept = any(one.checkpoint_step >= 0 for one in detail.executions)
    resumed = ", with --resume from its checkpoint" if kept else ""
    return why, f"nothing more by itself: {how}'orch retry {job.id}' runs it again from the start{resumed}"


def _cancelled(detail: Detail, around: Surroundings) -> tuple[list[str], str]:
    when = f" {clock(detail.job.updated_at, around.now)}"
    why = [f"it was cancelled{when}"]
    alive = [attempt for attempt in detail.attempts if attempt.doomed]
    if alive:
        why.append(f"attempt {alive[-1].number} is still being ended")
    return why, f"it stays so; 'orch retry {detail.job.id}' runs it again"


_REASONS = {
    JobState.WAITING: _waiting,
    JobState.QUEUED: _queued,
    JobState.SUBMITTED: _submitted,
    JobState.RUNNING: _running,
    JobState.SUCCEEDED: _succeeded,
    JobState.FAILED: _failed,
    JobState.CANCELLED: _cancelled,
}


def _nodes(around: Surroundings) -> list[str]:
    found = []
    for node, until in around.excluded.items():
        if node not in around.spared:
            found.append(f"node {node} is kept out until {clock(until, around.now)} ('orch nodes' says why)")
    if around.spared:
        found.append(
            f"{listed(sorted(around.spared))} had failures too, but too many nodes are out already: still used"
        )
    return found


def native_name(attempt: StoredAttempt) -> str:
    """SLURM's name of the task: '8_3' in an array."""
    return str(attempt.native_id) if attempt.task is None else f"{attempt.native_id}_{attempt.task}"


def _told(attempt: StoredAttempt, detail: Detail, now: datetime) -> str:
    runs = [one for one in detail.executions if one.attempt == attempt.number]
    where = f" on {attempt.node}" if attempt.node else ""
    end = attempt.ended_at or now
    took = duration((end - attempt.created_at).total_seconds())
    again = f", {plural(len(runs), 'execution')}" if len(runs) > 1 else ""
    text = (
        f"attempt {attempt.number}{where} ({clock(attempt.created_at, now)}, {took}{again}): {attempt.cause or 'ended'}"
    )
    return text + (f" → {attempt.decision}" if attempt.decision else "")


def render(found: Explanation, width: int) -> Text:
    """Sentences, then what shows them."""
    lines = [Text(f"job {found.job} is {found.state}", style="bold")]
    lines += [Text(f"  {one_line(sentence)}") for sentence in found.why]
    if found.next:
        lines.append(Text("next: ", style="bold").append(found.next, style="not bold"))
    if found.evidence:
        lines.append(Text("evidence", style="bold"))
        lines += [Text(f"  {one_line(text)}", style="dim") for text in found.evidence]
    if found.history:
        lines.append(Text("history", style="bold"))
        lines += [Text(f"  {one_line(text)}") for text in found.history]
    return Text("\n").join(lines)
