"""What was upgraded since a job was submitted, and so while it waits: orch itself, or what its program's Python has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from db.launching import Launching
from jobs.files import read_json
from jobs.node import fingerprint, interpreter
from jobs.node.interpreter import Software
from jobs.odd import from_text

NAMED = 3
"""Packages that are named one by one; torch goes first."""


def of_orch(launching: Launching) -> str:
    """Another orch than it was submitted by; '' where it is the same."""
    then = launching.fingerprint
    if then is None:
        return ""
    here = fingerprint.of_orch()
    if (then.version, then.source) == (here.version, here.source):
        return ""
    return f"submitted by orch {then.version} ({then.source[:8]}), and orch is {here.version} ({here.source[:8]}) now"


def of_python(code: Path, argv: Sequence[str], launching: Launching, cwd: Path) -> str:
    """Packages that are other ones than at the submit; '' where none is, or nobody can tell."""
    kept = launching.code
    then = read_json(code / "software" / f"{kept.software}.json", Software) if kept and kept.software else None
    if then is None:
        return ""
    around = launching.surroundings
    environ = {**os.environ, **(around.kept if around is not None else {})}
    python = interpreter.interpreter([from_text(word) for word in argv], environ, cwd)
    now = interpreter.ask(code, python, environ) if python is not None else None
    if now is None:
        return ""
    return changes(then, interpreter.software(now))


def changes(then: Software, now: Software) -> str:
    """'torch 2.9.0 → 2.10.0, numpy 1.26 → (none), and 3 more'. Pure."""
    before, after = ({**_versions(one), "Python": one.python} for one in (then, now))
    names = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    names.sort(key=lambda name: (name != "Python", name != "torch", name))
    told = [f"{name} {before.get(name, '(none)')} → {after.get(name, '(none)')}" for name in names[:NAMED]]
    more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(told) + more


def _versions(software: Software) -> dict[str, str]:
    pairs = (line.partition("==") for line in software.packages)
    return {name: version for name, _, version in pairs}
