"""The story of a job: what was decided (the journal), what changed (events) and what ran, in order of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection

from db import details, executions, journal
from db.entries import Accepted, Cancel, Drop, Entry, Import, Keep, Retry, Set, Submit
from jobs.errors import StoreError
from jobs.files import Unreadable

PERSON, SUPERVISOR, SEEN = "a person", "supervisor", "seen"
BY_A_PERSON = (Submit, Import, Cancel, Retry, Set, Drop, Keep)

_UNTOLD = frozenset({"type", "job", "jobs", "at", "cause", "attempt", "evidence", "started", "error"})
"""Fields of an entry that have a place of their own in a line, or are too long for one."""
_LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class Told:
    """One line of a story."""

    at: datetime
    source: str
    """journal, event or execution."""
    what: str
    attempt: int | None = None
    cause: str | None = None
    """A word of the causes, where something ended; else who or what it comes from."""
    file: int | None = None
    """Of the journal: the number of its file."""


def of_job(connection: Connection, folder: Path, job: int) -> list[Told]:
    """Everything of one job, oldest first; `folder`: the journal's. Raises BadInput for a job that is not there."""
    detail = details.get(connection, job)
    found = [*_decided(folder, job)]
    decided = {line.at: line.what.partition(":")[0] for line in found}
    for event in detail.events:
        before = f"{event.before} → " if event.before else ""
        what = f"{before}{event.after} (generation {event.generation})"
        cause = event.cause or decided.get(event.at, SEEN)
        found.append(Told(at=event.at, source="event", what=what, attempt=event.attempt or None, cause=cause))
    for run in executions.of_job(connection, job):
        name = f"execution {run.name}"
        found.append(
            Told(at=run.started_at, source="execution", what=f"{name} began on {run.node}", attempt=run.attempt)
        )
        if run.ready_at is not None:
            found.append(Told(at=run.ready_at, source="execution", what=f"{name} was ready", attempt=run.attempt))
        if run.ended_at is not None:
            how = f"{name} ended{', superseded' if run.superseded else ''}{f': {run.error}' if run.error else ''}"
            why = str(run.cause) if run.cause else None
            found.append(Told(at=run.ended_at, source="execution", what=how, attempt=run.attempt, cause=why))
    return sorted(found, key=lambda line: line.at)  # stable: a decision comes before what followed from it


def _decided(folder: Path, job: int) -> Iterator[Told]:
    """The entries that concern a job; a file that cannot be read is a line of the story."""
    at = datetime.min.replace(tzinfo=UTC)
    for number in journal.numbers(folder)[0]:
        try:
            file, _ = journal.load(journal.path_of(folder, number))
        except (OSError, Unreadable, StoreError) as error:
            yield Told(at=at, source="journal", what=f"this file cannot be read: {error}", file=number)
            continue
        spawned = any(isinstance(entry, Accepted) for entry in file.entries)
        for entry in file.entries:
            at = getattr(entry, "at", at)
            part = _part(entry, job)
            if part is not None:
                who = "spawned" if spawned and isinstance(entry, Submit) else PERSON
                line = _line(entry, part, at, number)
                yield replace(line, cause=line.cause or (who if isinstance(entry, BY_A_PERSON) else SUPERVISOR))


def _part(entry: Entry, job: int) -> Mapping[str, Any] | None:
    """What an entry says of a job besides what it says of all that it is about; None: nothing of this job."""
    if getattr(entry, "job", None) == job:
        return {}
    for name in ("jobs", "tasks", "results"):
        for item in getattr(entry, name, ()):
            if item == job:
                return {}
            if job in (getattr(item, "id", None), getattr(item, "job", None)):
                return dict(msgspec.structs.asdict(item))
    return None


def _changed(change: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry changes, one by one; a program's new code by its name alone."""
    found: dict[str, Any] = {}
    for name, value in change.items():
        if name == "code":
            found["code"] = (value or {}).get("snapshot")
        elif isinstance(value, Mapping):
            found |= _changed(value)
        elif value not in (None, "", [], ()):
            found[name] = value
    return {name: value for name, value in found.items() if value is not None}


def _line(entry: Entry, part: Mapping[str, Any], at: datetime, number: int) -> Told:
    """An entry in words: its name, then what it says."""
    told: dict[str, Any] = msgspec.to_builtins(entry)
    said = {
        name: value
        for name, value in {**told, **msgspec.to_builtins(dict(part))}.items()
        if name not in _UNTOLD and not isinstance(value, list | dict | tuple) and value not in (None, "", False)
    }
    said.pop("id", None)
    said |= _changed(told.get("change") or {})
    name = str(told["type"]).replace("_", " ")
    words = ", ".join(f"{key} {value}" for key, value in said.items())
    error = told.get("error")
    if error and error != told.get("decision"):
        words += f"; {error}"
    attempt = part.get("attempt", told.get("attempt"))
    what = f"{name}: {words}" if words else name
    return Told(
        at=at,
        source="journal",
        what=what[:_LONGEST],
        attempt=attempt if isinstance(attempt, int) else None,
        cause="success" if isinstance(entry, Accepted) else told.get("cause"),
        file=number,
    )
