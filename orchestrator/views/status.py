"""The view behind `orch status`: what is shown, in which order, and how much of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Any

import msgspec

from db.status import StatusRow
from db.text import parse_time
from jobs.reported import MISSING, Declared
from jobs.words import JobState
from orchestrator.tables.varying import encoded, given, is_house, program
from orchestrator.views import kindlines, restraints
from orchestrator.views.progress import Progress
from orchestrator.views.words import listed, plural

ORDER = (
    JobState.FAILED,
    JobState.RUNNING,
    JobState.SUBMITTED,
    JobState.QUEUED,
    JobState.WAITING,
    JobState.SUCCEEDED,
    JobState.CANCELLED,
)
"""The failing and the running first."""
OPEN = (JobState.RUNNING, JobState.SUBMITTED, JobState.QUEUED, JobState.WAITING)
TALL = 40


@dataclass(frozen=True, kw_only=True)
class SupervisorView:
    """Who supervises; `alive` False: its process is gone, or has not been heard of for a minute."""

    host: str
    pid: int
    alive: bool
    renewed_at: datetime | None = None
    late: str = ""
    """Since when a living one has not renewed its lease, as a sentence; empty where all is well."""

    def as_json(self) -> dict[str, object]:
        """`late`: it lives and has not renewed its lease for long."""
        renewed = None if self.renewed_at is None else self.renewed_at.isoformat()
        return {
            "host": self.host,
            "pid": self.pid,
            "alive": self.alive,
            "renewed_at": renewed,
            "late": bool(self.late),
        }


@dataclass(frozen=True, kw_only=True)
class JobLine:
    """One job as a line."""

    id: int
    kind: str
    seed: int
    state: JobState
    imported: bool = False
    cause: str | None = None
    error: str | None = None
    attempts: int = 0
    executions: int = 0
    not_before: datetime | None = None
    node: str | None = None
    progress: Progress | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    architecture: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    """What it was given, by name."""
    program: str = ""
    declared: Mapping[str, Declared] = field(default_factory=dict)
    """What a person declared of its metrics."""
    label: str = ""
    code_changed: bool = False
    dropped: str | None = None
    phase: str | None = None
    reason: str | None = None
    blocked_by: tuple[int, ...] = ()
    not_found: str = ""
    """Numbers that were declared, and that the finished job did not give."""
    behind: int | None = None
    """The canary that it waits for."""
    idle: str = ""
    """That its GPUs do nothing."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """The jobs of one state: those shown, and how many there are."""

    state: JobState
    lines: tuple[JobLine, ...]
    n: int


@dataclass(frozen=True, kw_only=True)
class StatusView:
    """All that `orch status` shows."""

    study: str
    counts: Mapping[JobState, int]
    kinds: Mapping[str, Mapping[JobState, int]]
    sections: tuple[Section, ...]
    supervisor: SupervisorView | None
    notes: tuple[str, ...]
    now: datetime
    dense: bool = False
    full: str = ""
    """Why the study sends nothing now."""
    in_vain: int = 0
    """Queued jobs that nothing sends before a person does something."""
    varying: tuple[str, ...] = ()
    """Names of what jobs of programs (and of other people's kinds) are given that is not the same everywhere."""
    seals: str = ""
    """Which of its jobs run a program that was rehearsed; empty where nothing ever was."""
    room: str = ""
    mirror: str = ""
    """How large the store is; empty where nobody has measured it."""

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def allocate(sizes: Mapping[JobState, int], lines: int) -> dict[JobState, int]:
    """How many jobs of each state are shown in so many lines: one of each, then the first ones more."""
    given = dict.fromkeys(ORDER, 0)
    left = lines
    for most in (1, 3, lines // 3, lines):
        for state in ORDER:
            more = min(min(sizes.get(state, 0), most) - given[state], left)
            if more > 0:
                given[state] += more
                left -= more
    return given


def is_dense(height: int) -> bool:
    """Whether a terminal is so low that headings and titles share a line."""
    return height < TALL


def fitting(
    size: tuple[int, int],
    kinds: Collection[str] | kindlines.Kinds,
    counts: Mapping[JobState, int],
    notes: Sequence[str],
) -> int:
    """How many jobs fit in (columns, lines).

    Besides them: a title, the kinds under a heading, one line for each state (tall: three; another one for headings of
    jobs that are not the house's), notes, the supervisor and the prompt.
    """
    width, height = size
    states = sum(1 for n in counts.values() if n)
    lines = sum(ceil((len(note) + 2) / width) for note in notes)
    if isinstance(kinds, Mapping) and kindlines.wide(kinds) > width:
        lines += len(kindlines.texts(kinds, ORDER, width)) - len(kinds) - 1
    others = [kind for kind in kinds if not is_house(kind)]
    headings = 1 if others and (is_dense(height) or len(others) < len(kinds)) else 0
    return max(3, height - 4 - len(kinds) - ((1 if is_dense(height) else 3) + headings) * states - lines)


def line(row: StatusRow, blocked: Mapping[int, Sequence[int]], progress: Progress | None = None) -> JobLine:
    """A row of the store as a line; `progress` is fresher than what the row says."""
    if progress is None and row.epoch is not None:
        progress = Progress(epoch=row.epoch, epochs=row.epochs or 0)
    config = msgspec.json.decode(row.config)
    return JobLine(
        id=row.id,
        kind=row.kind,
        seed=row.seed,
        state=JobState(row.state),
        imported=bool(row.imported),
        cause=row.cause,
        error=row.error,
        attempts=row.attempts,
        executions=row.executions,
        not_before=parse_time(row.not_before) if row.not_before else None,
        node=row.node,
        progress=progress,
        metrics=msgspec.json.decode(row.metrics) if row.metrics else {},
        architecture=row.architecture,
        given=given(config),
        program=program(config),
        declared=msgspec.json.decode(row.declared, type=dict[str, Declared]) if row.declared else {},
        label=row.label or str(config.get("name") or ""),
        code_changed=bool(row.code_changed),
        dropped=row.dropped,
        phase=row.phase,
        reason=row.reason,
        blocked_by=tuple(blocked.get(row.id, ())),
        not_found=msgspec.json.decode(row.flags).get(MISSING, "") if row.flags and MISSING in row.flags else "",
        behind=row.behind,
    )


OPEN_IN_SLURM = (JobState.SUBMITTED, JobState.RUNNING)
"""States in which the machines have a job: only then they say where it is, and why it waits or stands still."""


def as_json(row: StatusRow, blocked: Mapping[int, Sequence[int]], full: str = "") -> dict[str, Any]:
    """A job of the JSON contract. `full`: why its study sends nothing now."""
    held = row.reason if row.state in OPEN_IN_SLURM else None
    if row.state == JobState.QUEUED:
        held = full if row.behind is None else restraints.behind(row.behind, failed=row.id in blocked)
    return {
        "id": row.id,
        "kind": row.kind,
        "seed": row.seed,
        "state": row.state,
        "blocked": row.id in blocked,
        "cause": row.cause,
        "attempts": row.attempts,
        "executions": row.executions,
        "node": row.node,
        "epoch": row.epoch,
        "epochs": row.epochs,
        "metrics": msgspec.Raw(row.metrics.encode()) if row.metrics else {},
        "architecture": row.architecture,
        "error": row.error,
        "not_before": row.not_before,
        "code_changed": bool(row.code_changed),
        "phase": row.phase if row.state in OPEN_IN_SLURM else None,
        "reason": held or None,
        "dropped": row.dropped,
        "remarks": msgspec.Raw(row.flags.encode()) if row.flags else {},
        "parameters": encoded(row.config),
        "label": row.label or None,
    }


def waiting_for_a_supervisor(counts: Mapping[JobState, int], blocked: int) -> int:
    """Jobs that cannot go on or be seen to end without one."""
    return sum(counts.get(state, 0) for state in OPEN) - blocked


def supervisor_note(counts: Mapping[JobState, int], blocked: int, supervisor: SupervisorView | None) -> str | None:
    """Says what waits for a supervisor where none runs, and which command starts one."""
    if supervisor is not None and supervisor.alive:
        return supervisor.late or None
    waiting = waiting_for_a_supervisor(counts, blocked)
    if not waiting:
        return None
    gone = ""
    if supervisor is not None:
        gone = f" (the last one, pid {supervisor.pid} on {supervisor.host}, is gone)"
    verb = "waits" if waiting == 1 else "wait"
    return (
        f"no supervisor runs{gone}: {plural(waiting, 'job')} {verb} for one; "
        "'orch supervise' starts it here, and so does any 'orch submit' in the background"
    )


def blocked_note(blocked: Mapping[int, Sequence[int]], behind: Collection[int] = ()) -> str | None:
    """Says which jobs hold others up. `behind`: those that wait for a canary, of which others tell."""
    blocked = {job: roots for job, roots in blocked.items() if job not in behind}
    if not blocked:
        return None
    roots = sorted({root for behind in blocked.values() for root in behind})
    verb = "is" if len(blocked) == 1 else "are"
    which = "job" if len(roots) == 1 else "jobs"
    return (
        f"{plural(len(blocked), 'waiting job')} {verb} blocked by {which} {listed(roots)}: "
        f"mend the cause, then 'orch retry {roots[0]}'"
    )


def live_note(n: int, first: Sequence[int]) -> str | None:
    """Says which jobs run code that nobody kept."""
    if not n:
        return None
    which = ", ".join(map(str, first)) + (", …" if n > len(first) else "")
    verb = "runs" if n == 1 else "run"
    return f"{plural(n, 'job')} {verb} live code, as it is when a job starts (--code live): {which}"


def near_study(wanted: str, studies: Collection[str]) -> str:
    """The refusal of a study that nobody submitted to."""
    from difflib import get_close_matches

    near = get_close_matches(wanted, studies, n=1)
    if near:
        hint = f"did you mean '{near[0]}'?"
    elif studies:
        hint = f"there are {', '.join(studies)}"
    else:
        hint = "nothing was submitted to this store yet"
    return f"there is no study '{wanted}': {hint}"
