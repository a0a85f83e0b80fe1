"""`orch logs`"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.errors import BadInput
from orchestrator.cli.options import open_store, store_option

if TYPE_CHECKING:
    from db.attempts import StoredAttempt
    from db.jobs import StoredJob
    from db.store import Store
    from orchestrator.settings import Settings

POLL_SECONDS = 0.3
LOOK_EVERY = 5
"""Polls between two looks for the job's end."""


@click.command()
@click.argument("job", type=int)
@click.option("-f", "--follow", is_flag=True, help="Go on printing until the job ends.")
@click.option("--attempt", type=click.IntRange(min=1), help="Of this attempt (default: the newest; see 'orch show').")
@click.option("--stdout", is_flag=True, help="Only what it printed to stdout.")
@click.option("--stderr", is_flag=True, help="Only what it printed to stderr.")
@store_option
def command(job: int, follow: bool, attempt: int | None, stdout: bool, stderr: bool, store_path: Path | None) -> None:
    """What a job printed: before its worker began, and then its executions, with their traceback.

    \b
    Example:
      orch logs 3
      orch logs 3 -f --stderr
    """
    store, settings = open_store(store_path)
    streams = [name for name, wanted in (("stdout", stdout), ("stderr", stderr)) if wanted] or ["stdout", "stderr"]
    printer = Printer(store, streams)
    if not follow:
        stored, found = _read(store, job)
        chosen = _choose(stored, found, attempt)
        if chosen is None or not printer.show(chosen) | printer.show_traceback(chosen):
            click.echo(f"job {job} has printed nothing: it is {stored.state}, see 'orch explain {job}'", err=True)
        return
    try:
        _follow(store, settings, printer, job, attempt)
    except KeyboardInterrupt:
        click.echo(f"stopped reading: job {job} goes on", err=True)
        raise


def _follow(store: Store, settings: Settings, printer: Printer, job: int, attempt: int | None) -> None:
    from jobs.words import FINAL
    from orchestrator.looking import look

    shown = False
    polls = 0
    while True:
        if polls % LOOK_EVERY == 0:
            look(store, settings)
        stored, found = _read(store, job)
        chosen = _choose(stored, found, attempt)
        new = chosen is not None and printer.show(chosen)
        shown = shown or new
        over = stored.state in FINAL or (chosen is not None and attempt is not None and chosen.state == "ended")
        if over and not new:
            break
        if not shown and polls == 0:
            click.echo(f"job {job} is {stored.state} and has printed nothing yet", err=True)
        if not over:
            time.sleep(POLL_SECONDS)
        polls += 1
    if chosen is not None:
        printer.show_traceback(chosen)
    why = f": {stored.error}" if stored.error else ""
    click.echo(f"job {job} is {stored.state}{why}", err=True)


def _read(store: Store, job: int) -> tuple[StoredJob, Sequence[StoredAttempt]]:
    from db import attempts, jobs

    with store.read() as connection:
        return jobs.get(connection, job), attempts.of_job(connection, job)


def _choose(job: StoredJob, found: Sequence[StoredAttempt], number: int | None) -> StoredAttempt | None:
    """The attempt to show. Raises BadInput."""
    if job.imported:
        raise BadInput(f"job {job.id} was imported: it never ran here, so it printed nothing")
    if number is None:
        return found[-1] if found else None
    for attempt in found:
        if attempt.number == number:
            return attempt
    have = f"it has 1 to {len(found)}" if len(found) > 1 else "it has only attempt 1" if found else "it has none yet"
    raise BadInput(f"job {job.id} has no attempt {number}: {have}")


class Printer:
    """Writes what is new to stdout, with a line that says where it comes from whenever that changes."""

    def __init__(self, store: Store, streams: Sequence[str]) -> None:
        from orchestrator.logreading import Reader

        self.layout = store.layout
        self.streams = streams
        self.reader = Reader()
        self._last: Path | None = None

    def show(self, attempt: StoredAttempt) -> bool:
        """Print everything new of an attempt; whether there was anything."""
        from orchestrator.logreading import parts

        any_new = False
        for part in parts(self.layout, attempt, self.streams):
            while data := self.reader.new(part.path):
                if part.path != self._last:
                    self._last = part.path
                    click.echo(click.style(f"── {part.title}", dim=True))
                click.echo(data, nl=False)
                any_new = True
        return any_new

    def show_traceback(self, attempt: StoredAttempt) -> bool:
        """The traceback, where the job's own output does not hold it; whether it was printed."""
        from orchestrator.logreading import traceback_of

        text = traceback_of(self.layout, attempt) if "stderr" in self.streams else None
        if text:
            click.echo(click.style("── traceback of its outcome", dim=True))
            click.echo(text.rstrip())
        return bool(text)
