"""The ledger of one runner of a bundle: fsynced line by line, so that it holds when nobody looks (jobs/bundles.py)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from jobs import bundles
from jobs.bundles import BundleLine, Step
from jobs.files import fsync_folder, names, now, read_lines
from jobs.layout import Layout
from jobs.patience import patiently, reading
from jobs.records import Task

OVER = (Step.ENDED, Step.RETURNED, Step.CANCELLED)


class Ledger:
    """A file of its own for each start of a runner. Methods wait for a failing disk, and raise OSError after that."""

    def __init__(
        self, layout: Layout, token: str, index: int, *, restart: int, node: str, unwanted: Callable[[], bool]
    ) -> None:
        """`unwanted`: ends a wait early."""
        self._layout, self._token, self._index = layout, token, index
        self._restart, self._node, self._unwanted = restart, node, unwanted
        self.path, self.handle = patiently(lambda: layout.new_ledger(token, index, restart), unwanted=unwanted)
        self.write(Step.BEGUN)
        patiently(lambda: fsync_folder(self.path.parent), unwanted=unwanted)

    def write(self, step: Step, task: Task | None = None, **more: object) -> None:
        """One line, durable when this returns."""
        job, attempt = (task.job, task.attempt) if task is not None else (0, 0)
        line = BundleLine(step=step, job=job, attempt=attempt, node=self._node, at=now(), **more)  # type: ignore[arg-type]
        data = bundles.encoded(line)
        patiently(lambda: _append(self.handle, data), unwanted=self._unwanted)

    def unfinished(self, tasks: Sequence[Task]) -> list[Task]:
        """Those of which no runner before this one saw the end."""
        found = [one for one in reading(self._all, self._unwanted) if one[1] != self.path]
        standings = bundles.read((restart, list(read_lines(path, BundleLine))) for restart, path in found).standings
        over = {key for key, one in standings.items() if one.step in OVER}
        return [task for task in tasks if (task.job, task.attempt) not in over]

    def overtaken(self) -> bool:
        """Whether another runner of this task began after this one: SLURM took it for dead."""
        return any(restart > self._restart for restart, _ in self._all())

    def _all(self) -> list[tuple[int, Path]]:
        return self._layout.ledgers(self._token, self._index)

    def marked(self, tasks: Sequence[Task]) -> list[Task]:
        """Those that a person's cancel, or orch's, is to end."""
        folder = self._layout.bundle(self._token, self._index)
        there = set(names(folder))
        return [
            task
            for task in tasks
            if self._layout.cancel_mark(self._token, self._index, task.job, task.attempt).name in there
        ]


def _append(handle: int, data: bytes) -> None:
    os.write(handle, data)
    os.fsync(handle)
