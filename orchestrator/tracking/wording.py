"""Names and values as other tools and file systems take them. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

_ODD = re.compile(r"[^\w\-.]")


def shown(value: Any) -> bool | int | float | str:
    """A parameter as a tool takes it: lists and mappings as JSON."""
    if isinstance(value, bool | int | float | str):
        return value if not isinstance(value, str) else value.encode(errors="backslashreplace").decode()
    return msgspec.json.encode(value).decode()


def safe(name: str, most: int = 80) -> str:
    """A name of one folder: itself where that can be, else with a few digits that keep it apart from others."""
    found = _ODD.sub("_", name)[:most]
    if found == name and name.strip(".") and not name.startswith("."):
        return name
    return f"{found.lstrip('.')}-{_digits(name)}"


def path_names(names: Iterable[str], odd: re.Pattern[str], most: int) -> Mapping[str, str]:
    """Name → a relative path that is no other's and no folder of another's: for a tool that keeps each as a file.

    `odd`: what no name may hold. What is changed gets a few digits of its own name.
    """
    every = sorted(set(names))
    folders = {"/".join(name.split("/")[:n]).casefold() for name in every for n in range(1, name.count("/") + 1)}
    small = [name.casefold() for name in every]
    found = {}
    for name in every:
        parts = name.split("/")
        whole = all(part.strip(". ") == part and part for part in parts) and len(name) <= most and not odd.search(name)
        alone = small.count(name.casefold()) == 1 and name.casefold() not in folders
        cleaned = "/".join(part.strip(". ") or "_" for part in odd.sub("_", name).split("/"))[: most - 8]
        found[name] = name if whole and alone else f"{cleaned.rstrip('/. ')}-{_digits(name)}"
    return found


def _digits(name: str) -> str:
    return hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest()[:6]
