"""What a TOML file must not be, looked at before it is read: Python's reader keeps every beginning of a dotted key, so
one key of 100 KB (`a.a.a…`) takes gigabytes.
"""

from __future__ import annotations

import re
from pathlib import Path

from jobs.errors import BadInput

MOST_BYTES = 1_000_000
MOST_PARTS = 64
"""Of a dotted key. No key of orch's has more than four."""
_PART = r"(?:[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')"
_DEEP = re.compile(rf"(?:^[ \t]*+\[*+|[{{,])[ \t]*+{_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MOST_PARTS}}}", re.MULTILINE)


def check_size(data: bytes, path: Path, what: str) -> None:
    """Refuse a file of more than MOST_BYTES. `what` it should be, for the sentence. Raises BadInput."""
    if len(data) > MOST_BYTES:
        raise BadInput(f"{path} has more than {MOST_BYTES // 1_000_000} MB: is it {what}?")


def check_keys(text: str, path: Path) -> None:
    """Refuse a key of more than MOST_PARTS parts. Raises BadInput."""
    if found := _DEEP.search(text):
        line = text.count("\n", 0, found.end()) + 1
        raise BadInput(f"{path} cannot be read: a key at line {line} has more than {MOST_PARTS} parts")
