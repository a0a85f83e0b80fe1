"""The ledger: what entries say of every job, folded without a database. Pure.

It knows the same changes of state as db/applying.py, acceptance.py and minds.py, as far as they decide what counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from db.entries import (
    Accepted,
    Cancel,
    Correct,
    Dispatch,
    Drop,
    Ended,
    Entry,
    Import,
    Keep,
    Known,
    Lost,
    Retry,
    Submit,
)
from db.launching import Launching, Origin
from jobs.words import Cause, JobState
from orchestrator.claims.cells import of_template

What = Literal["cancelled", "dropped", "kept", "again", "superseded", "resubmitted", "failed", "corrected", "undone"]
OPEN = "open"
END = {"succeeded": "succeeded", "failed": "failed", "cancelled": "cancelled"}


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that was decided about a job, in file `n` of the journal."""

    n: int
    what: What
    known: Known | None = None
    """What could be seen at that moment, where the entry says it."""
    why: str = ""
    before: Mapping[str, float | None] = field(default_factory=dict)
    """The numbers that stopped counting."""


@dataclass(kw_only=True)
class Job:
    """One job, as the journal has it by now."""

    id: int
    study: str
    kind: str
    cell: str
    seed: int
    config: Mapping[str, Any]
    launching: Launching
    source: str = ""
    """The file that it was imported from."""
    state: str = OPEN
    attempts: int = 0
    metrics: Mapping[str, float | None] | None = None
    """Of the result that counts now; None without one."""
    dropped: str | None = None
    events: list[Event] = field(default_factory=list)

    def add(self, n: int, what: What, known: Iterable[Known] = (), why: str = "") -> None:
        mine = next((one for one in known if one.job == self.id), None)
        before = dict(self.metrics or {}) if what == "superseded" else {}
        self.events.append(Event(n=n, what=what, known=mine, why=why, before=before))


@dataclass(kw_only=True)
class Ledger:
    """All jobs that the entries tell of, and the files that were lost."""

    jobs: dict[int, Job] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)

    def of(self, study: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.study == study]


def fold(entries: Iterable[tuple[int, Entry]]) -> Ledger:
    """What (file, entry) in their order come to."""
    ledger = Ledger()
    for n, entry in entries:
        match entry:
            case Submit() | Import():
                _made(ledger, entry)
            case Lost():
                ledger.lost.append(entry)
            case Accepted() | Ended():
                if entry.job in ledger.jobs:
                    _ran(ledger.jobs[entry.job], n, entry)
            case Dispatch():
                for task in entry.tasks:
                    if task.job in ledger.jobs:
                        ledger.jobs[task.job].attempts = task.attempt
            case Correct():
                for one in entry.results:
                    job = ledger.jobs.get(one.job)
                    if job is not None and job.metrics is not None:
                        job.metrics = one.metrics
                        job.add(n, "corrected" if entry.rule else "undone")
            case Cancel() | Retry() | Drop() | Keep():
                for number in entry.jobs:
                    if number in ledger.jobs:
                        _minded(ledger.jobs[number], n, entry)
            case _:
                pass
    return ledger


def _made(ledger: Ledger, entry: Submit | Import) -> None:
    for item in entry.jobs if isinstance(entry, Submit) else entry.results:
        template = entry.templates[item.template]
        job = ledger.jobs[item.id] = Job(
            id=item.id,
            study=entry.study,
            kind=template.kind,
            cell=of_template(template),
            seed=item.seed,
            config=template.config,
            launching=template.launching,
        )
        if isinstance(entry, Import):
            failed = (template.launching.origin or Origin()).state == "failed"
            job.source = entry.source or "a file"
            job.state = "failed" if failed else "succeeded"
            job.metrics = None if failed else item.metrics  # type: ignore[union-attr]


def _ran(job: Job, n: int, entry: Accepted | Ended) -> None:
    if isinstance(entry, Accepted):
        job.state, job.metrics = "succeeded", entry.metrics
    elif entry.attempt == job.attempts and job.state == OPEN:
        job.state = END.get(entry.then, OPEN)
        if job.state == "failed":
            job.add(n, "failed", entry.known, entry.error or entry.cause)
        elif job.state == "cancelled":
            job.add(n, "cancelled", entry.known, "in the machines' queue")
        elif entry.launched and entry.cause is not Cause.CANCELLED:
            job.add(n, "resubmitted", why=entry.cause)


def _minded(job: Job, n: int, entry: Cancel | Retry | Drop | Keep) -> None:
    match entry:
        case Cancel():
            if job.state == OPEN:
                job.state = "cancelled"
                job.add(n, "cancelled", entry.known)
        case Drop():
            job.dropped = entry.because
            job.add(n, "dropped", entry.known, entry.because)
        case Keep():
            job.dropped = None
            job.add(n, "kept", entry.known)
        case Retry():
            if job.state == "succeeded" and entry.succeeded:
                job.add(n, "superseded", entry.known)
                job.state, job.metrics = OPEN, None
            elif job.state in ("failed", "cancelled"):
                job.add(n, "again", entry.known, job.state)
                job.state = OPEN


def stands(state: JobState) -> str:
    """A state of the database in the ledger's words: what has not ended is open."""
    return END.get(state, OPEN)
