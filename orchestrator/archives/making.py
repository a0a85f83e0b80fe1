"""Making an archive: a snapshot of the study's rows, then everything that is made of them, from the archive itself.

The same store gives the same bytes: no time but the study's own is in it, and no order but that of names and ids.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec

from db import archived
from db.archived import Share
from db.place import make_folders
from db.schema import VERSION
from db.store import Store
from db.text import parse_time
from jobs.errors import BadInput, StoreError
from jobs.files import names, open_regular, read_bytes, read_json
from jobs.layout import Layout
from jobs.node.interpreter import Software, lock_of
from jobs.records import Code
from jobs.snapshots import origin_record, patch_of, record_of
from orchestrator.archives import contents, form, reading, words
from orchestrator.archives.form import FORMAT, MAGIC, Head
from orchestrator.archives.words import Listed
from orchestrator.claims import making as claims
from orchestrator.claims import records
from orchestrator.claims.records import Claim
from orchestrator.report.gathering import all_rows
from orchestrator.views.words import listed, plural

Tell = Callable[[str], None]
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can tell; all of its files have it."""
BLOCK, TRIES = 1 << 20, 3


@dataclass
class _File:
    """The zip file while it is written."""

    zip: zipfile.ZipFile
    listed: list[Listed] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def add(
        self, name: str, data: Iterable[bytes], *, what: str = "", command: tuple[str, ...] = (), mode: int = 0o644
    ) -> None:
        info = zipfile.ZipInfo(name, EPOCH)
        info.create_system, info.compress_type = 3, zipfile.ZIP_DEFLATED
        info.external_attr = (stat.S_IFREG | mode) << 16
        digest, size = hashlib.sha256(), 0
        with self.zip.open(info, "w", force_zip64=True) as out:
            for block in data:
                digest.update(block)
                size += len(block)
                out.write(block)
        self.names.add(name)
        self.listed.append(Listed(name=name, size=size, sha256=digest.hexdigest(), what=what, command=command))

    def link(self, name: str, target: str) -> None:
        """As Info-ZIP keeps one. It is no file of its own, and nothing of orch ever follows it."""
        info = zipfile.ZipInfo(name, EPOCH)
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        self.zip.writestr(info, target.encode(errors="surrogateescape"))
        self.names.add(name)


@dataclass(frozen=True, kw_only=True)
class Archived:
    """What was written."""

    study: str
    bytes: int
    files: int
    jobs: int
    head: str
    """Of the claim in it."""
    remarks: tuple[str, ...]


def make(store: Store, study: str, out: Path, *, license: str = "", tell: Tell = lambda text: None) -> Archived:
    """Write the archive of a study to `out`, which must not be there. Raises BadInput, StoreError."""
    if os.path.lexists(out):
        raise BadInput(f"'{out}' is there already: name another file with --out, or move it away")
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    try:
        with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory(prefix="orch-archive-") as folder:
            stack.callback(lambda: temporary.unlink(missing_ok=True))
            made = _make(store, study, temporary, Path(folder), license, tell)
            temporary.rename(out)
    except OSError as error:
        raise BadInput(f"cannot write '{out}': {error.strerror}; choose another --out") from None
    return made


def _make(store: Store, study: str, path: Path, folder: Path, license: str, tell: Tell) -> Archived:
    tell("the study's rows and the journal")
    look = Layout(folder / "store")
    make_folders(look, group=False)
    with zipfile.ZipFile(path, "x") as zip:
        file = _File(zip)
        taken = _snapshot(store, study, folder)
        file.add(form.RECORD, [msgspec.json.encode(taken.head) + b"\n"], what="what this file is")
        for table in archived.TABLES:
            file.add(form.rows_of(table), _blocks(folder / table))
        tell("what the runs wrote")
        remarks = [*taken.remarks, *_records(store.layout, look, taken, file), *_code(store.layout, look, taken, file)]
        machine = len(file.listed)
        tables = {table: partial(_whole_lines, folder / table) for table in archived.TABLES}
        held = reading.filled(look.root, taken.head, tables)
        packed = records.pack(records.encode(taken.claim))
        what = "the table as a claim (`orch claim`): `orch verify` tells which seeds were ever asked for"
        file.add(form.CLAIM, [packed], what=what)
        for made in contents.settings(held, study):
            file.add(made.name, [made.data], what=made.what)
        file.add("curves.csv", contents.curves(held, study), what="the numbers of each epoch of the runs that count")
        for made in contents.outputs(held, study, tell):
            file.add(made.name, [made.data], what=made.what, command=made.command)
        states = Counter(str(row.state) for row in all_rows(held, study))
        held.close()
        shown = [*file.listed[machine:], *file.listed[:machine]]
        file.add(form.README, [words.readme(taken.head, dict(sorted(states.items())), shown, remarks)])
        file.add(form.CRATE, [words.crate(taken.head, file.listed, license)])
        told = sorted(file.listed, key=lambda one: one.name)
        file.add(form.SUMS, [form.sum_line(one.sha256, one.name).encode() for one in told])
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
    return Archived(
        study=study,
        bytes=path.stat().st_size,
        files=len(file.names),
        jobs=len(taken.share.own),
        head=f"{len(taken.claim.files)}:{taken.claim.head}",
        remarks=tuple(remarks),
    )


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """The rows of a study, in files, and its claim, of one moment."""

    head: Head
    share: Share
    claim: Claim
    executions: Sequence[tuple[int, int, str]]
    codes: Sequence[Code]
    remarks: tuple[str, ...]


def _snapshot(store: Store, study: str, folder: Path) -> _Taken:
    for _ in range(TRIES):
        with store.read() as connection:
            share = archived.share(connection, study)
            if not share.own:
                raise BadInput(f"study '{study}' has no job to archive: 'orch submit' makes some")
            ended = archived.all_ended(connection, study)
            of = parse_time(archived.last_change(connection, study))
            for table in archived.TABLES:
                with (folder / table).open("wb") as out:
                    out.writelines(archived.lines(connection, share, table))
            executions, codes = archived.executions(connection, share), archived.codes(connection, share)
        claim = claims.make(store, study)
        with store.read() as connection:
            after = archived.share(connection, study)
        if after.journal == share.journal:
            break
    else:
        raise StoreError("the store changes all the time: repeat when fewer jobs end")
    left = [] if ended else ["The study had not ended: 'orch archive' again when it has."]
    head = Head(magic=MAGIC, format=FORMAT, orch=version("orch"), study=study, schema=VERSION, of=of, ended=ended)
    return _Taken(head=head, share=share, claim=claim, executions=executions, codes=codes, remarks=tuple(left))


def _records(layout: Layout, look: Layout, taken: _Taken, file: _File) -> Iterator[str]:
    """What executions wrote, here and in the store that is looked at; a sentence where it is gone."""
    paths = [layout.job(job) / "job.json" for job in taken.share.jobs]
    gone = set()
    for job, attempt, name in taken.executions:
        place = layout.attempt(job, attempt) / name
        there = set(names(place))
        paths += [place / one for one in form.RECORDS if one in there]
        gone |= set() if there else {job}
    for path in paths:
        _keep(layout, look, path, file)
    if gone:
        yield f"The run folders of {plural(len(gone), 'job')} are gone: {listed(sorted(gone))}."


def _keep(layout: Layout, look: Layout, path: Path, file: _File) -> bool:
    """Whether it was there to be kept."""
    try:
        data = read_bytes(path)
    except OSError:
        return False
    name = path.relative_to(layout.root).as_posix()
    file.add(name, [data])
    (look.root / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    (look.root / name).write_bytes(data)
    return True


def _code(layout: Layout, look: Layout, taken: _Taken, file: _File) -> Iterator[str]:
    """The snapshots, and what is known of them; a sentence for each that is gone."""
    code, paths = layout.code, set()
    snapshots = sorted({one.snapshot for one in taken.codes if one.snapshot})
    for one in taken.codes:
        paths |= {record_of(code, one.snapshot)} if one.snapshot else set()
        paths |= {origin_record(code, one.origin)} if one.origin else set()
        paths |= {patch_of(code, one.patch)} if one.patch else set()
        if one.software:
            found = read_json(code / "software" / f"{one.software}.json", Software)
            paths |= {code / "software" / f"{one.software}.json"}
            paths |= {lock_of(code, found.lock)} if found is not None and found.lock else set()
    for path in sorted(paths):
        _keep(layout, look, path, file)
    for snapshot in snapshots:
        try:
            for name, kept, program in contents.code_tree(code, snapshot):
                if isinstance(kept, Path):
                    file.add(name, _blocks(kept), mode=0o755 if program else 0o644)
                else:
                    file.link(name, kept)
        except OSError as error:
            yield f"The code snapshot {snapshot[:12]} is not whole: {error.strerror}."
    if any(not one.snapshot and not one.package for one in taken.codes):
        yield "Some jobs ran the live folder (`--code live`), whose code nobody kept."


def _blocks(path: Path) -> Iterator[bytes]:
    with open_regular(path) as handle:
        while block := handle.read(BLOCK):
            yield block


def _whole_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as handle:
        yield from handle
