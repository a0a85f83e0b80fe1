"""Which words a checkpoint holds: the keys of what was saved, read without unpickling anything (pickletools).

Nothing of a checkpoint is run: a pickle is disassembled, a zip (torch.save, numpy.savez) is listed, JSON is parsed.
"""

from __future__ import annotations

import io
import json
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path

MOST_BYTES = 64 * 2**20
MOST_WORDS = 20_000
LONGEST = 80
_TEXTS = frozenset({"BINUNICODE", "SHORT_BINUNICODE", "UNICODE", "BINUNICODE8", "STRING", "SHORT_BINSTRING", "GLOBAL"})


def words(path: Path) -> frozenset[str]:
    """Every short text in a checkpoint file, in lower case; none where it cannot be read or is of no known form."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return frozenset()
        data = path.read_bytes()
        return frozenset(word.lower() for word in _found(data) if 0 < len(word) <= LONGEST)
    except Exception:  # whatever torn or foreign bytes come to: they tell nothing
        return frozenset()


def _found(data: bytes) -> Iterator[str]:
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.rpartition("/")[2].removesuffix(".npy")
                if name.endswith(".pkl"):
                    yield from _pickled(archive.read(name))
    elif data[:1] in (b"{", b"["):
        yield from _keys(json.loads(data))
    elif data[:1] == b"\x80":
        yield from _pickled(data)


def _pickled(data: bytes) -> Iterator[str]:
    found = 0
    for code, argument, _ in pickletools.genops(data):
        if code.name in _TEXTS and isinstance(argument, str):
            found += 1
            yield argument
            if found == MOST_WORDS:
                return


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value[:100]:
            yield from _keys(inner)
