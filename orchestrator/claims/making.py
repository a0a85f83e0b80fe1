"""Making a claim: the rows of a study, what they were made by, and the whole journal as links, from one snapshot."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from db import audit, jobs, journal, results
from db.entries import Entry
from db.jobs import StoredJob
from db.store import Store
from db.studytables import layouts
from jobs.errors import BadInput, StoreError
from jobs.files import Unreadable, decode, read_bytes
from jobs.layout import Layout
from orchestrator.claims.cells import EVERYTHING, Register, salted, study_cell
from orchestrator.claims.links import MARK, START, entry_digest, link, root_of
from orchestrator.claims.records import FORMAT, MAGIC, Bare, Claim, File, Ran, Whole, row_of
from orchestrator.claims.tabled import table_of

Progress = Callable[[int, int], None]


@dataclass
class _Read:
    """The journal as it lies there: of each file its hash, what it says of the one before, and its entries."""

    register: Register = field(default_factory=Register)
    digests: list[str] = field(default_factory=list)
    previous: list[str] = field(default_factory=list)
    entries: list[list[tuple[str, frozenset[str]]]] = field(default_factory=list)
    """Of each file (hash, cells) of each entry."""
    at: datetime | None = None


def make(store: Store, study: str, progress: Progress = lambda done, total: None) -> Claim:
    """The claim of a study as the store is now. Raises JournalDamaged where the journal is not whole, BadInput."""
    with store.read() as connection:
        held = audit.held(connection)
        rows = results.rows(connection, study, cancelled=True, dropped=True)
        laid = layouts(connection, study)
        if not rows:
            raise BadInput(f"study '{study}' has no job to make a claim of: 'orch submit' makes some")
        ran = _ran(connection, store.layout, [row.job for row in rows])
    folder = store.layout.journal
    read = _read(folder, held.number, progress)
    mine = {place.cell for place in read.register.jobs.values() if place.study == study}
    files, head = _files(folder, read, mine | {EVERYTHING, study_cell(study)})
    return Claim(
        magic=MAGIC,
        format=FORMAT,
        orch=version("orch"),
        study=study,
        head=head,
        files=tuple(files),
        rows=tuple(row_of(row) for row in rows),
        ran=tuple(ran),
        layouts=laid,
        tables=msgspec.Raw(_compact(table_of(rows, laid))),
        noted=held.digest,
        at=read.at,
    )


def _compact(text: str) -> bytes:
    return msgspec.json.format(text.encode(), indent=-1)


def _read(folder: Path, last: int, progress: Progress) -> _Read:
    found = _Read()
    for number in range(1, last + 1):
        path = journal.path_of(folder, number)
        file, digest = journal.verbatim(path)
        found.digests.append(digest)
        found.previous.append(file.previous)
        entries = []
        for raw in file.entries:
            entry = _typed(raw, path)
            found.at = getattr(entry, "at", None) or found.at
            entries.append((entry_digest(bytes(raw)), found.register.concerned(entry)))
        found.entries.append(entries)
        progress(number, last)
    return found


def _typed(raw: msgspec.Raw, path: Path) -> Entry:
    try:
        return decode(bytes(raw), Entry)  # type: ignore[arg-type]
    except Unreadable as error:
        raise StoreError(f"journal file {path} has an entry that cannot be read ({error}): see 'orch doctor'") from None


def _files(folder: Path, read: _Read, wanted: set[str]) -> tuple[list[File], str]:
    """The claim's files, those entries in full that concern a wanted cell; the last link."""
    files: list[File] = []
    before = START
    for number, (digest, previous, entries) in enumerate(
        zip(read.digests, read.previous, read.entries, strict=True), 1
    ):
        told = [(one, tuple(sorted(salted(cell, digest) for cell in cells))) for one, cells in entries]
        root, cells = root_of(told), tuple(sorted({cell for _, cells in told for cell in cells}))
        before = link(before, number, digest, previous, root, cells)
        same = previous == (read.digests[number - 2] if number > 1 else "")
        file = File(n=number, digest=digest, previous=None if same else previous, mark=before[:MARK])
        full = [place for place, (_, concerned) in enumerate(entries) if concerned & wanted]
        if full:
            raws = journal.verbatim(journal.path_of(folder, number))[0].entries
            whole = {str(place): Whole(told[place][0][:MARK], raws[place], told[place][1]) for place in full}
            bare = {str(place): Bare(*one) for place, one in enumerate(told) if str(place) not in whole}
            file = msgspec.structs.replace(file, whole=whole, bare=bare)
        else:
            file = msgspec.structs.replace(file, root=root, cells=cells)
        files.append(file)
    return files, before


def _ran(connection: Connection, layout: Layout, ids: list[int]) -> list[Ran]:
    """What each accepted result was made by."""
    stored: Mapping[int, StoredJob] = {job.id: job for job in jobs.get_many(connection, ids)}
    found = []
    for job in ids:
        place = results.accepted_execution(connection, job)
        if place is None:
            continue
        outcome = layout.attempt(job, place[0]) / place[1] / "outcome.json"
        code, fingerprint = stored[job].launching.code, stored[job].launching.fingerprint
        own = " ".join((fingerprint.version, fingerprint.source)) if fingerprint else ""
        kept = (code.snapshot or code.package or "live") if code else ""
        software = (code.software or "") if code else ""
        found.append(Ran(job=job, outcome=_hash(outcome), code=" ".join(filter(None, (own, kept))), software=software))
    return found


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()[:32]
    except OSError:
        return ""
