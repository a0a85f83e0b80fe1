"""`orch logs`"""

from __future__ import annotations

import codecs
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.errors import BadInput
from orchestrator import text
from orchestrator.cli.jobs import is_one, shown, shown_option
from orchestrator.cli.options import open_store, store_option

if TYPE_CHECKING:
    from db.attempts import StoredAttempt
    from db.jobs import StoredJob
    from db.store import Store
    from orchestrator.settings import Settings
    from orchestrator.views.logreading import OwnLines

POLL_SECONDS = 0.3
LOOK_EVERY = 5
"""Polls between two looks for the job's end."""


@click.command()
@shown_option
@click.option("-f", "--follow", is_flag=True, help="Go on printing until the job ends.")
@click.option("--attempt", type=click.IntRange(min=1), help="Of this attempt (default: the newest; see 'orch show').")
@click.option("--stdout", is_flag=True, help="Only what it printed to stdout.")
@click.option("--stderr", is_flag=True, help="Only what it printed to stderr.")
@click.option("--rank", type=click.IntRange(min=0), help="Only of this process of a job with --launcher.")
@click.option("--raw", is_flag=True, help="Every byte as it was printed, for a terminal too, and submitit's own lines.")
@store_option
def command(
    jobs: tuple[str, ...],
    filters: tuple[str, ...],
    study: str | None,
    follow: bool,
    attempt: int | None,
    stdout: bool,
    stderr: bool,
    rank: int | None,
    raw: bool,
    store_path: Path | None,
) -> None:
    """What a job printed, each execution's output with its traceback; then what was printed around its worker.

    Of a job of several processes (--launcher) what rank 0 printed stands first.

    \b
    Example:
      orch logs 3
      orch logs 3-7 --stderr
      orch logs 3 -f --stderr
    """
    store, settings = open_store(store_path, looking=True)
    streams = [name for name, wanted in (("stdout", stdout), ("stderr", stderr)) if wanted] or ["stdout", "stderr"]
    printer = Printer(store, streams, raw, rank)
    ids = shown(store, settings, jobs, filters, study)
    if not follow:
        for job, (stored, found) in [(job, _read(store, job)) for job in ids]:
            if not is_one(jobs, filters):
                _title(f"job {job}")
            chosen = _choose(stored, found, attempt)
            if chosen is None or not printer.show(chosen) | printer.show_traceback(chosen):
                what = f"job {job} has" if rank is None else f"rank {rank} of job {job} has"
                click.echo(f"{what} printed nothing: it is {stored.state}, see 'orch explain {job}'", err=True)
        return
    if len(ids) != 1:
        raise BadInput(f"-f follows one job: name one by its id (got {len(ids)})")
    (job,) = ids
    try:
        _follow(store, settings, printer, job, attempt)
    except KeyboardInterrupt:
        click.echo(f"stopped reading: job {job} goes on", err=True)
        raise


def _follow(store: Store, settings: Settings, printer: Printer, job: int, attempt: int | None) -> None:
    from jobs.words import FINAL
    from orchestrator.views.looking import look

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
    """Writes what is new to stdout, with a line that says where it comes from whenever that changes after the first."""

    def __init__(self, store: Store, streams: Sequence[str], raw: bool, rank: int | None) -> None:
        from orchestrator.views.logreading import Reader

        self.layout = store.layout
        self.streams = streams
        self.raw = raw
        self.rank = rank
        self.reader = Reader()
        self._own: dict[Path, OwnLines] = {}
        self._decoders: dict[Path, codecs.IncrementalDecoder] = {}
        self._last: Path | None = None

    def show(self, attempt: StoredAttempt) -> bool:
        """Print everything new of an attempt; whether there was anything."""
        from orchestrator.views.logreading import parts

        any_new = False
        for part in parts(self.layout, attempt, self.streams, self.rank):
            while data := self.reader.new(part.path):
                if part.around and not self.raw:
                    data = self._without_own(part.path, data)
                if not data:
                    continue
                if part.path != self._last:
                    # What a program prints first stands first, without a line of ours before it.
                    if self._last is not None or part.around:
                        _title(part.title)
                    self._last = part.path
                self._print(part.path, data)
                any_new = True
        return any_new

    def _without_own(self, path: Path, data: bytes) -> bytes:
        from orchestrator.views.logreading import OwnLines

        return self._own.setdefault(path, OwnLines()).without(data)

    def _print(self, path: Path, data: bytes) -> None:
        """A program's output: as it is for a pipe or a file, made harmless for a terminal."""
        if self.raw or not sys.stdout.isatty():
            click.echo(data, nl=False)
            return
        decoder = self._decoders.setdefault(path, codecs.getincrementaldecoder("utf-8")("backslashreplace"))
        text.styled(sys.stdout).write(text.log(decoder.decode(data)))
        sys.stdout.flush()

    def show_traceback(self, attempt: StoredAttempt) -> bool:
        """The traceback, where the job's own output does not hold it; whether it was printed."""
        from orchestrator.views.logreading import traceback_of

        found = traceback_of(self.layout, attempt) if "stderr" in self.streams and not self.rank else None
        if found:
            _title("traceback of its outcome")
            click.echo(found.rstrip())
        return bool(found)


def _title(title: str) -> None:
    click.echo(click.style(f"── {text.plain(title)}", dim=True), file=text.styled(sys.stdout))
