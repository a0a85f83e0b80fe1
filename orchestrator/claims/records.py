"""A claim: one small file with a table, what it rests on and the journal behind it. Reading one believes nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from dataclasses import MISSING, fields
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from db.layouts import Layout
from db.rows import ResultRow
from jobs.errors import BadInput
from jobs.files import Unreadable, decode, read_bytes

FORMAT = 1
MAGIC = "orch claim"
MOST_PACKED, MOST_BYTES = 256 << 20, 1 << 30
"""Of the file, and of what is in it: more is no claim."""
CHUNK = 1 << 20
HEX = r"^[0-9a-f]*\Z"

Digest = Annotated[str, msgspec.Meta(pattern=HEX, max_length=64)]


class Bare(msgspec.Struct, frozen=True, array_like=True):
    """An entry that concerns no cell of the claim: its hash, and salted hashes of the cells that it does concern."""

    digest: Digest
    cells: tuple[Digest, ...] = ()


class Whole(msgspec.Struct, frozen=True, array_like=True):
    """An entry in full, as its file has it, and salted hashes of all cells that it concerns."""

    mark: Digest
    """The beginning of its hash: so that one which was changed or moved is named."""
    entry: msgspec.Raw
    cells: tuple[Digest, ...] = ()


class File(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of the journal: one transaction."""

    n: int
    digest: Digest
    """Of its bytes."""
    previous: Digest | None = None
    """What it says of the bytes of the file before it; None: what this claim says too."""
    mark: Digest
    """The beginning of its link."""
    whole: dict[str, Whole] = msgspec.field(default_factory=dict)
    """Place (from 0, as text) → entry."""
    bare: dict[str, Bare] = msgspec.field(default_factory=dict)
    """The other entries of a file that has some in full."""
    root: Digest = ""
    """Of a file without any: the hash over its entries."""
    cells: tuple[Digest, ...] = ()
    """Of such a file: salted hashes of all cells that it concerns."""


class Ran(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an accepted result was made by: hashes, empty where there is none or it is gone."""

    job: int
    outcome: Digest = ""
    """Of the bytes of its outcome file."""
    code: str = ""
    """The snapshot, by content; of orch's own kinds orch's version and source."""
    software: str = ""
    """What was installed."""


class Claim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `orch claim` writes, as canonical JSON in gzip."""

    magic: str
    format: int
    orch: str
    study: str
    head: Digest
    """The link of the last file."""
    files: tuple[File, ...]
    rows: tuple[dict[str, Any], ...]
    """Every job of the study as its table sees it, cancelled and dropped ones too."""
    ran: tuple[Ran, ...] = ()
    layouts: tuple[Layout, ...] = ()
    tables: msgspec.Raw
    """As `orch table --json` gives them."""
    noted: Digest = ""
    """What the database noted of the bytes of the last file."""
    at: datetime | None = None
    """Of the newest entry."""


def row_of(row: ResultRow) -> dict[str, Any]:
    """A result row as data, what is at its default left out."""
    found = {}
    for field in fields(ResultRow):
        value = getattr(row, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if value != default:
            found[field.name] = msgspec.to_builtins(value)
    return found


def rows_of(claim: Claim) -> list[ResultRow]:
    """Its rows. Raises BadInput where one is none."""
    try:
        return [msgspec.convert(row, ResultRow) for row in claim.rows]
    except (ValueError, TypeError) as error:
        raise BadInput(f"it is no claim that can be read (a row: {short(error)})") from None


def encode(claim: Claim) -> bytes:
    """Canonical JSON: the same bytes for the same store, wherever it is made."""
    return msgspec.json.encode(claim, order="deterministic")


def pack(data: bytes) -> bytes:
    """The file: gzip without a name or a time."""
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0, compresslevel=9) as handle:
        handle.write(data)
    return out.getvalue()


def digest_of(data: bytes) -> str:
    """What names a claim: SHA-256 of its JSON."""
    return hashlib.sha256(data).hexdigest()


def load(path: Path) -> tuple[Claim, bytes]:
    """A claim and its JSON. Raises BadInput, in one sentence, for whatever else lies there."""
    try:
        packed = read_bytes(path, MOST_PACKED)
    except OSError as error:
        raise BadInput(f"cannot read '{path}': {error.strerror}; name a file that 'orch claim' wrote") from None
    return parse(packed, str(path))


def parse(packed: bytes, name: str) -> tuple[Claim, bytes]:
    """A claim and its JSON, of a file's bytes. `name`: what a sentence calls that file. Raises BadInput."""
    try:
        data = _unpacked(packed)
        _check_magic(data)
        return decode(data, Claim), data
    except (Unreadable, BadInput, EOFError, OSError, zlib.error) as error:
        raise BadInput(f"'{name}' is no claim: {short(error)}; name a file that 'orch claim' wrote") from None


def _unpacked(packed: bytes) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as handle:
        while block := handle.read(CHUNK):
            out.write(block)
            if out.tell() > MOST_BYTES:
                raise BadInput(f"it holds more than {MOST_BYTES >> 30} GiB")
    return out.getvalue()


class _Head(msgspec.Struct, frozen=True):
    magic: str = ""
    format: int = 0


def _check_magic(data: bytes) -> None:
    head = decode(data, _Head)
    if head.magic != MAGIC:
        raise BadInput("it does not say that it is one")
    if head.format > FORMAT:
        raise BadInput("it was written by a newer orch, so verify it with that one")


def short(error: object) -> str:
    """An error's text, in a length that a sentence can hold."""
    text = str(error) or type(error).__name__
    return text if len(text) <= 160 else text[:160] + "…"
