"""How far a program came whose checkpoints only it can read: any change of its checkpoint folder is a step.

The worker counts the changes it sees and keeps the count with the folder's digest in `progress.json`. Whoever reads
that later compares the digest with the folder, so a change in the last moment before a kill counts too, and a rebuild
comes to the same count. A worker that writes its outcome has looked before: then the outcome's word is the last. It
goes on from the counts of earlier executions, so that budgets can compare them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs.files import write_json
from jobs.patience import may_pass, read_once
from jobs.records import MOST_STEPS, Outcome, Record, Step

FILE = "progress.json"
LOOK_SECONDS = 0.5
COST = 20
"""A look waits for so many times what the last one took: a folder of 100,000 files is looked at seldom."""


class Progress(Record, frozen=True, kw_only=True):
    """`progress.json`: how many changes of the checkpoint folder were seen, and its digest at the last."""

    step: Step = -1
    digest: str = ""


@dataclass(frozen=True)
class Entry:
    """One file or link below a folder; links are never followed."""

    path: str
    """Relative; bytes that are not UTF-8 as Python's surrogates."""
    size: int
    mtime_ns: int
    link: str | None = None
    """Where it points, of a link."""


def entries(folder: Path) -> Iterator[Entry]:
    """Every regular file and link below a folder, in no order; what vanishes meanwhile, and what is neither, is left
    out, and so is a folder below that may not be read. Nothing where the folder is none itself. Raises OSError, also
    where a failing disk hides something."""
    if folder.is_symlink() or not folder.is_dir():
        return
    left = [""]
    while left:
        inner = left.pop()
        try:
            with os.scandir(folder / inner) as listing:
                found = list(listing)
        except OSError as error:
            if not inner or may_pass(error):
                raise
            continue
        for entry in found:
            name = f"{inner}/{entry.name}" if inner else entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    left.append(name)
                elif entry.is_symlink():
                    state = entry.stat(follow_symlinks=False)
                    yield Entry(name, state.st_size, state.st_mtime_ns, str(Path(entry.path).readlink()))
                elif entry.is_file(follow_symlinks=False):
                    state = entry.stat(follow_symlinks=False)
                    yield Entry(name, state.st_size, state.st_mtime_ns)
            except OSError as error:
                if may_pass(error):
                    raise


def digest(folder: Path) -> str:
    """Names, sizes, times and links below a folder as one short text; '' for no file at all. Raises OSError."""
    found = sorted(f"{e.path}\0{e.size}\0{e.mtime_ns}\0{e.link}" for e in entries(folder))
    if not found:
        return ""
    return hashlib.sha256("\n".join(found).encode(errors="surrogateescape")).hexdigest()[:16]


def counted(execution: Path, kept: Progress) -> int:
    """The count by what the worker kept and what the folder holds now."""
    try:
        here = digest(execution / "checkpoints")
    except OSError:
        return kept.step
    return kept.step if here in ("", kept.digest) else after(kept.step)


def after(step: int) -> int:
    """The count after one more change: it begins at 1."""
    return min(max(step, 0) + 1, MOST_STEPS)


def reached(execution: Path) -> int:
    """How far an execution came: by its outcome, before which its worker has looked, else by its count and its folder.

    Where an earlier version of orch ran it, the newest file's time stands for the count. Raises OSError where a failing
    disk hides the count.
    """
    outcome = read_once(execution / "outcome.json", Outcome)
    kept = read_once(execution / FILE, Progress)
    if kept is None:
        step = newest_file(execution / "checkpoints")
    else:
        step = counted(execution, kept) if outcome is None else kept.step
    return step if outcome is None else max(step, outcome.checkpoint_step)


def newest_file(folder: Path) -> int:
    """The mtime of the newest file below a folder, in ns; -1 where there is none."""
    with contextlib.suppress(OSError):
        return max((entry.mtime_ns for entry in entries(folder) if entry.link is None), default=-1)
    return -1


class Watch:
    """Looks at a running program's checkpoint folder and counts its changes."""

    def __init__(self, execution: Path, earlier: Iterable[Path]) -> None:
        """`earlier`: the folders of the job's other executions, whose count goes on. Raises OSError."""
        self.execution = execution
        self.kept = Progress(step=max(map(reached, earlier), default=-1), digest=digest(execution / "checkpoints"))
        self._next = 0.0
        self._written = True
        write_json(execution / FILE, self.kept)

    @property
    def step(self) -> int:
        return self.kept.step

    def look(self, *, now: bool = False) -> None:
        """Count a change, at most twice a second. On a full disk the count is written later, or told by the outcome."""
        began = time.monotonic()
        if began < self._next and not now:
            return
        with contextlib.suppress(OSError):
            here = digest(self.execution / "checkpoints")
            if here not in ("", self.kept.digest):
                self.kept, self._written = Progress(step=after(self.kept.step), digest=here), False
            if not self._written:
                write_json(self.execution / FILE, self.kept)
                self._written = True
        ended = time.monotonic()
        self._next = ended + max(LOOK_SECONDS, COST * (ended - began))
