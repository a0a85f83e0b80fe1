"""Checkpoints of a job over all its executions: named by step, checked on load, the newest valid one wins.

A checkpoint is two files in the execution's `checkpoints/`: the payload `step-<n>.pt`, then `step-<n>.json` with its
size and SHA-256, written last, so a payload without its record is torn by definition. torch is imported on use only.
"""

from __future__ import annotations

import hashlib
import io
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jobs.errors import DataError
from jobs.files import make_folder, names, open_regular, write_bytes, write_json
from jobs.patience import may_pass, never, read_patiently, reading
from jobs.records import MOST_STEPS, MetricLine, Number, Record, Step

RECORD = re.compile(r"^step-([0-9]{1,19})\.json\Z")


class CheckpointRecord(Record, frozen=True, kw_only=True):
    """`step-<n>.json`. `step` orders them: it grows with progress only (a training counts its optimiser steps, so
    that it can save within an epoch). `history` is the whole metric history up to there."""

    step: Step
    bytes: Number
    sha256: str
    history: tuple[MetricLine, ...] = ()


class Checkpoints:
    """Saves to this execution's own folder; loads from any earlier execution of the job.

    `earlier`: the `checkpoints/` folders of the job's other executions of this generation. A read that a failing disk
    refuses is tried again unless it is `unwanted`, then raises OSError.
    `every`: seconds between saves at epoch ends; 0 saves at every epoch.
    """

    def __init__(
        self,
        folder: Path,
        earlier: Iterable[Path] = (),
        *,
        every: float = 60.0,
        keep: int = 2,
        unwanted: Callable[[], bool] = never,
    ) -> None:
        self.folder = folder
        self.unwanted = unwanted
        self.earlier = tuple(earlier)
        self.every = every
        self.keep = keep
        self.newest_step = -1
        self.resumed_step = -1
        """The step that this execution goes on from."""
        self._last_save = time.monotonic()

    def began_at(self, step: int) -> None:
        """This execution goes on from that step."""
        self.newest_step = self.resumed_step = step

    def due(self) -> bool:
        """Whether `every` seconds have passed since the last save (ask at epoch ends)."""
        return time.monotonic() - self._last_save >= self.every

    def save(self, step: int, state: Mapping[str, Any], history: Sequence[MetricLine]) -> Path | None:
        """Write a checkpoint whole or not at all, then prune own older ones. Raises OSError.

        None where there is no room: the work goes on, and the next save tries again.
        """
        import torch

        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        data = buffer.getvalue()
        path = self.folder / f"step-{step:08d}.pt"
        digest = hashlib.sha256(data).hexdigest()
        record = CheckpointRecord(step=step, bytes=len(data), sha256=digest, history=tuple(history))
        self._last_save = time.monotonic()
        try:
            make_folder(self.folder)
            write_bytes(path, data)
            write_json(path.with_suffix(".json"), record)
        except OSError as error:
            path.unlink(missing_ok=True)
            if not may_pass(error):
                raise
            warnings.warn(f"no room for checkpoint {path}: going on without it", stacklevel=2)
            return None
        self.newest_step = step
        self._prune()
        return path

    def load(
        self,
        valid: Callable[[dict[str, Any]], str | None] = lambda state: None,
        use: Callable[[dict[str, Any]], None] = lambda state: None,
    ) -> tuple[int, dict[str, Any], tuple[MetricLine, ...]] | None:
        """The newest valid checkpoint by step: (step, state, metric history), or None.

        `valid(state)` returns what is wrong with a state (non-finite weights) or None; `use(state)` goes on from it.
        A torn, damaged or invalid one, and one at which either raises, is skipped with a warning. Tensors come back on
        the CPU; loaded with weights_only=True.
        """
        for record, path in self.candidates():
            try:
                state = reading(partial(_read, path, record), self.unwanted)
                wrong = valid(state)
                if wrong is None:
                    use(state)
            except DataError as error:
                wrong = str(error)
            except MemoryError:
                raise  # no fault of the checkpoint's
            except OSError as error:
                if may_pass(error):
                    raise  # an older one, or none, would throw work away that is there
                wrong = f"it cannot be read ({error.strerror})"
            except Exception as error:  # whatever unpickling foreign bytes, or a foreign state, comes to
                if "OutOfMemoryError" in {cls.__name__ for cls in type(error).__mro__}:
                    raise
                wrong = f"it cannot be used ({type(error).__name__}: {str(error)[:200]})"
            if wrong is not None:
                warnings.warn(f"skipped checkpoint {path}: {wrong}", stacklevel=2)
                continue
            self.began_at(record.step)
            return record.step, state, record.history
        return None

    def candidates(self) -> list[tuple[CheckpointRecord, Path]]:
        """All recorded checkpoints of all executions, newest step first; a torn record is skipped with a warning."""
        found = []
        for folder in (self.folder, *self.earlier):
            for name in _listed(folder, self.unwanted):
                if RECORD.match(name):
                    record = read_patiently(folder / name, CheckpointRecord, self.unwanted)
                    if record is None:
                        warnings.warn(f"skipped checkpoint {folder / name}: its record is torn", stacklevel=2)
                        continue
                    found.append((record, (folder / name).with_suffix(".pt")))
        return sorted(found, key=lambda item: item[0].step, reverse=True)

    def _prune(self) -> None:
        """Remove all but the newest `keep` of this execution's own checkpoints."""
        own = sorted((int(found[1]), name) for name in names(self.folder) if (found := RECORD.match(name)))
        for _, name in own[: -self.keep]:
            record = self.folder / name
            record.unlink(missing_ok=True)
            record.with_suffix(".pt").unlink(missing_ok=True)


def _listed(folder: Path, unwanted: Callable[[], bool]) -> list[str]:
    """The names in a checkpoint folder; none where it cannot be listed (a loop of links, no right to).

    Raises OSError for a failing disk.
    """
    try:
        return reading(lambda: names(folder), unwanted)
    except OSError as error:
        if may_pass(error):
            raise
        warnings.warn(f"skipped the checkpoints in {folder}: {error}", stacklevel=3)
        return []


def _read(path: Path, record: CheckpointRecord) -> dict[str, Any]:
    """Raises DataError for one that is torn, and whatever torch raises."""
    with open_regular(path) as handle:
        data = handle.read(record.bytes + 1)
    if len(data) != record.bytes or hashlib.sha256(data).hexdigest() != record.sha256:
        raise DataError("it is torn or damaged")
    import torch

    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise DataError(f"it holds {type(state).__name__}, no dict")
    return state


def newest_step(folders: Iterable[Path]) -> int:
    """The highest recorded step in these `checkpoints/` folders, by name only; -1 where there is none."""
    steps = [
        int(found[1])
        for folder in folders
        for name in names(folder)
        if (found := RECORD.match(name)) and int(found[1]) <= MOST_STEPS
    ]
    return max(steps, default=-1)
