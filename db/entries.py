"""The journal's entries: every decision of a person or of orch, from which `orch rebuild` makes the database anew.

The database changes only by applying entries (db/applying.py), live and in a rebuild by the same code.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from db.changes import Altered, Change
from db.launching import Template
from db.layouts import Layouts
from db.restraints import Canary, Follow, Limits
from db.seals import Seal
from db.stopping import Look, Rule
from jobs.records import Architecture, Record, Started
from jobs.words import Cause


class NewJob(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One job of a Submit. `template` is an index into its templates; jobs behind `needs` wait."""

    id: int
    template: int
    seed: int
    key: str
    needs: tuple[int, ...] = ()
    tolerant: bool = False


class Submit(msgspec.Struct, frozen=True, kw_only=True, tag="submit"):
    study: str
    templates: tuple[Template, ...]
    jobs: tuple[NewJob, ...]
    at: datetime


class ImportedResult(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One row of an import: a job that ended elsewhere (by its template's origin: with a result, or failed)."""

    id: int
    template: int
    seed: int
    key: str
    metrics: dict[str, float | None]
    architecture: Architecture | None = None


class Import(msgspec.Struct, frozen=True, kw_only=True, tag="import"):
    study: str
    source: str
    templates: tuple[Template, ...]
    results: tuple[ImportedResult, ...]
    at: datetime


class Known(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What was known of a job at the moment of a decision about it: so a claim tells what the decider could see."""

    job: int
    epoch: int = -1
    """-1: it has reported none."""
    epochs: int = 0
    """Of how many; 0: nobody knows."""
    numbers: dict[str, float | None] = msgspec.field(default_factory=dict)
    """Those of its result, or of its newest execution so far; None: not finite."""


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel", omit_defaults=True):
    jobs: tuple[int, ...]
    known: tuple[Known, ...] = ()
    """Of those that have reported anything; so for all entries below. Empty in journals of earlier versions."""
    at: datetime


class Retry(msgspec.Struct, frozen=True, kw_only=True, tag="retry", omit_defaults=True):
    """Failed or cancelled jobs begin a new generation; `resume`: from their checkpoints.

    With `succeeded`, finished jobs too: their results are superseded by this entry.
    """

    jobs: tuple[int, ...]
    resume: bool = False
    succeeded: bool = False
    change: Change | None = None
    known: tuple[Known, ...] = ()
    at: datetime


class Set(msgspec.Struct, frozen=True, kw_only=True, tag="set", omit_defaults=True):
    """`orch set`: jobs run under other terms, from their next attempt on; what waits in a queue sooner (`Altered`)."""

    jobs: tuple[int, ...]
    change: Change
    in_place: bool = False
    """False in journals of earlier versions: this very entry took back what waited."""
    now: bool = False
    """What runs is stopped, and goes on under the new terms."""
    known: tuple[Known, ...] = ()
    at: datetime


class Drop(msgspec.Struct, frozen=True, kw_only=True, tag="drop", omit_defaults=True):
    """`orch drop`: out of every table, plot and statistic, still shown."""

    jobs: tuple[int, ...]
    because: str
    known: tuple[Known, ...] = ()
    at: datetime


class Keep(msgspec.Struct, frozen=True, kw_only=True, tag="keep", omit_defaults=True):
    """`orch keep`: a drop is taken back."""

    jobs: tuple[int, ...]
    known: tuple[Known, ...] = ()
    at: datetime


class DispatchedTask(msgspec.Struct, frozen=True, array_like=True):
    job: int
    attempt: int
    generation: int


class Dispatch(msgspec.Struct, frozen=True, kw_only=True, tag="dispatch", omit_defaults=True):
    """The intent of a submission: durable before sbatch or spawn."""

    token: str
    backend: str
    slot: str | None = None
    nice: int = 0
    tasks: tuple[DispatchedTask, ...]
    pieces: int = 0
    """Of a sliced job, alone in its submission: the tasks of the array; 0: a task for each job."""
    bundle: int = 0
    """So many of these tasks, in their order, are the list of one of SLURM's; 0: each has its own."""
    at: datetime


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag="accepted", omit_defaults=True):
    """A success that closes its job. It carries its execution's start, so that a rebuild can name the execution."""

    job: int
    attempt: int
    execution: str
    generation: int
    started: Started
    metrics: dict[str, float | None]
    architecture: Architecture | None = None
    flags: dict[str, str] = msgspec.field(default_factory=dict)
    rule: int = 0
    """By which rule the numbers were taken (jobs/metrics.py); 0: by an orch that did not say so."""
    at: datetime


class CorrectedResult(msgspec.Struct, frozen=True, array_like=True):
    """The numbers and remarks that a job's result has from now on."""

    job: int
    metrics: dict[str, float | None]
    flags: dict[str, str]


class Correct(msgspec.Struct, frozen=True, kw_only=True, tag="correct", omit_defaults=True):
    """Results whose numbers were taken by an older rule, read again from their run folders.

    With a `rule`, every result that was accepted before this entry has been looked at by that rule, and those named
    here were found wrong. Without one a person gave back (`orch correct --undo`) what had been accepted.
    """

    results: tuple[CorrectedResult, ...]
    rule: int = 0
    at: datetime


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended", omit_defaults=True):
    """An attempt ended without closing its job, and what was decided: `then` is the job's next state."""

    job: int
    attempt: int
    cause: Cause
    then: str
    error: str | None = None
    not_before: datetime | None = None
    evidence: tuple[str, ...] = ()
    decision: str = ""
    node: str | None = None
    checkpoint_step: int = -1
    memory_mb: int | None = None
    launched: bool = True
    """False: the machines never had it, so there is nothing to end there."""
    known: tuple[Known, ...] = ()
    """Where nothing follows: what the job had reported by then."""
    at: datetime


class Strike(msgspec.Struct, frozen=True, kw_only=True, tag="strike", omit_defaults=True):
    node: str
    cause: Cause
    job: int | None = None
    at: datetime


class ClearStrikes(msgspec.Struct, frozen=True, kw_only=True, tag="clear_strikes", omit_defaults=True):
    """`orch nodes --clear`; no names: all of them. With `jobs`: those that these jobs' failed launches gave."""

    nodes: tuple[str, ...] = ()
    jobs: tuple[int, ...] = ()
    at: datetime


class Gone(msgspec.Struct, frozen=True, kw_only=True, tag="gone"):
    """`orch nodes --gone`: a person declares a host dead. `evidence`: what was last heard of it."""

    host: str
    evidence: str
    at: datetime


class Named(msgspec.Struct, frozen=True, kw_only=True, tag="named"):
    """The store's id, given before its first mirror is begun: a mirror says whose it is."""

    store: str
    at: datetime


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True, tag="rebuilt", omit_defaults=True):
    """`orch rebuild --from`: this store was made of a mirror, and goes on in the place of the one that was mirrored."""

    source: str
    """The mirror, as a person wrote it."""
    store: str
    """The id that it has from now on."""
    was: str
    """The id of the mirrored store."""
    complete: int
    """Up to which journal file the mirror was complete."""
    attempts: dict[int, int] = msgspec.field(default_factory=dict)
    """Job → the highest number of an attempt that a folder or a token tells of: new ones are numbered above it."""
    jobs: int = 0
    """The highest id of a job that a folder tells of: new ones get ids above it."""
    at: datetime


class Lost(msgspec.Struct, frozen=True, kw_only=True, tag="lost", omit_defaults=True):
    """Stands for a journal file that a person went on without (`orch rebuild --accept-loss`).

    Later entries that do not follow without it are skipped; the ids of lost `jobs` are not given again.
    """

    file: int
    why: str
    jobs: tuple[int, ...] = ()
    results: tuple[int, ...] = ()
    """Jobs that are still there, without their result."""
    attempts: tuple[tuple[int, int], ...] = ()
    """(job, number), of jobs that are still there."""
    at: datetime | None = None
    """When a person accepted it; None where an earlier version wrote it."""


Entry = (
    Submit
    | Import
    | Cancel
    | Retry
    | Set
    | Altered
    | Drop
    | Keep
    | Limits
    | Canary
    | Follow
    | Layouts
    | Seal
    | Rule
    | Look
    | Dispatch
    | Accepted
    | Correct
    | Ended
    | Strike
    | ClearStrikes
    | Gone
    | Named
    | Rebuilt
    | Lost
)


class JournalFile(Record, frozen=True, kw_only=True):
    """`runs/journal/<n // 1000>/<n>.json`: what one transaction decided, applied in this order."""

    entries: tuple[Entry, ...]
    previous: str = ""
    """The hash of the file before it; empty in the first one, and in files of earlier versions."""
