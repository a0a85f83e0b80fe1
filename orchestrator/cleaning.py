"""`orch clean`: what takes room and nothing needs any more. Never a journal file, an outcome or metrics."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from db import cleaning
from db.cleaning import EndedExecution
from db.store import Store
from jobs.files import names
from jobs.layout import Layout

YOUNG_SECONDS = 3600.0
"""A folder that nothing refers to may be one that is just being made."""
PROGRAMS = frozenset({"command"})
"""Kinds whose checkpoint folder holds files of a person's own program, so perhaps its very product."""


@dataclass(frozen=True, kw_only=True)
class Removal:
    """Something to remove, and why nothing needs it."""

    path: Path
    why: str
    bytes: int
    files: int


def plan(store: Store, *, weights: bool) -> list[Removal]:
    """What could go. `weights`: also the newest checkpoint (the final weights) of accepted executions."""
    with store.read() as connection:
        ended = cleaning.ended_executions(connection)
        open_tokens = cleaning.open_tokens(connection)
        tokens = cleaning.tokens(connection)
    found: list[Removal] = []
    for execution in ended:
        found += _checkpoints(store.layout, execution, weights)
    found += _submissions(store.layout, tokens, open_tokens)
    return found


def _checkpoints(layout: Layout, execution: EndedExecution, weights: bool) -> Iterator[Removal]:
    folder = layout.attempt(execution.job, execution.attempt) / execution.name / "checkpoints"
    there = names(folder)
    if not there:
        return
    if weights or not execution.accepted:
        why = (
            "final weights of succeeded jobs"
            if execution.accepted
            else "checkpoints of executions that were not accepted"
        )
        yield _measured(folder, why)
        return
    if execution.kind in PROGRAMS:
        return
    steps = sorted(name for name in there if name.startswith("step-") and name.endswith(".json"))
    kept = {steps[-1], steps[-1].removesuffix(".json") + ".pt"} if steps else set(there)
    for name in there:
        if name not in kept:
            yield _measured(folder / name, "older checkpoints of succeeded jobs")


def _submissions(layout: Layout, tokens: frozenset[str], open_tokens: frozenset[str]) -> Iterator[Removal]:
    for token in names(layout.submissions):
        folder = layout.submission(token)
        if token not in tokens:
            if time.time() - folder.stat().st_mtime > YOUNG_SECONDS:
                yield _measured(folder, "submission folders that nothing refers to")
        elif token not in open_tokens:
            for name in names(folder / "submitit"):
                if name.endswith(".pkl"):
                    yield _measured(folder / "submitit" / name, "pickles of submissions that have ended")


def _measured(path: Path, why: str) -> Removal:
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    return Removal(path=path, why=why, bytes=sum(one.stat().st_size for one in files), files=len(files))


def remove(removals: Sequence[Removal]) -> list[tuple[Removal, OSError]]:
    """Remove them; those that could not be, with what went wrong."""
    failed: list[tuple[Removal, OSError]] = []
    for removal in removals:
        try:
            if removal.path.is_dir() and not removal.path.is_symlink():
                shutil.rmtree(removal.path)
            else:
                removal.path.unlink(missing_ok=True)
        except OSError as error:
            failed.append((removal, error))
    return failed
