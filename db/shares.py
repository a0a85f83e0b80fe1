"""How much of a GPU a local slot, or a job in a bundle, holds. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

_SHARE = re.compile(r"(?:gpu:[^,]+?:\d+|^share)/([1-9]\d*)(?:,|$)")


@lru_cache(maxsize=1024)
def gpu_parts(slot: str | None) -> int:
    """How many share the GPUs of a slot, such as 4 of 'gpu:2:0/4', or of a bundle's 'share/4': 1 where one has them to
    itself, or has none."""
    return max((int(parts) for parts in _SHARE.findall(slot or "")), default=1)
