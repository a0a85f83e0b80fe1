"""Plain values that the store hands out to tables, views and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from db.seals import Standing
from jobs.records import Edge
from jobs.reported import Declared
from jobs.words import JobState


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """One job as tables see it, with its accepted result or without one yet.

    `config` is canonical (fields at their default left out). These config keys mean the same in every kind:
    `dataset`, `method` ('A', 'B' or absent), `search_epoch`, `search` (the search's job id), `repeat`, `match`,
    `architecture` ('vgg19' or absent), `pretrained`, `epochs`, `width`. `seed` is the replicate.
    """

    job: int
    study: str
    kind: str
    preset: str
    dataset: str
    seed: int
    state: JobState
    blocked: bool = False
    imported: bool = False
    exported: bool = False
    """An imported one that a job of orch elsewhere made: seed, search and repeat mean what they mean here."""
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """The result's numbers (test_accuracy in percent, params as a count, shortcuts, ...); empty without a result."""
    architecture: str | None = None
    """Hash of the set of edges; None where it is not known."""
    edges: tuple[Edge, ...] | None = None
    device_name: str = ""
    code: str = ""
    """orch's version, the program's snapshot or commit, and torch's version as it ran."""
    live: bool = False
    """It ran the live folder (`--code live`)."""
    code_changed: bool = False
    gpu_seconds: float | None = None
    """Summed over all executions; None where none has used a GPU, or nobody knows."""
    cpu_seconds: float | None = None
    """CPUs that it had times the time of its executions that have ended; None where none has, or nobody knows."""
    flags: Mapping[str, str] = field(default_factory=dict)
    declared: Mapping[str, Declared] = field(default_factory=dict)
    """What a person declared of a program's metrics: label, unit, digits, which way is better."""
    error: str = ""
    """Why it failed, in one line."""
    label: str = ""
    """A person's name for it (`--name`): no part of what it is."""
    experiment: str = ""
    """The experiment of a study file that it belongs to."""
    dropped: str | None = None
    """Why a person took it out of every table."""
    superseded: int | None = None
    """The generation whose result was set aside, where the job runs anew and has none yet."""
    rests_on: tuple[tuple[int, int], ...] = ()
    """(job, generation) of needed jobs that have run anew since this one read their results."""
    rests_on_dropped: tuple[tuple[int, str], ...] = ()
    """(job, reason) of needed jobs that a person dropped, where this one has a result."""
    resume: Standing | None = None
    """What a rehearsal said of its program, with the code that it ran."""
    rehearsing: bool = False
    """Whether anything was ever rehearsed in its store, and the job ran there: then `resume` None is worth a word."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The per-epoch numbers of one job's accepted (or, while it runs, newest) execution."""

    job: int
    kind: str
    seed: int
    config: Mapping[str, Any]
    points: tuple[tuple[int, Mapping[str, float | None]], ...]
    """(epoch, numbers), ascending, each epoch once."""
    label: str = ""
    """A person's name for the job (`--name`)."""
    last: Mapping[str, tuple[int, float | None]] = field(default_factory=dict)
    """Metric → (epoch, value) of the newest line that names it, whatever its epoch; None where that is not finite."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """One execution on a node, for the Gantt chart and `show`."""

    job: int
    kind: str
    seed: int
    attempt: int
    execution: str
    node: str
    started_at: datetime
    ended_at: datetime | None
    cause: str | None
