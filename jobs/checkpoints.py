"""Checkpoints of a job over all its executions: named by step, checked on load, the newest valid one wins.

A checkpoint is two files in the execution's `checkpoints/`: the payload `step-<n>.pt`, then `step-<n>.json` with its
size and SHA-256, written last, so a payload without its record is torn by definition. torch is imported on use only.
"""

from __future__ import annotations

import hashlib
import io
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.files import is_full, names, read_json, write_bytes, write_json
from jobs.records import MetricLine, Record


class CheckpointRecord(Record, frozen=True, kw_only=True):
    """`step-<n>.json`. `step` orders them: it grows with progress only (a training counts its optimiser steps, so
    that it can save within an epoch). `history` is the whole metric history up to there."""

    step: int
    bytes: int
    sha256: str
    history: tuple[MetricLine, ...] = ()


class Checkpoints:
    """Saves to this execution's own folder; loads from any earlier execution of the job.

    `earlier`: the `checkpoints/` folders of the job's other executions of this generation.
    `every`: seconds between saves at epoch ends; 0 saves at every epoch.
    """

    def __init__(self, folder: Path, earlier: Iterable[Path] = (), *, every: float = 60.0, keep: int = 2) -> None:
        self.folder = folder
        self.earlier = tuple(earlier)
        self.every = every
        self.keep = keep
        self.newest_step = -1
        self._last_save = time.monotonic()

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
            self.folder.mkdir(exist_ok=True)
            write_bytes(path, data)
            write_json(path.with_suffix(".json"), record)
        except OSError as error:
            path.unlink(missing_ok=True)
            if not is_full(error):
                raise
            warnings.warn(f"no room for checkpoint {path}: going on without it", stacklevel=2)
            return None
        self.newest_step = step
        self._prune()
        return path

    def load(
        self, valid: Callable[[dict[str, Any]], str | None] = lambda state: None
    ) -> tuple[int, dict[str, Any], tuple[MetricLine, ...]] | None:
        """The newest valid checkpoint by step: (step, state, metric history), or None.

        `valid(state)` returns what is wrong with a state (non-finite weights) or None. A torn, damaged or invalid one
        is skipped with a warning. Tensors come back on the CPU; loaded with weights_only=True.
        """
        for record, path in self.candidates():
            try:
                data = path.read_bytes()
            except OSError as error:
                warnings.warn(f"skipped checkpoint {path}: {error}", stacklevel=2)
                continue
            if len(data) != record.bytes or hashlib.sha256(data).hexdigest() != record.sha256:
                warnings.warn(f"skipped checkpoint {path}: it is torn or damaged", stacklevel=2)
                continue
            import torch

            state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            wrong = valid(state)
            if wrong is not None:
                warnings.warn(f"skipped checkpoint {path}: {wrong}", stacklevel=2)
                continue
            self.newest_step = record.step
            return record.step, state, record.history
        return None

    def candidates(self) -> list[tuple[CheckpointRecord, Path]]:
        """All recorded checkpoints of all executions, newest step first; a torn record is skipped with a warning."""
        found = []
        for folder in (self.folder, *self.earlier):
            for name in names(folder):
                if name.startswith("step-") and name.endswith(".json"):
                    record = read_json(folder / name, CheckpointRecord)
                    if record is None:
                        warnings.warn(f"skipped checkpoint {folder / name}: its record is torn", stacklevel=2)
                        continue
                    found.append((record, (folder / name).with_suffix(".pt")))
        return sorted(found, key=lambda item: item[0].step, reverse=True)

    def _prune(self) -> None:
        """Remove all but the newest `keep` of this execution's own checkpoints."""
        own = [name for name in names(self.folder) if name.startswith("step-") and name.endswith(".json")]
        for name in own[: -self.keep]:
            record = self.folder / name
            record.unlink(missing_ok=True)
            record.with_suffix(".pt").unlink(missing_ok=True)


def newest_step(folders: Iterable[Path]) -> int:
    """The highest recorded step in these `checkpoints/` folders, by name only; -1 where there is none."""
    steps = [
        int(name[5:-5])
        for folder in folders
        for name in names(folder)
        if name.startswith("step-") and name.endswith(".json") and name[5:-5].isdigit()
    ]
    return max(steps, default=-1)
