"""The interface that every backend has: plan what can go now, launch, find, observe all, cancel many.

Backends never touch the store. They are given plain values, and what they return is judged by the supervisor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from jobs.errors import BackendError, OrchError
from jobs.records import Manifest
from jobs.resources import InQueue, Resources
from jobs.words import BackendName, Cause
from slurm.pools import Pools

AttemptKey = tuple[int, int]
"""(job id, attempt number)."""
RowKey = tuple[int, int, int | None]
"""(job id, attempt number, piece)."""


class LaunchRefused(BackendError):
    """The machines will never take this submission as it stands; its text says what to change."""


class LimitReached(OrchError):
    """A limit of the queue or of the association: wait and try again, nothing is wrong with the jobs."""


class LaunchUncertain(OrchError):
    """Nobody knows whether the launch happened (an error after sbatch began): look it up by token later."""


class ObservationFailed(OrchError):
    """The machines did not answer; a failed query changes nothing."""


class Phase(StrEnum):
    """Where the machines say an attempt is."""

    PENDING = "pending"
    HELD = "held"
    RUNNING = "running"
    SUSPENDED = "suspended"
    """It has its node and stands still until somebody lets it go on."""
    COMPLETING = "completing"
    ENDED = "ended"
    """The machines have a final record of it."""
    ABSENT = "absent"
    """No source knows it (yet, or any more): by itself this proves nothing."""


@dataclass(frozen=True, kw_only=True)
class QueuedJob:
    """A job that may be dispatched now."""

    job: int
    resources: Resources
    device: str = "auto"
    checkpoints: bool = True
    """Resumes from checkpoints, so SLURM signals it before its limit."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the job: 'slurm' holds sbatch parameters by name, 'setup' shell lines, 'jobs_per_gpu', 'pack', ..."""
    avoid: frozenset[str] = frozenset()
    """Nodes (local: device names) that this job must not be sent to."""
    pieces: int = 0
    """SLURM: so many tasks of an array run it one after the other, each for `resources.minutes`; 0: one task does."""
    at_once: int = 1
    """SLURM: so many jobs like it run at a time in one task (docs/bundles.md); 1: it has a task of its own."""
    learnt_seconds: float = 0.0
    """The longest that jobs like it took; 0: none is known."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Jobs that go in one submission: one sbatch (an array where there is more than one), or one local spawn."""

    jobs: tuple[QueuedJob, ...]
    bundle: int = 0
    """SLURM: so many of these jobs, in their order, are the list of one task (docs/bundles.md); 0: one each."""
    at_once: int = 1
    """So many of a list run at a time."""
    learnt_seconds: float = 0.0
    """The longest that jobs like these took; 0: none is known."""
    slot: str | None = None
    """Local: the slot's name, e.g. 'cpu:0' or 'gpu:GPU-1f…:0'; the worker's lock and visible devices follow from it.
    Of a bundle whose GPUs are shared: 'share/4'."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What `launch` is given: the intent is already durable (manifest, attempts, journal) when it is called."""

    token: str
    folder: Path
    """`runs/submissions/<token>/`: manifest.json is there; submitit's folder goes below it."""
    manifest: Manifest
    batch: Batch
    exclude: frozenset[str] = frozenset()
    """Nodes with too many strikes."""

    @property
    def tasks(self) -> int:
        """How many tasks SLURM makes of it."""
        return self.batch.jobs[0].pieces or -(-len(self.batch.jobs) // max(1, self.batch.bundle))


@dataclass(frozen=True, kw_only=True)
class LiveAttempt:
    """An attempt that has not ended, as the store knows it."""

    job: int
    attempt: int
    token: str
    index: int
    size: int
    """Attempts in its submission: 1 means no array."""
    native_id: str | None
    """SLURM's job id of the submission (without the task), or the local worker's pid; None: not yet known."""
    slot: str | None
    running: bool
    submitted_at: datetime
    node: str | None = None
    pid: int | None = None
    process_start: float | None = None
    boot_id: str | None = None
    pieces: int = 0
    """Tasks of the array that run it one after the other (then `size` is 1); 0: it is no sliced one."""
    bundle: int = 0
    """So many of the submission's attempts, in their order, are the list of one task; 0: each has a task of its own."""
    leaving: bool = False
    """It ends by itself: only its pieces that wait are to be cancelled."""
    piece: int | None = None
    """Of one of those tasks, as the backend looks at them singly: which one."""

    @property
    def row_key(self) -> RowKey:
        """Of what SLURM has as a task of its own."""
        return self.job, self.attempt, self.piece

    @property
    def task(self) -> int | None:
        """The index that SLURM's array has for it; None: no array, or all the tasks of a sliced one."""
        if self.pieces:
            return self.piece
        return self.listed_in if self.size > max(1, self.bundle) else None

    @property
    def listed_in(self) -> int:
        """The index of the task that runs it, in an array or alone."""
        return self.index // self.bundle if self.bundle else self.index

    @property
    def key(self) -> AttemptKey:
        return self.job, self.attempt


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the machines say of one attempt."""

    phase: Phase
    node: str | None = None
    """Of several, the first one, where the worker is; of one that failed, the one to blame (None: nobody knows)."""
    nodes: frozenset[str] = frozenset()
    """All of them, where there are several."""
    cause: Cause | None = None
    """Only with ENDED, by the machines' own record (an outcome file is stronger evidence)."""
    reason: str = ""
    """While it waits: why, in plain words."""
    evidence: tuple[str, ...] = ()
    """Lines to show: the record as the machines gave it."""
    restarts: int | None = None
    returned: bool = False
    """With ENDED: the task that was to run it will not, and nothing counts against the job: it is sent another way."""
    previous: Observation | None = None
    """Of an attempt that SLURM requeued, told once per requeue: how the execution before ended (with its node)."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a queue has of an attempt now, as far as it can be changed there."""

    waits: bool
    """False: it runs, or is over."""
    over: bool = False
    terms: InQueue


class Launch(Protocol):
    """A launch that was begun; it may be in flight for a while, and nobody waits for it."""

    def poll(self) -> str | None:
        """The native id, once; None while it is in flight. Raises LaunchRefused, LimitReached or LaunchUncertain."""


@dataclass(frozen=True)
class Launched:
    """A launch that was over as it was begun."""

    native_id: str

    def poll(self) -> str:
        return self.native_id


class Backend(Protocol):
    """One module in `slurm/` each."""

    name: BackendName

    @property
    def launch_seconds(self) -> float:
        """So long after its begin a launch is over, whatever became of whoever began it."""

    def plan(self, queued: Sequence[QueuedJob], live: Sequence[LiveAttempt], exclude: frozenset[str]) -> list[Batch]:
        """Which queued jobs (given in order of priority) can go now, grouped into submissions."""

    def launch(self, submission: Submission) -> Launch:
        """Begin it, and wait for nobody. Raises LaunchRefused, LimitReached or LaunchUncertain, as `poll` does."""

    def find(self, intents: Sequence[Submission]) -> dict[str, str]:
        """Token → native id of those intents that did start (their pickles are repaired). Raises ObservationFailed."""

    def observe(self, live: Sequence[LiveAttempt]) -> dict[AttemptKey, Observation]:
        """One look at everything, however many attempts. Raises ObservationFailed.

        An attempt that is left out has no news: the source that could tell did not answer.
        """

    def others(self, live: Sequence[LiveAttempt]) -> list[tuple[str, int, bool]]:
        """(token, index, whether held) of what they have besides these, of this store or of others.

        SLURM may have forgotten an end, and begun a job again that was over. Raises ObservationFailed.
        """

    def cancel(self, live: Sequence[LiveAttempt]) -> None:
        """Ask the machines to end these; whether they did is seen by `observe`. Raises ObservationFailed."""

    def avoid(self, live: Sequence[LiveAttempt], exclude: frozenset[str]) -> None:
        """Keep pending attempts off these nodes from now on, and start requeued ones elsewhere at once.

        Called every cycle; asks the machines only where something changed. Raises ObservationFailed.
        """

    def standing(self, live: Sequence[LiveAttempt]) -> dict[AttemptKey, Standing]:
        """What the queue has of these; one that it does not know is left out. Raises ObservationFailed."""

    def alter(self, wanted: Sequence[tuple[LiveAttempt, InQueue]]) -> None:
        """Ask the queue to change what waits; whether it did is seen by `standing`. Raises ObservationFailed."""

    def pools(self) -> Pools:
        """The partitions and their nodes (local: one pool of devices). Raises ObservationFailed."""
