"""Reading what executions wrote, and putting it into the store. Deciding comes afterwards (judging.py)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError

from db import executions, rhythms, usage
from db.attempts import StoredAttempt
from jobs.files import read_json
from jobs.layout import Layout
from jobs.records import Started
from jobs.words import Cause
from orchestrator.supervision import oddities
from orchestrator.supervision.seen import Seen

log = logging.getLogger(__name__)
REFUSED = (IntegrityError, DataError, InterfaceError, ValueError, ArithmeticError)
"""What the database, or its driver, says of a value that no column takes."""


class Ingestion:
    """Remembers what it has read, so that a cycle costs what changed."""

    def __init__(self, layout: Layout, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.layout = layout
        self.monotonic = monotonic
        self._seen: dict[tuple[int, int], dict[str, Seen]] = {}

    def look(self, attempts: Iterable[StoredAttempt]) -> dict[tuple[int, int], list[Seen]]:
        """The executions of those attempts, oldest first. Reads files, touches no database.

        An attempt whose folder cannot be listed now (a stale handle, a server that is down) is left out.
        """
        found = {}
        for attempt in attempts:
            key = (attempt.job, attempt.number)
            try:
                found[key] = self._look_at(attempt)
            except OSError as error:
                log.warning("the files of job %d, attempt %d cannot be read now: %s", *key, error)
        return found

    def _look_at(self, attempt: StoredAttempt) -> list[Seen]:
        known = self._seen.setdefault((attempt.job, attempt.number), {})
        for path in self.layout.executions(attempt.job, attempt.number):
            if path.name not in known:
                started = read_json(path / "started.json", Started)
                if started is None or oddities.stranger(started, attempt):
                    continue  # just made: it will be there at the next look; or odd, as doctor and explain say
                known[path.name] = Seen(
                    folder=path, started=started, heartbeat_at=self.monotonic(), monotonic=self.monotonic
                )
            seen = known[path.name]
            if not seen.settled():
                seen.refresh()
        return sorted(known.values(), key=lambda item: (item.started.restart, item.started.at, item.name))

    def forget(self, keep: Iterable[tuple[int, int]]) -> None:
        """Drop what is no longer looked at."""
        wanted = set(keep)
        self._seen = {key: value for key, value in self._seen.items() if key in wanted}


def unfinished(items: Sequence[Seen]) -> bool:
    """Whether any of an attempt's executions has more to read."""
    return any(seen.more for seen in items)


def last_look(items: Sequence[Seen]) -> None:
    """Nothing of this attempt runs any more: what its executions left is how far they came."""
    for seen in items:
        seen.look_at_progress(last=True)
        seen.look_at_usage(last=True)


def changed(found: dict[tuple[int, int], list[Seen]]) -> bool:
    """Whether any execution has news for the database."""
    return any(seen.changed for items in found.values() for seen in items)


def store(connection: Connection, attempt: int, items: Sequence[Seen]) -> None:
    """Put the news of an attempt's executions into the database (idempotent).

    What the store's own rules refuse is left out, with a warning: the others must not wait for it.
    """
    for seen in items:
        if not seen.changed:
            continue
        try:
            with connection.begin_nested():
                seen.row = _store(connection, attempt, seen)
        except REFUSED as error:
            log.warning("what %s holds cannot be stored: %s", seen.folder, getattr(error, "orig", None) or error)
            seen.changed, seen.lines = False, []


def _store(connection: Connection, attempt: int, seen: Seen) -> int:
    row = executions.began(connection, attempt, seen.name, seen.started)
    if seen.ready is not None:
        executions.is_ready(connection, row, seen.ready.at)
    executions.progressed(connection, row, seen.lines)
    executions.checkpointed(connection, row, seen.checkpoint_step, exact=seen.counts)
    if seen.usage is not None:
        usage.keep(connection, row, seen.usage)
    if seen.outcome is not None:
        executions.ended(connection, row, seen.outcome, cause_of(seen))
        if seen.outcome.rhythm is not None:
            rhythms.keep(connection, row, seen.outcome.rhythm)
    return row


def stored(found: dict[tuple[int, int], list[Seen]]) -> None:
    """After the commit: the news are in the database."""
    for items in found.values():
        for seen in items:
            if seen.row is not None:
                seen.changed = False
                seen.lines = []


def cause_of(seen: Seen) -> Cause:
    """What the outcome file says."""
    return seen.outcome.cause if seen.outcome is not None else Cause.LOST
