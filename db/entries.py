"""The journal's entries: every decision of a person or of orch, from which `orch rebuild` makes the database anew.

The database changes only by applying entries (db/applying.py), live and in a rebuild by the same code.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from jobs.kind import Asked, Resources
from jobs.records import Architecture, Fingerprint, Record, Started
from jobs.words import Cause


class Launching(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How jobs are run, outside the job key."""

    device: str = "auto"
    resources: Resources = Resources()
    asked: Asked = Asked()
    backend: str = "auto"
    cwd: str = ""
    data_dir: str | None = None
    fingerprint: Fingerprint | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict)


class Template(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the jobs of one submit share: kind, canonical config and launching."""

    kind: str
    kind_version: int
    preset: str
    config: dict[str, Any]
    dataset: str = ""
    launching: Launching = Launching()


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
    """One row of an import: a job that succeeded elsewhere."""

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


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    jobs: tuple[int, ...]
    at: datetime


class Retry(msgspec.Struct, frozen=True, kw_only=True, tag="retry"):
    """Failed or cancelled jobs begin a new generation; `resume`: from their checkpoints."""

    jobs: tuple[int, ...]
    resume: bool = False
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
    tasks: tuple[DispatchedTask, ...]
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


Entry = Submit | Import | Cancel | Retry | Dispatch | Accepted | Ended | Strike | ClearStrikes


class JournalFile(Record, frozen=True, kw_only=True):
    """`runs/journal/<n // 1000>/<n>.json`: what one transaction decided, applied in this order."""

    entries: tuple[Entry, ...]
