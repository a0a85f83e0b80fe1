"""Making the database anew from `runs/`: the journal is a redo log, so an empty database catches up with all of it.

Where the journal is not whole, that loses decisions: it is refused, with what is lost, until a person accepts it.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from db import audit, journal, lease
from db.admission import admit
from db.audit import Fault, Held
from db.entries import JournalFile, Lost
from db.journal import JournalDamaged, path_of
from db.store import Store
from jobs.errors import StoreError
from jobs.files import fsync_folder, names, now, read_json
from jobs.layout import Layout
from jobs.records import JobFile, Started

log = logging.getLogger(__name__)

SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a database holds of what must not be lost."""

    jobs: frozenset[int] = frozenset()
    results: frozenset[int] = frozenset()
    attempts: frozenset[tuple[int, int]] = frozenset()
    held: Held | None = None


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What the journal does not tell any more: its files, and what went with them."""

    folder: Path
    faults: tuple[Fault, ...]
    jobs: tuple[int, ...] = ()
    results: tuple[int, ...] = ()
    """Jobs that are still there, without their result."""
    attempts: tuple[tuple[int, int], ...] = ()
    """(job, number) of jobs that are still there: what ran in them is not counted."""

    def text(self) -> str:
        """In words: which files, which jobs."""
        said = []
        if self.jobs:
            said.append(f"{'job' if len(self.jobs) == 1 else 'jobs'} {_listed(self.jobs)}")
        if self.results:
            said.append(f"the result of job {_listed(self.results)}")
        if self.attempts:
            said.append(f"attempt {_listed(f'{number} of job {job}' for job, number in self.attempts)}")
        what = f"; lost with that: {', '.join(said)}" if said else "; no job is lost with that"
        return audit.describe(self.folder, self.faults) + what


def _listed(items: Iterable[object]) -> str:
    words = [str(item) for item in items]
    return ", ".join(words[:SHOWN]) + (f" and {len(words) - SHOWN} more" if len(words) > SHOWN else "")


def rebuild(root: Path, *, accept_loss: bool = False) -> Store:
    """Replace `orch.db` by one made from the journal, once that is there; the old one is kept beside it.

    What executions wrote is read afterwards by ingestion, as in live use. Raises StoreError; JournalDamaged where
    something would be lost and is not accepted: then nothing has changed.
    """
    admit(root, looking=False)
    layout = Layout(root)
    before = known(root)
    try:
        found = audit.examine(layout.journal, before.held)
        if not found.faults and found.last == 0 and not layout.jobs():
            raise StoreError(f"{root} has no journal to rebuild from: name another store with --store")
        if found.tail is not None:
            path = path_of(found.folder, found.tail.number)
            log.warning("%s was torn and never counted: set aside as %s", path, journal.set_aside(path).name)
        with tempfile.TemporaryDirectory(prefix=".rebuild-", dir=root) as place:
            made, loss = _try(layout, before, found.losses, Path(place))
            if loss is not None:
                if not accept_loss:
                    raise JournalDamaged(
                        f"{loss.text()}: restore it from a backup, or go on without it: 'orch rebuild --accept-loss'"
                    )
                _accept(layout, loss)
                log.warning("went on without what is lost: %s", loss.text())
                made = _build(layout, (), Path(place) / "again")
            lease.begin_beyond(made, int(now().timestamp()))
            made.close()
            _move(layout.database, layout.database.with_name(f"orch.db.before-rebuild-{now():%Y%m%dT%H%M%S}"))
            _move(made.layout.database, layout.database)
    except OSError as error:
        name = error.filename or layout.journal
        raise StoreError(f"{name} stands in the way of a rebuild: {error.strerror}; mend that, then repeat") from None
    return Store(root)


def from_journal(layout: Layout, place: Path) -> Store:
    """A store in `place` that knows what the journal of `layout` tells, and nothing of its run folders.

    Raises JournalDamaged where a file does not follow from those before it, OSError.
    """
    try:
        return _build(layout, (), place)
    except _Refused as refused:
        raise JournalDamaged(audit.describe(layout.journal, [refused.fault])) from None


def move_in(made: Store, layout: Layout) -> Store:
    """Let that database be the one of `layout`. Raises OSError."""
    lease.begin_beyond(made, int(now().timestamp()))
    made.close()
    _move(made.layout.database, layout.database)
    return Store(layout.root)


def known(root: Path) -> Known:
    """What the database that is there holds; nothing where it is missing or damaged."""
    try:
        return _known(Store(root))
    except StoreError:
        return Known()


def _known(store: Store) -> Known:
    with store.read() as connection:
        jobs = connection.exec_driver_sql("SELECT id FROM job")
        results = connection.exec_driver_sql("SELECT job_id FROM result")
        attempts = connection.exec_driver_sql("SELECT job_id, number FROM attempt")
        return Known(
            jobs=frozenset(int(row[0]) for row in jobs),
            results=frozenset(int(row[0]) for row in results),
            attempts=frozenset((int(row[0]), int(row[1])) for row in attempts),
            held=audit.held(connection),
        )


def _try(layout: Layout, before: Known, faults: tuple[Fault, ...], place: Path) -> tuple[Store, Loss | None]:
    """A database made without those files (and without others that turn out not to follow), and what it lacks."""
    while True:
        try:
            made = _build(layout, faults, place / str(len(faults)))
        except _Refused as refused:
            faults = tuple(sorted((*faults, refused.fault), key=lambda fault: fault.number))
        else:
            return made, _loss(layout, before, _known(made), faults)


def _loss(layout: Layout, before: Known, after: Known, faults: tuple[Fault, ...]) -> Loss | None:
    """What the new database lacks of what the old one, or the run folders, show to have been there."""
    ran = {(job, number) for job in layout.jobs() for number in layout.attempts(job)}
    folders = {job for job in layout.jobs() if job not in after.jobs and is_job(layout, job)}
    jobs = (before.jobs | folders) - after.jobs
    unknown = {key for key in (ran | before.attempts) - after.attempts if key[0] in after.jobs}
    attempts = {key for key in unknown if key in before.attempts or _has_begun(layout, *key)}
    results = before.results - after.results - jobs
    if not (faults or jobs or attempts or results):
        return None
    if not faults:
        last = max(journal.numbers(layout.journal)[0], default=0)
        faults = (Fault(number=last + 1, why="and perhaps later ones are missing: what they decided has run"),)
    return Loss(
        folder=layout.journal,
        faults=faults,
        jobs=tuple(sorted(jobs)),
        results=tuple(sorted(results)),
        attempts=tuple(sorted(attempts)),
    )


def is_job(layout: Layout, job: int) -> bool:
    """Whether its folder says that there was such a job: anything may lie in `runs/`."""
    found = read_json(layout.job(job) / "job.json", JobFile)
    return found is not None and found.id == job


def _has_begun(layout: Layout, job: int, attempt: int) -> bool:
    found = [read_json(path / "started.json", Started) for path in layout.executions(job, attempt)]
    return any(one is not None and (one.job, one.attempt) == (job, attempt) for one in found)


class _Refused(Exception):
    """A file that does not follow from those before it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.why)
        self.fault = fault


def _build(layout: Layout, faults: Sequence[Fault], place: Path) -> Store:
    """A store in `place` whose database is made from the journal without those files. Raises _Refused, OSError."""
    bad = {fault.number: fault for fault in faults}
    last = max([*journal.numbers(layout.journal)[0], *bad], default=0)
    made = Store(place, create=True)
    with made.write() as writer:
        for number in range(1, last + 1):
            if number in bad:
                writer.replay(JournalFile(entries=(Lost(file=number, why=bad[number].why),)), "")
                continue
            path = path_of(layout.journal, number)
            file, digest = journal.load(path)
            try:
                writer.replay(file, path.name)
            except JournalDamaged as error:
                raise _Refused(Fault(number=number, why=error.why)) from None
            writer.hold(number, digest)
    return made


def _accept(layout: Layout, loss: Loss) -> None:
    """Let the journal say what is lost, so that it is whole again and every later rebuild agrees. Raises OSError.

    Nothing is deleted: damaged files and the run folders of what is lost stay under other names.
    """
    at = now()
    stamp = f"{at:%Y%m%dT%H%M%S}"
    for path in [layout.job(job) for job in loss.jobs] + [layout.attempt(*key) for key in loss.attempts]:
        if path.is_dir():
            path.rename(path.with_name(f"{path.name}.lost-{stamp}"))
            fsync_folder(path.parent)
    for fault in loss.faults:
        path = path_of(layout.journal, fault.number)
        if path.name in names(path.parent):
            journal.set_aside(path)
        entry = Lost(file=fault.number, why=fault.why, at=at)
        if fault is loss.faults[-1]:
            entry = structs.replace(entry, jobs=loss.jobs, results=loss.results, attempts=loss.attempts)
        previous = journal.present_hash(layout.journal, fault.number - 1)
        journal.write(layout.journal, fault.number, JournalFile(entries=(entry,), previous=previous))


def _move(source: Path, target: Path) -> None:
    """A database with its write-ahead log."""
    for suffix in ("", "-wal", "-shm"):
        part = Path(f"{source}{suffix}")
        if part.exists():
            part.replace(f"{target}{suffix}")
        else:
            Path(f"{target}{suffix}").unlink(missing_ok=True)
