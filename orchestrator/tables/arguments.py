"""What a command line itself gives a program: `--lr 0.1`, `--lr=0.1` and Hydra's `lr=0.1` all name `lr`. Pure.

So jobs that were submitted one by one, each with its own literal arguments, can be told apart by name as points of a
grid are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from types import MappingProxyType

from jobs.commands import canonical_number

_OPTION = re.compile(r"--?([A-Za-z][\w.\-/]*)(?:=(.*))?", re.DOTALL)
_OVERRIDE = re.compile(r"[+~]{0,2}([A-Za-z_][\w.\-/@]*)=(.*)", re.DOTALL)
_BRACES = re.compile(r"\{[^{}]*\}")
INTERPRETERS = re.compile(r"(python|pypy|bash|sh|dash|zsh|perl|ruby|node|julia|Rscript|java|srun|torchrun|uv)[\d.]*")


def given(argv: Sequence[str]) -> Mapping[str, str]:
    """Name → value of what the words set; `true` for an option without a value. What orch fills in is left out."""
    return _given(tuple(map(str, argv)))


@lru_cache(maxsize=4096)
def _given(argv: tuple[str, ...]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for place, word in enumerate(argv):
        if place == 0:
            continue
        name, value = _named(word, argv[place + 1] if place + 1 < len(argv) else None)
        if name and not _BRACES.search(value):
            found.setdefault(name, canonical_number(value) or value)
    return MappingProxyType(found)


def _named(word: str, following: str | None) -> tuple[str, str]:
    option = _OPTION.fullmatch(word)
    if option is not None:
        if option[2] is not None:
            return option[1], option[2]
        alone = following is None or (following.startswith("-") and canonical_number(following) is None)
        return option[1], "true" if alone or following is None else following
    override = _OVERRIDE.fullmatch(word)
    return (override[1], override[2]) if override is not None else ("", "")


def program(argv: Sequence[str]) -> tuple[str, ...]:
    """The words that say which program runs: the first, and behind an interpreter its script or module too.

    `env NAME=VALUE` before it is no program.
    """
    return _program(tuple(map(str, argv)))


@lru_cache(maxsize=4096)
def _program(argv: tuple[str, ...]) -> tuple[str, ...]:
    words = argv[_before(argv) :]
    found = list(words[:1])
    if not words or INTERPRETERS.fullmatch(PurePosixPath(words[0]).name) is None:
        return tuple(found)
    for word in words[1:]:
        found.append(word)
        if not word.startswith("-"):
            break
    return tuple(found)


def _before(argv: Sequence[str]) -> int:
    """How many words stand before the program."""
    words = list(map(str, argv))
    if not words or PurePosixPath(words[0]).name != "env":
        return 0
    first = next((place for place, word in enumerate(words) if place and "=" not in word), 0)
    return 0 if words[first].startswith("-") else first


def positional(argv: Sequence[str]) -> list[str]:
    """The words behind the program that belong to no option, in order."""
    rest = list(map(str, argv))[_before(argv) + len(program(argv)) :]
    found, taken = [], False
    for place, word in enumerate(rest):
        if taken:
            taken = False
            continue
        following = rest[place + 1] if place + 1 < len(rest) else None
        name, value = _named(word, following)
        if name:
            taken = "=" not in word and value == following
        else:
            found.append(word)
    return found
