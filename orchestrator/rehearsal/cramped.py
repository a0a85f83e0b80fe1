"""A scratch store whose runs' folders are small disks, each of which may be made full."""

from __future__ import annotations

from pathlib import Path

import psutil

from jobs.files import make_folder
from jobs.layout import Layout
from jobs.node import progress
from orchestrator.rehearsal.scratch import Scratch
from orchestrator.rehearsal.smalldisk import NoSmallDisk, SmallDisks
from orchestrator.settings import Settings

ROOM = 3
"""A disk is so many times as large as what an undisturbed run left."""
LEAST_BYTES = 16 * 2**20
PART_OF_MEMORY = 4
"""It lies in memory, and takes at the most this part of what is free."""


class Disk:
    """The small disk of one run."""

    def __init__(self, disks: SmallDisks, folder: Path, size: int) -> None:
        self._disks, self._folder, self._size = disks, folder, size

    def fill(self) -> None:
        """No byte more can be written. Raises NoSmallDisk."""
        self._disks.ask("full", self._folder)

    def make_room(self) -> None:
        """As before. Raises NoSmallDisk."""
        self._disks.ask("size", self._folder, self._size)


class Cramped(Scratch):
    """Its supervisor and its workers live where the small disks are mounted."""

    def __init__(self, folder: Path, disks: SmallDisks, size: int) -> None:
        super().__init__(folder)
        self.disks, self.size = disks, size
        self.seen = Layout(disks.root / folder.relative_to("/") / ".orch")

    @classmethod
    def beside(cls, root: Path, settings: Settings, undisturbed: Path) -> Cramped:
        """For runs like that one, by its folder. Raises NoSmallDisk, StoreError."""
        size = max(LEAST_BYTES, ROOM * _bytes(undisturbed))
        if size > psutil.virtual_memory().available // PART_OF_MEMORY:
            raise NoSmallDisk(f"a small disk for its checkpoints would take {size / 1e9:.1f} GB of memory")
        disks = SmallDisks()
        try:
            return cls(cls.new_folder(root, settings).resolve(), disks, size)
        except BaseException:
            disks.close()
            raise

    def prepare(self, job: int) -> None:
        """Put a job's folder onto a disk of its own. Raises NoSmallDisk."""
        folder = self.layout.job(job)
        for one in (folder.parent, folder):
            make_folder(one)
        there = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.disks.ask("mount", folder, self.size)
        for name, data in there.items():
            (self.seen.job(job) / name).write_bytes(data)

    def disk(self, job: int) -> Disk:
        """Of that run."""
        return Disk(self.disks, self.layout.job(job), self.size)

    def ensure(self) -> None:
        self.disks.ask("supervise", self.layout.root)

    def end(self, *, keep: bool) -> None:
        super().end(keep=keep)
        self.disks.close()


def _bytes(folder: Path) -> int:
    return sum(entry.size for entry in progress.entries(folder))
