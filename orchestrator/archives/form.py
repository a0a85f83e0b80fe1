"""What an archive is: the names of what lies in it, its first record, and how large it may be. Pure."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from jobs.records import Moment

FORMAT = 1
MAGIC = "orch archive"
RECORD, SUMS, CLAIM = "archive.json", "manifest-sha256.txt", "table.claim"
README, CRATE = "README.md", "ro-crate-metadata.json"
MOST_MEMBERS, MOST_BYTES = 5_000_000, 256 << 30
MOST_TO_ONE, LEAST_SUSPECT = 400, 64 << 20
"""Deflate makes up to 1,032 bytes of one, of rows of numbers about twenty: what unpacks to more than so many times its
size, and than so many bytes, is a bomb."""
MOST_OF_A_RECORD = 1 << 30

RECORDS = ("started.json", "ready.json", "progress.json", "program.json", "usage.json", "alpha.jsonl", "outcome.json")
"""Of each execution. What programs printed is not there, and their curves are in the database."""

_NUMBER, _HEX = "(?:0|[1-9][0-9]{0,8})", "[0-9a-f]{32}"
_FILES = "|".join(map(re.escape, RECORDS))
_RUN = rf"runs/{_NUMBER}/{_NUMBER}/(?:job\.json|{_NUMBER}/e[0-9]{{1,9}}-[0-9a-f]{{6}}/(?:{_FILES}))"
_CODE = rf"code/(?:{_HEX}\.(?:json|patch)|origins/{_HEX}\.json|software/{_HEX}\.(?:json|uv\.lock))"
LOOKED_AT = re.compile(rf"(?:{_RUN}|{_CODE})\Z")
"""What is unpacked to look at a study, at its place in a store. Nothing else ever is."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """`archive.json`: what this is, and what its rows fit."""

    magic: str
    format: int
    orch: str
    study: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    schema: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}\Z")]
    of: Moment
    """When the newest thing happened to the study."""
    ended: bool
    """Nothing of it will move by itself any more."""


def rows_of(table: str) -> str:
    """Where a table's rows lie: as lines of JSON, the first one with the names of its columns."""
    return f"database/{table}.jsonl"


def sum_line(digest: str, name: str) -> str:
    """A line as `sha256sum` writes it, which escapes two signs in names."""
    if "\\" in name or "\n" in name:
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n")
        return f"\\{digest}  {escaped}\n"
    return f"{digest}  {name}\n"


def sums_of(text: str) -> dict[str, str]:
    """Name → hash, of what `sum_line` wrote. Raises ValueError for anything else."""
    found = {}
    for line in text.split("\n")[:-1]:
        match = re.fullmatch(r"(\\?)([0-9a-f]{64})  (.+)", line)
        if match is None:
            raise ValueError(f"a line of {SUMS} is none of sha256sum's")
        name = match[3]
        if match[1]:
            name = re.sub(r"\\(.)", lambda sign: "\n" if sign[1] == "n" else sign[1], name)
        found[name] = match[2]
    return found
