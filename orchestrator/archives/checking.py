"""`orch verify ARCHIVE`: every file is what its hash says, and the rows are those of the claim."""

from __future__ import annotations

from pathlib import Path

import msgspec

from db import results
from db.store import Store
from db.studytables import layouts
from orchestrator.archives import form
from orchestrator.archives.reading import Archive, Progress
from orchestrator.claims import records
from orchestrator.claims.findings import Finding
from orchestrator.claims.records import Claim


def check(path: Path, progress: Progress = lambda done, total: None) -> tuple[Claim, bytes, list[Finding]]:
    """The claim, its JSON, and what does not fit it. Raises BadInput for an archive that is not whole, StoreError."""
    archive = Archive(path)
    try:
        told = archive.summed()
        for done, name in enumerate(told):
            archive.check(name)
            progress(done, len(told))
        claim, data = records.parse(archive.read(form.CLAIM), f"{path}: {form.CLAIM}")
        opened = archive.unpack()
    finally:
        archive.close()
    try:
        return claim, data, [*_different(claim, opened.store, opened.head.study), *_untold(archive)]
    finally:
        opened.close()


def _different(claim: Claim, store: Store, study: str) -> list[Finding]:
    """The rows of the archive, against those of the claim."""
    with store.read() as connection:
        rows = results.rows(connection, study, cancelled=True, dropped=True)
        laid = layouts(connection, study)
    mine = {int(row["job"]): row for row in claim.rows if isinstance(row.get("job"), int)}
    theirs = {row.job: msgspec.json.decode(msgspec.json.encode(records.row_of(row))) for row in rows}
    found = []
    for job in sorted(mine.keys() | theirs.keys()):
        if mine.get(job) != theirs.get(job):
            text = f"job {job} of the archive's rows is not what its claim says"
            found.append(Finding(what="archive", text=text))
    if claim.study != study or tuple(laid) != claim.layouts:
        found.append(Finding(what="archive", text="the archive is of another study, or table, than its claim"))
    return found


def _untold(archive: Archive) -> list[Finding]:
    """Files that have no hash."""
    odd = archive.untold()
    return [
        Finding(what="archive", text=f"{name!r} lies in the archive, and its list of hashes does not know it")
        for name in odd
    ]
