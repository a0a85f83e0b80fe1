"""The files of a run folder, as typed records (docs/run-folder.md). Every one carries a format version."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from jobs.kind import Resources
from jobs.words import Cause

FORMAT = 1
MOST_EPOCHS = 2**53
"""A larger number fits into no column, and is nobody's epoch."""

Edge = tuple[int, int]


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which code a job was submitted with: orch's version, a hash of its job code, and the working folder's git."""

    version: str
    source: str
    commit: str | None = None
    diff: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the files; unknown fields of a later minor version are ignored on reading."""

    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format > FORMAT:
            raise ValueError(f"written in format {self.format} by a newer orch")


class JobFile(Record, frozen=True, kw_only=True):
    """`runs/<id // 1000>/<id>/job.json`: what the job is; never changed."""

    id: int
    study: str
    kind: str
    kind_version: int
    seed: int
    config: dict[str, Any]
    """The canonical config: fields at their default are left out."""
    preset: str
    key: str
    needs: tuple[int, ...] = ()
    device: str = "auto"
    """auto, cpu or cuda."""
    resources: Resources = Resources()
    cwd: str = ""
    data_dir: str | None = None
    fingerprint: Fingerprint | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    """How to run it, not what it is (outside the job key): checkpoint_every, sbatch parameters, oom factor, ..."""
    created_at: datetime


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt inside a submission's manifest."""

    job: int
    attempt: int
    generation: int
    resources: Resources
    inputs: dict[str, str] = msgspec.field(default_factory=dict)
    """Job id (as text) → folder of its accepted execution, relative to `runs/`."""
    resume: bool = True
    """False: begin anew (a retry after an error); checkpoints of earlier generations are not looked at."""


class Manifest(Record, frozen=True, kw_only=True):
    """`runs/submissions/<token>/manifest.json`: what a worker looks its task up in, by array index."""

    token: str
    backend: str
    tasks: tuple[Task, ...]
    created_at: datetime


class Started(Record, frozen=True, kw_only=True):
    """`started.json`: written first by an execution, in its own folder."""

    job: int
    attempt: int
    generation: int
    token: str
    index: int
    restart: int
    node: str
    host: str
    pid: int
    process_start: float
    """Of the worker, seconds since the epoch, as psutil says it: tells a recycled pid."""
    boot_id: str
    slurm_job: str | None = None
    slots: str | None = None
    """Visible devices that orch gave it (local)."""
    code_changed: bool = False
    resumed_from: str | None = None
    at: datetime


class Ready(Record, frozen=True, kw_only=True):
    """`ready.json`: the data is loaded and the first step is done."""

    at: datetime
    checkpoint_step: int = -1
    """The step it resumed from; -1 where it began anew."""


class MetricLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of `metrics.jsonl`: the numbers of one epoch (or step of a command)."""

    epoch: Annotated[int, msgspec.Meta(ge=-1, le=MOST_EPOCHS)]
    epochs: Annotated[int, msgspec.Meta(ge=-1, le=MOST_EPOCHS)] = 0
    at: datetime
    values: dict[str, float | None]


class Architecture(msgspec.Struct, frozen=True, kw_only=True):
    """A set of edges i→j over the 16 conv blocks, sorted; (jobs/space.py has its arithmetic)."""

    edges: tuple[Edge, ...]


class Spawn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job that a finished job asks for; ingestion enqueues it idempotently.

    `needs` are job ids, or "#k" for the k-th spawn of the same outcome.
    """

    kind: str
    seed: int
    config: dict[str, Any]
    needs: tuple[str, ...] = ()
    tolerate_failure: bool = False
    """Whether this job starts even where a needed one failed (it then sees no input of it)."""


class Outcome(Record, frozen=True, kw_only=True):
    """`outcome.json`: how an execution ended, written last.

    `success` closes the job; `failure` counts only when no copy is alive; `interrupted` stopped at a step boundary on
    a signal, with its checkpoint, and goes on in another execution.
    """

    ending: Literal["success", "failure", "interrupted"]
    cause: Cause
    result: dict[str, float | None] = msgspec.field(default_factory=dict)
    architecture: Architecture | None = None
    architectures: dict[str, Architecture] = msgspec.field(default_factory=dict)
    """Read out at several epochs (search): epoch as text → architecture."""
    state: dict[str, Any] = msgspec.field(default_factory=dict)
    """What a later job needs of this one (evolution's population and random state)."""
    dataset: str | None = None
    error: str | None = None
    """The exception's last line."""
    traceback: str | None = None
    epoch: int = -1
    checkpoint_step: int = -1
    wall_seconds: float = 0.0
    gpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    device: str = "cpu"
    device_name: str = ""
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    requeued: bool = False
    """It asked SLURM to requeue itself."""
    superseded: bool = False
    """It stopped because another execution's result was accepted or began after it."""
    spawn: tuple[Spawn, ...] = ()
    flags: dict[str, str] = msgspec.field(default_factory=dict)
    """Remarks that a table shows as footnotes (e.g. match: 'nearest of 100000 draws')."""
    at: datetime


class Accepted(Record, frozen=True, kw_only=True):
    """`accepted.json` in the job's folder: a hint to other copies that the job is closed."""

    attempt: int
    execution: str
    at: datetime
