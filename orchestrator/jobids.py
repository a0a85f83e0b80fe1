"""Job ids as a person writes and reads them: 3-17, 20."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from jobs.errors import BadInput

_WORD = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?", re.ASCII)
MOST = 10_000_000


def parse(words: Sequence[str]) -> list[int]:
    """The ids of `3`, `3-17` and `3,5-7`, each once, in the order given. Raises BadInput."""
    found: dict[int, None] = {}
    for typed, word in ((item, part) for item in words for part in item.split(",")):
        match = _WORD.fullmatch(word.strip())
        if match is None:
            at_a_comma = f" (nothing stands at a comma of '{typed}')" if not word.strip() and "," in typed else ""
            raise BadInput(f"'{word}' is no job id{at_a_comma}: give ids like 3, or 3-17 for several")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= MOST:
            raise BadInput(f"'{word}' is no range of job ids: the smaller id comes first, as in 3-17")
        found.update(dict.fromkeys(range(first, last + 1)))
    return list(found)


def ranges(ids: Iterable[int], most: int = 6) -> str:
    """`1-3, 7`; '…' after the first `most` parts."""
    parts: list[list[int]] = []
    for job in sorted(ids):
        if parts and job == parts[-1][1] + 1:
            parts[-1][1] = job
        else:
            parts.append([job, job])
    shown = [f"{a}-{b}" if a != b else str(a) for a, b in parts[:most]]
    return ", ".join(shown) + (", …" if len(parts) > most else "")
