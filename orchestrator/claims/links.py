"""The chain over the journal's files: each link is a hash of the link before, the file's bytes and its entries. Pure.

The links are computed, not stored: whoever has the journal, or a claim of it, comes to the same head. A claim holds
entries that concern it in full and of the others hashes, which give the same links.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from orchestrator.claims.records import Bare, File, Whole

MARK = 8
"""Hex digits of a hash that are enough to name what does not fit."""
START = ""
"""Before the first file."""


def entry_digest(entry: bytes) -> str:
    """The hash of an entry as it was written."""
    return hashlib.sha256(entry).hexdigest()[:32]


def root_of(entries: Iterable[tuple[str, Sequence[str]]]) -> str:
    """The hash over a file's entries: (hash, salted cells) of each, in order."""
    return hashlib.sha256(msgspec.json.encode([[one, list(cells)] for one, cells in entries])).hexdigest()[:32]


def link(before: str, n: int, digest: str, previous: str, root: str, cells: Iterable[str]) -> str:
    """The link of file `n`."""
    text = msgspec.json.encode([before, n, digest, previous, root, sorted(set(cells))])
    return hashlib.sha256(text).hexdigest()


def entries_of(file: File) -> list[Whole | Bare | None]:
    """The entries of a file by place; None where one is missing."""
    there = {int(place) for place in (*file.whole, *file.bare) if place.isascii() and place.isdigit()}
    most = min(max(there, default=-1) + 1, len(file.whole) + len(file.bare) + 1)
    return [file.whole.get(str(place)) or file.bare.get(str(place)) for place in range(most)]


def told_root(file: File) -> tuple[str, tuple[str, ...]]:
    """The root and the cells of a file, from its entries where it has them."""
    if not file.whole and not file.bare:
        return file.root, file.cells
    found = [
        (entry_digest(bytes(one.entry)) if isinstance(one, Whole) else one.digest, one.cells)
        for one in entries_of(file)
        if one is not None
    ]
    return root_of(found), tuple(sorted({cell for _, cells in found for cell in cells}))


def links(files: Sequence[File]) -> list[str]:
    """The link of each file of a claim, from what the claim says of it."""
    found: list[str] = []
    for place, file in enumerate(files):
        before = files[place - 1].digest if place else ""
        root, cells = told_root(file)
        previous = before if file.previous is None else file.previous
        found.append(link(found[-1] if found else START, file.n, file.digest, previous, root, cells))
    return found
