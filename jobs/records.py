"""The files of a run folder, as typed records (docs/run-folder.md). Every one carries a format version."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from jobs.resources import InQueue, Resources
from jobs.rhythm import Rhythm
from jobs.words import Cause

FORMAT = 1
MOST_EPOCHS = 2**53
"""A larger number fits into no column, and is nobody's epoch."""
MOST_STEPS = 2**63 - 1
BLOCKS = 16
"""Conv blocks of VGG19, between which shortcuts lead."""

Name = Annotated[str, msgspec.Meta(max_length=1024, pattern=r"^[^\x00-\x20\x7f,\[\]]*\Z")]
"""Of a node, a token, an execution: it stands in commands and paths, so no separator, no range and no control."""
Number = Annotated[int, msgspec.Meta(ge=0, le=MOST_EPOCHS)]
Epoch = Annotated[int, msgspec.Meta(ge=-1, le=MOST_EPOCHS)]
NO_PLACE = -1
"""The epoch of a metric line that says none which can be used: its numbers count, and stand nowhere on the curve."""
Step = Annotated[int, msgspec.Meta(ge=-1, le=MOST_STEPS)]
"""-1: none yet. Of a program's checkpoints it is a time in nanoseconds."""
Pid = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e12)]  # thirty thousand years in seconds: more is no measurement

Edge = tuple[int, int]


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which code a job was submitted with: orch's version, a hash of its job code, and the working folder's git."""

    version: str
    source: str
    commit: str | None = None
    diff: str | None = None


class Code(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which code a program runs: a snapshot, and what lay around it at the submit."""

    snapshot: str = ""
    """Empty: the live folder (`--code live`, or a job of an earlier version)."""
    origin: str = ""
    """What lay in that tree besides: `code/origins/<hash>.json`; empty where the snapshot's record tells it."""
    paths: tuple[str, ...] = ()
    """Folders of the tree, relative to its root, that the program's Python imports from (src layouts, `.pth`)."""
    software: str | None = None
    """What was installed: `code/software/<hash>.json`."""
    commit: str | None = None
    """Of the submit (the snapshot's own is that of the submit that made it)."""
    dirty: bool = False
    patch: str = ""
    """The difference to that commit: `code/<patch>.patch`."""
    root: str | None = None
    """The tree's folder, as the snapshot's record has it: several folders may have the same content."""
    package: str = ""
    """Of a kind of another package: that package and its version, whose code is kept only in a source tree."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The environment of a program, as it was kept at the submit (jobs/node/environment.py)."""

    kept: dict[str, str] = msgspec.field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    """Names whose values are never written down: they come from where the worker starts."""
    given: dict[str, str] = msgspec.field(default_factory=dict)
    """`--env`."""
    file: str | None = None
    """A file of secrets, read on the node."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the files; unknown fields of a later minor version are ignored on reading."""

    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format > FORMAT:
            raise ValueError(f"written in format {self.format} by a newer orch")
        check_time(getattr(self, "at", None))


def check_time(at: datetime | None) -> None:
    """Raises ValueError for a time that no clock shows: it would fit into no calendar of another zone."""
    if at is not None and not 1970 <= at.year < 9999:
        raise ValueError(f"the year {at.year} is out of range")


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


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an attempt is run, besides its resources: no part of what the job is, and it may change between attempts."""

    device: str = "auto"
    cwd: str = ""
    data_dir: str | None = None
    fingerprint: Fingerprint | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    """checkpoint_every, stop_signal, sbatch parameters, oom factor, ..."""
    written: dict[str, str] = msgspec.field(default_factory=dict)
    """Parameters as they were first written, where that is not their canonical text."""
    code: Code | None = None
    surroundings: Surroundings | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt inside a submission's manifest."""

    job: Number
    attempt: Number
    generation: Number
    resources: Resources
    inputs: dict[str, str] = msgspec.field(default_factory=dict)
    """Job id (as text) → folder of its accepted execution, relative to `runs/`."""
    terms: int | None = None
    """Index into the manifest's terms; None in manifests of 0.1.0, whose terms stand in job.json."""
    resume: bool = True
    """False: begin anew (a retry after an error); checkpoints of earlier generations are not looked at."""
    rhythms: tuple[Rhythm, ...] = ()
    """What was learnt of earlier executions of the same config, one for each device."""
    anew: bool = False
    """Each execution begins from the start: its program was found wrong after resuming (docs/rehearse.md)."""
    pieces: int = 0  # tasks of the array that run this one attempt in turn (docs/slices.md); 0: it is not sliced


class Manifest(Record, frozen=True, kw_only=True):
    """`runs/submissions/<token>/manifest.json`: what a worker looks its task up in, by array index."""

    token: Name
    backend: str
    tasks: tuple[Task, ...]
    terms: tuple[Terms, ...] = ()
    created_at: datetime
    bundle: int = 0  # so many tasks, in their order, are the list of one index of the array; 0: one each
    at_once: int = 1  # so many of a list run at a time (docs/bundles.md)
    learnt_seconds: float = 0.0  # the longest that jobs like these took; 0: none is known


class QueueChange(Record, frozen=True, kw_only=True):
    """One line of a submission's `changes.jsonl`: what was changed of a waiting attempt in the machines' queue."""

    job: Number
    attempt: Number
    change: InQueue
    at: Moment


class Started(Record, frozen=True, kw_only=True):
    """`started.json`: written first by an execution, in its own folder."""

    job: Number
    attempt: Number
    generation: Number
    token: Name
    index: Number
    restart: Number
    node: Name
    host: Name
    pid: Pid
    process_start: float
    """Of the worker, seconds since the epoch, as psutil says it: tells a recycled pid."""
    boot_id: Name
    slurm_job: Name | None = None
    slots: str | None = None  # visible devices that orch gave it (local)
    code_changed: bool = False
    resumed_from: str | None = None
    at: Moment


class Ready(Record, frozen=True, kw_only=True):
    """`ready.json`: the data is loaded and the first step is done."""

    at: Moment
    checkpoint_step: Step = -1  # the step it resumed from; -1 where it began anew


class MetricLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of `metrics.jsonl`: the numbers of one epoch (or step of a command)."""

    epoch: Epoch
    epochs: Epoch = 0
    at: Moment
    values: dict[str, float | None]

    def __post_init__(self) -> None:
        check_time(self.at)


class Architecture(msgspec.Struct, frozen=True, kw_only=True):
    """A set of edges i→j over the 16 conv blocks, sorted (jobs/architectures.py has its arithmetic)."""

    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        for i, j in self.edges:
            if not 0 <= i <= j - 2 < BLOCKS - 2:
                raise ValueError(f"the shortcut {i}-{j} is not in the space")


class Spawn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job that a finished job asks for; ingestion enqueues it idempotently.

    `needs` are job ids, or "#k" for the k-th spawn of the same outcome.
    """

    kind: str
    seed: Number
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
    rule: int = 0
    """By which rule the result was taken from what a program wrote (jobs/metrics.py); 0: older than any."""
    architecture: Architecture | None = None
    architectures: dict[str, Architecture] = msgspec.field(default_factory=dict)
    """Read out at several epochs (search): epoch as text → architecture."""
    state: dict[str, Any] = msgspec.field(default_factory=dict)
    """What a later job needs of this one (evolution's population and random state)."""
    dataset: str | None = None
    error: str | None = None
    """The exception's last line."""
    node: Name = ""
    """Whose fault it was, of a job on several nodes; empty: the worker's own."""
    disk: str = ""
    """Which folder's disk was full or failing when it failed ('disk' where only the program's words say so)."""
    traceback: str | None = None
    epoch: Epoch = -1
    lines_follow: bool = False
    """Metric lines up to that epoch are still being written: the result did not wait for them."""
    checkpoint_step: Step = -1
    wall_seconds: Amount = 0.0
    gpu_seconds: Amount = 0.0
    peak_memory_mb: Amount = 0.0
    device: str = "cpu"
    device_name: str = ""
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    requeued: bool = False
    """It asked SLURM to requeue itself."""
    superseded: bool = False
    """It stopped because another execution's result was accepted or began after it."""
    spawn: tuple[Spawn, ...] = ()
    flags: dict[str, str] = msgspec.field(default_factory=dict)  # remarks that a table shows as footnotes
    rhythm: Rhythm | None = None
    """How often it gave a sign of life; None where it never did, or failed."""
    at: Moment

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.ending == "success") != (self.cause is Cause.SUCCESS):
            raise ValueError(f"its ending is {self.ending} and its cause is {self.cause}")


class Accepted(Record, frozen=True, kw_only=True):
    """`accepted.json` in the job's folder: a hint to other copies that the job is closed."""

    attempt: Number
    execution: Name
    generation: Number | None = None  # None where 0.1.0 wrote it: then the accepted execution's own files say it
    at: Moment
