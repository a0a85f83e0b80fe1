"""Other terms for jobs that are not finished: `orch set`, a retry's options, a submit that is repeated with others.

They hold from the next attempt on, or sooner: what waits in SLURM's queue is changed there or sent again
(orchestrator/supervision/alterations.py), and `--now` stops what runs.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from db import jobs
from db.changes import Change
from db.entries import Set
from db.jobs import StoredJob
from db.minds import changed
from db.writer import Writer
from jobs import launchers
from jobs.bundles import OPTION as BUNDLE
from jobs.errors import BadInput
from jobs.kind import kind_named
from jobs.launchers import LAUNCHER, PER_NODE
from jobs.resources import Resources
from jobs.rhythm import OPTION
from jobs.words import BackendName, JobState
from orchestrator import terms
from orchestrator.jobids import ranges
from orchestrator.submitting import known, ranks, reporting, sealed
from orchestrator.submitting.planning import Launch
from orchestrator.submitting.request import Request
from orchestrator.supervision.machines import choose
from orchestrator.supervision.slicing import OPTION as SLICES

_UNITS = {"minutes": ("time", " min"), "memory_mb": ("memory", " MB"), "gpu_memory_mb": ("GPU memory", " MB")}


@dataclass(frozen=True, kw_only=True)
class Given:
    """Which jobs got other terms, and where they stood."""

    jobs: tuple[int, ...] = ()
    looked_at: int = 0
    """How many were meant; the others are run so already."""
    in_queue: tuple[int, ...] = ()
    """They wait in SLURM's queue."""
    running: tuple[int, ...] = ()
    unused: tuple[str, ...] = ()
    """sbatch parameters that mean nothing to some of them, since these run on this host."""

    def where(self, *, at_once: bool = False) -> str:
        """What becomes of those that were sent already, for a sentence; empty where there are none."""
        told = []
        if self.in_queue:
            told.append(f"job {ranges(self.in_queue)} in SLURM's queue: changed there, or taken back and sent again")
        if self.running and at_once:
            told.append(f"job {ranges(self.running)} running: stopped, and goes on from its checkpoint")
        elif self.running:
            ids = ranges(self.running)
            now = f"'orch set {ids.replace(', ', ' ')} --now' with the same options: at once"
            told.append(f"job {ids} running: from its next attempt on ({now})")
        return "; ".join(told)


def give(
    writer: Writer,
    found: Sequence[StoredJob],
    change: Change,
    at: datetime,
    looked: Mapping[int, known.Written],
    *,
    at_once: bool = False,
) -> Given:
    """Let these unfinished jobs be run so. One that is run so already is left alone. Raises BadInput.

    `looked`: what those that run have in their files (`known.look`).
    """
    if change.backend is not None:
        choose(change.backend)
    reporting.check_change(change, found)
    groups: dict[bytes, tuple[Change, bool, list[StoredJob]]] = {}
    for job in found:
        mine = checked(job, change)
        other = changed(job.launching, mine) != job.launching or (
            mine.asked.memory_mb is not None and job.memory_mb not in (None, mine.asked.memory_mb)
        )
        if other or change.priority not in (None, job.priority):
            key = msgspec.json.encode((mine, other))
            groups.setdefault(key, (mine, at_once and other, []))[2].append(job)
    entries = [
        Set(jobs=ids, change=mine, in_place=True, now=stop, known=known.of(writer, ids, looked), at=at)
        for mine, stop, these in groups.values()
        for ids in (tuple(job.id for job in these),)
    ]
    writer.decide(entries)
    if change.options.get(SLICES):
        sealed.check(writer.connection, jobs.get_many(writer.connection, [job.id for job in found]))
    touched = sorted((job for _, _, these in groups.values() for job in these), key=lambda job: job.id)
    sent = {job.id for job in touched if job.state is JobState.SUBMITTED and _on_slurm(job)}
    runs = {job.id for job in touched if job.state in (JobState.SUBMITTED, JobState.RUNNING)} - sent
    here = change.slurm and any(not _on_slurm(job) and change.backend != BackendName.SLURM for job in touched)
    return Given(
        jobs=tuple(job.id for job in touched),
        looked_at=len(found),
        in_queue=tuple(sorted(sent)),
        running=tuple(sorted(runs)),
        unused=terms.unused_here(change.slurm) if here else (),
    )


def _on_slurm(job: StoredJob) -> bool:
    return job.launching.backend == BackendName.SLURM


def checked(job: StoredJob, change: Change) -> Change:
    """The change as it is for this job: its own sbatch parameters that say the same are taken back. Raises BadInput."""
    launching = job.launching
    if change.asked.gpus == 0 and launching.device == "cuda":
        raise BadInput(f"job {job.id} was submitted with --device cuda: it cannot do without a GPU")
    if change.asked.gpus == 0 and job.preset == "report" and job.kind != "command" and launching.device == "auto":
        raise BadInput(
            f"job {job.id} is of preset 'report', which would take weeks without a GPU: submit it with --preset demo, "
            "or with --device cpu if you mean it"
        )
    if change.asked.gpus and launching.device == "cpu":
        raise BadInput(f"job {job.id} was submitted with --device cpu: it takes no GPU")
    change.asked.over(Resources(), device="auto")
    mine = _for_its_ranks(job, terms.with_rivals(reporting.over(change, launching.options), launching))
    after = changed(launching, mine)
    if {LAUNCHER, PER_NODE} & change.options.keys() or "nodes" in change.slurm or change.backend is not None:
        gpus = after.resources.gpus
        ranks.check(after.options, kind=job.kind, backend=after.backend, whose=f"job {job.id}: ", gpus=gpus)
    return mine


def _for_its_ranks(job: StoredJob, change: Change) -> Change:
    """With another number of processes on a node, so many times the usual; other CPUs and memory stay. Pure."""
    before, job_memory = job.launching, job.memory_mb
    gpus = before.asked.gpus if change.asked.gpus is None else change.asked.gpus
    had = launchers.ranks(before.options, before.asked.gpus or 0)
    gets = launchers.ranks({**before.options, **change.options}, gpus or 0)
    if had == gets:
        return change
    one = kind_named("command").resources(None)
    usual, wanted = launchers.for_all(one, had), launchers.for_all(one, gets)
    asked = change.asked
    if asked.cpus is None and before.resources.cpus == usual.cpus:
        asked = msgspec.structs.replace(asked, cpus=wanted.cpus)
    if asked.memory_mb is None and {before.resources.memory_mb, job_memory} <= {usual.memory_mb, None}:
        asked = msgspec.structs.replace(asked, memory_mb=wanted.memory_mb)
    return msgspec.structs.replace(change, asked=asked)


def check_environment(change: Change, jobs: Sequence[StoredJob]) -> None:
    """Raise BadInput for --env where a job has no environment of its own that it could be part of."""
    for job in jobs if change.env else ():
        if job.launching.surroundings is None:
            raise BadInput(
                f"job {job.id} ({job.kind}) runs without a kept environment: --env is for programs that were "
                "submitted with theirs"
            )


def named_label(request: Request) -> str:
    """What `--name` calls a program's jobs; of a kind that has such a setting it is one. Empty without."""
    return str(request.values.get("name") or "") if request.kind == "command" else ""


def named_terms(request: Request, launch: Launch) -> Change:
    """What the command names of how jobs are run."""
    named = {*request.options, *request.reported.options(), "stop_signal"} - {"slurm"}
    options = {name: value for name, value in launch.options.items() if name in named}
    return Change(
        asked=launch.asked,
        backend=launch.backend if request.backend_named else None,
        priority=request.priority,
        slurm=dict(launch.options.get("slurm") or {}),
        options=options,
        env=dict(request.env),
    )


def keep_theirs(change: Change, label: str, existing: Sequence[StoredJob]) -> list[str]:
    """What a repeated submit should say of what it names and does not change. Pure."""
    return [*_labels(label, existing), *(_environments(change, existing) if change.env else ())]


def _labels(label: str, existing: Sequence[StoredJob]) -> list[str]:
    """A label is no part of what a job is, and stays as it was given first."""
    kept: dict[str, list[int]] = {}
    for job in existing if label else ():
        if (mine := job.launching.label or str(job.config.get("name") or "")) != label:
            kept.setdefault(mine, []).append(job.id)
    return [
        f"--name {shlex.quote(label)} changes nothing of job{'s' * (len(ids) > 1)} {ranges(ids)}: "
        + (f"'{mine}' is the name that" if mine else "no name is what")
        + f" {'it was' if len(ids) == 1 else 'they were'} made with, and a name is no part of what a job is"
        for mine, ids in kept.items()
    ]


def _environments(change: Change, existing: Sequence[StoredJob]) -> list[str]:
    """What is said with --env of finished jobs: what they computed may rest on it."""
    given = {job.id: job.launching.surroundings.given for job in existing if job.launching.surroundings is not None}
    over = [job for job in existing if job.state is JobState.SUCCEEDED and job.id in given]
    kept = [job for job in over if {**given[job.id], **change.env} != given[job.id]]
    if not kept:
        return []
    shown = ranges([job.id for job in kept]).replace(", ", " ")
    named = " ".join(f"--env {shlex.quote(f'{name}={value}')}" for name, value in change.env.items())
    jobs, them = (
        ("1 finished job keeps its", "it") if len(kept) == 1 else (f"{len(kept)} finished jobs keep their", "them")
    )
    command = f"orch retry --succeeded {shown} {named}"
    if "'" in named:  # quotes around quotes could not be pasted
        return [f"{jobs} environment, and this runs {them} anew with yours: {command}"]
    return [f"{jobs} environment: '{command}' runs {them} anew with yours"]


def words(change: Change) -> str:
    """'time 480 min, memory 8192 MB, partition long'."""
    told = []
    for name, value in msgspec.structs.asdict(change.asked).items():
        if value is not None:
            what, unit = _UNITS.get(name, (name, ""))
            told.append(f"{what} {value}{unit}")
    for name, value in (("backend", change.backend), ("priority", change.priority)):
        if value is not None:
            told.append(f"{name} {value}")
    if (given := change.options.get(OPTION)) is not None:
        told.append(f"hang-after {'off' if given == 0 else f'{given:.0f} s' if given > 0 else 'as learnt'}")
    if (pieces := change.options.get(SLICES)) is not None:
        told.append(f"slices {'off' if pieces == 0 else f'of {pieces} min' if isinstance(pieces, int) else pieces}")
    if (many := change.options.get(BUNDLE)) is not None:
        told.append(f"bundle {many}" if many else "bundle off")
    for name, value in {**change.slurm, **change.options}.items():
        if value is not None and name not in ("minutes", OPTION, SLICES, BUNDLE):
            shown = ", ".join(value) if isinstance(value, dict | list) else value
            told.append(f"{name.replace('_', '-')}" + ("" if value is True else f" {shown}"))
    told += [f"--env {name}" for name in change.env]
    return ", ".join(told)
