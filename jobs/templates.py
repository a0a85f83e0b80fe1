"""{name} in a program's arguments: the values of a job's parameters, and braces that mean something else. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Any

from jobs.errors import BadInput

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_FIELD = re.compile(r"\$?\{(" + NAME.pattern + r")\}")
_BARE = re.compile(r"(--?[A-Za-z0-9_.\-]+=)?\{" + NAME.pattern + r"\}")
_PROGRAM_TEXT = re.compile(r"[\s'\"`;()$\\]")
"""Signs of a word that is a program itself (of a shell, of Python): its braces are its own."""
_AWK = frozenset({"awk", "gawk", "mawk", "nawk", "original-awk", "busybox"})
"""Programs whose first argument may be nothing but a word in braces: '{print}'."""


def used(argv: Iterable[str]) -> set[str]:
    """The names that stand in the arguments as {name}."""
    return {part.group(1) for word in argv for part in parts(word) if not isinstance(part, str)}


def unused(argv: Sequence[str], names: Iterable[str]) -> list[str]:
    """The parameters that the arguments never use, sorted."""
    return sorted(set(names) - used(argv))


def stage_fields(argv: Iterable[str], stage: str) -> dict[str, str]:
    """The fields of a command that the stage before it fills once it has succeeded, each as it stands there."""
    found = {name for name in used(argv) if name == f"{stage}.out" or name.startswith(f"{stage}.result.")}
    return {name: f"{{{name}}}" for name in found} if stage else {}


def fill(argv: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """The arguments with {name} replaced; `{{` and its `}}` stand for single braces.

    Braces of a shell, awk, JSON or f-string stay as they are where the name is no parameter. An argument that is
    nothing but an unknown {name}, or a name that is nearly a parameter's, is a slip. Raises BadInput for it.
    """
    awk = any(PurePosixPath(word).name in _AWK for word in argv)
    return ["".join(_filled(part, word, values, awk) for part in parts(word)) for word in argv]


def _filled(part: str | re.Match[str], word: str, values: Mapping[str, Any], awk: bool) -> str:
    if isinstance(part, str):
        return part
    name = part.group(1)
    if name in values:
        return str(values[name])
    if _PROGRAM_TEXT.search(word) is None and not awk:
        near = get_close_matches(name, list(values), n=1, cutoff=0.75)
        if near or _BARE.fullmatch(word):
            hint = f"did you mean {{{near[0]}}}?" if near else f"use {', '.join(values)}"
            raise BadInput(
                f"the command uses {{{name}}}, which is not defined: {hint} ({{{{{name}}}}} stands for the text)"
            )
    return part.group()


def parts(word: str) -> Iterator[str | re.Match[str]]:
    """A word as plain text (escapes undone) and fields."""
    closing: list[int] = []
    at = 0
    while at < len(word):
        if closing and at == closing[-1]:
            closing.pop()
            yield "}"
            at += 2
        elif word.startswith("{{", at) and (end := _end_of_escape(word, at)) is not None:
            closing.append(end)
            yield "{"
            at += 2
        elif (field := _FIELD.match(word, at)) is not None:
            yield field
            at = field.end()
        else:
            yield word[at]
            at += 1


def _end_of_escape(word: str, start: int) -> int | None:
    """Where the `}}` of the `{{` at `start` stands; None where it is never closed, and no escape."""
    depth = [2]
    at = start + 2
    while at < len(word):
        if (field := _FIELD.match(word, at)) is not None:
            at = field.end()
            continue
        step = 1
        if word.startswith("{{", at):
            depth.append(2)
            step = 2
        elif word[at] == "{":
            depth.append(1)
        elif word[at] == "}" and (depth[-1] == 1 or word.startswith("}}", at)):
            step = depth.pop()
            if not depth:
                return at
        at += step
    return None
