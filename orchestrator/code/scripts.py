"""A script that its interpreter would not find: told at submit, before every job fails of it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from jobs.odd import from_text

_PYTHON = re.compile(r"(python|pypy)[\d.]*")
_FLAGS = re.compile(r"-[bBdEiIOPqsSuvx]+")
"""Of Python, without a value, and behind which a script may stand (`python --help`)."""
_VALUED = re.compile(r"-[WX](.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A script that is not there now."""

    sentence: str
    certain: bool
    """Whether nothing can bring it before the job starts."""


def missing(argv: Sequence[str], cwd: Path, *, kept: bool, setup: bool) -> Missing | None:
    """The script that a Python is to run and that does not exist; None where there is none such, or nobody can tell.

    `kept`: whether jobs run the code as it is now; `setup`: whether shell lines run before, which may make the file.
    """
    script = script_of(argv)
    if script is None or "{" in script:
        return None
    path = cwd / from_text(script)
    if os.path.lexists(path):
        return None
    inside = PurePosixPath(os.path.normpath(from_text(script)))
    plain = not inside.is_absolute() and ".." not in inside.parts
    alone = len(inside.parts) == 1 or not os.path.lexists(cwd / inside.parts[0])
    if plain and alone and kept and not setup:
        return Missing(sentence=f"there is no {script} in {cwd}: {_near(path)}", certain=True)
    return Missing(
        sentence=f"there is no {script if inside.is_absolute() else f'{script} in {cwd}'} now: the job fails unless it "
        "is there when it starts",
        certain=False,
    )


def script_of(argv: Sequence[str]) -> str | None:
    """The word that names the script which `python …` runs; None for -m, -c, standard input and other programs."""
    words = list(argv)
    if words and PurePosixPath(words[0]).name == "env":
        words = words[1:]
        while words and "=" in words[0] and not words[0].startswith("-"):
            words = words[1:]
    if not words or _PYTHON.fullmatch(PurePosixPath(words[0]).name) is None:
        return None
    rest = iter(words[1:])
    for word in rest:
        if (valued := _VALUED.fullmatch(word)) is not None:
            if not valued[1]:
                next(rest, None)
        elif _FLAGS.fullmatch(word) is None:
            return None if word.startswith("-") else word
    return None


def _near(path: Path) -> str:
    try:
        there = [one.name for one in path.parent.iterdir() if one.name.isprintable()]
    except OSError:
        there = []
    near = get_close_matches(path.name, there, n=1)
    return f"did you mean '{near[0]}'?" if near else "write it, or name one that is there"
