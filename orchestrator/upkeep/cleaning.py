"""`orch clean`: what takes room and nothing needs any more. Never a journal file, an outcome or metrics."""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from db import cleaning
from db.cleaning import EndedExecution
from db.store import Store
from jobs.files import names, read_json
from jobs.layout import Layout
from jobs.node.interpreter import Software
from orchestrator.supervision.surplus import NOT_ACCEPTED, PROGRAMS, folder_of, surplus
from orchestrator.supervision.tidying import measured

log = logging.getLogger(__name__)

YOUNG_SECONDS = 3600.0
"""A folder that nothing refers to may be one that is just being made."""
_HASH = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class Removal:
    """Something to remove, and why nothing needs it."""

    path: Path
    why: str
    bytes: int
    files: int


def plan(store: Store, *, weights: bool, keep: str | None = None) -> list[Removal]:
    """What could go. `weights`: also the newest checkpoint (the final weights) of accepted executions.

    `keep`: `[clean] keep`, by which the supervisor removes checkpoints too.
    """
    with store.read() as connection:
        ended = cleaning.ended_executions(connection)
        open_tokens = cleaning.open_tokens(connection)
        tokens = cleaning.tokens(connection)
        code = cleaning.code_in_use(connection)
    found: list[Removal] = []
    for execution in ended:
        try:
            found += _checkpoints(store, execution, weights, keep)
        except OSError as error:
            log.warning("left alone, since it cannot be read: %s", error)
    found += _submissions(store.layout, tokens, open_tokens)
    found += _code(store.layout, code)
    return found


def _checkpoints(store: Store, execution: EndedExecution, weights: bool, keep: str | None) -> Iterator[Removal]:
    folder = folder_of(store.layout, execution)  # none where a link leads out of it: that is not ours to judge
    there = names(folder) if folder is not None else []
    if folder is None or not there:
        return
    if keep is not None and not weights:
        found = surplus(store, execution, keep)
        for path in found.paths if found else ():
            yield _measured(path, found.why if found else "")
        return
    if weights or not execution.accepted:
        why = "final weights of succeeded jobs" if execution.accepted else NOT_ACCEPTED
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
            if time.time() - folder.lstat().st_mtime > YOUNG_SECONDS:
                yield _measured(folder, "submission folders that nothing refers to")
        elif token not in open_tokens:
            for name in names(folder / "submitit"):
                if name.endswith(".pkl"):
                    yield _measured(folder / "submitit" / name, "pickles of submissions that have ended")


def _code(layout: Layout, in_use: frozenset[str]) -> Iterator[Removal]:
    """The record goes first: a snapshot without one is taken anew."""
    for name in names(layout.code):
        hashed = name.removesuffix(".json")
        if _HASH.fullmatch(hashed) and hashed not in in_use and name.endswith(".json"):
            yield _measured(layout.code / name, "code snapshots that no job names")
            yield _measured(layout.code / hashed, "code snapshots that no job names")
        elif _is(name, ".patch") and name.removesuffix(".patch") not in in_use:
            yield _measured(layout.code / name, "differences to a commit that no job names")
    for name in names(layout.code / "origins"):
        if _is(name, ".json") and name.removesuffix(".json") not in in_use:
            yield _measured(layout.code / "origins" / name, "records of submitted trees that no job names")
    software = layout.code / "software"
    known = [read_json(software / f"{name}.json", Software) for name in in_use]
    locks = {one.lock for one in known if one is not None}
    for name in names(software):
        lock = _is(name, ".uv.lock") and name.removesuffix(".uv.lock") not in locks
        if lock or (_is(name, ".json") and name.removesuffix(".json") not in in_use):
            yield _measured(software / name, "lists of installed packages that no job names")


def _is(name: str, ending: str) -> bool:
    return name.endswith(ending) and _HASH.fullmatch(name.removesuffix(ending)) is not None


def _measured(path: Path, why: str) -> Removal:
    """With its size."""
    files, room = measured([path])
    return Removal(path=path, why=why, bytes=room, files=files)


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
