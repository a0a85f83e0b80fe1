"""Which program a command runs, whatever the numbers and parameters of its jobs. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from jobs.commands import canonical_number
from jobs.templates import parts


def program_of(config: Mapping[str, Any]) -> str:
    """A command's words without numbers and parameters, and its folder.

    So `train.py --lr 0.1` and `train.py --lr {lr}` are one program, `train.py --lrr 0.1` is another one. In kind
    version 1 the folder is no part of the config.
    """
    names = {"seed", "job", "out", *(config.get("parameters") or {})}
    words = [_blanked(str(word), names) for word in config["argv"]]
    return "\0".join([str(config.get("folder", "")), *words])


def _blanked(word: str, names: Container[str]) -> str:
    option, sign, value = word.partition("=")
    if sign and option.startswith("-") and canonical_number(value) is not None:
        return f"{option}=*"
    if canonical_number(word) is not None:
        return "*"
    return "".join(
        part if isinstance(part, str) else "*" if part.group(1) in names else part.group() for part in parts(word)
    )
