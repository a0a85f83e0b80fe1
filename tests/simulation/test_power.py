"""A power cut of the supervisor's machine loses what was not fsynced; what the store rests on is fsynced first."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from db.journal import JournalDamaged
from jobs import files
from tests.simulation import schedule
from tests.simulation.invariants import Broken
from tests.simulation.power import Disk


def written(disk: Disk, path: Path, data: bytes, *, content: bool, name: bool) -> None:
    """A file by its temporary name, with one fsync or the other."""
    temporary = path.with_name("temporary")
    with temporary.open("wb") as handle:
        handle.write(data)
        if content:
            disk.synced(handle.fileno(), by_it=True)
    disk.renaming(temporary, path)
    temporary.replace(path)
    if name:
        folder = os.open(path.parent, os.O_RDONLY)
        disk.synced(folder, by_it=False)
        os.close(folder)


def test_what_a_power_cut_may_take(tmp_path: Path) -> None:
    """Of the four orders only that of both fsyncs is safe: the others lose the name, the content, or both."""
    seen: dict[str, set[bytes | None]] = {}
    for seed in range(40):
        disk = Disk()
        for content in (True, False):
            for name in (True, False):
                path = tmp_path / f"{content}-{name}" / "file"
                path.parent.mkdir(exist_ok=True)
                path.unlink(missing_ok=True)
                written(disk, path, b"new", content=content, name=name)
        disk.cut(Random(seed))
        for folder in tmp_path.iterdir():
            path = folder / "file"
            seen.setdefault(folder.name, set()).add(path.read_bytes() if path.exists() else None)
    assert seen == {
        "True-True": {b"new"},
        "True-False": {b"new", None},
        "False-True": {b"new", b""},
        "False-False": {b"new", None},
    }


def test_an_older_file_is_back_where_its_successor_was_lost(tmp_path: Path) -> None:
    disk = Disk()
    path = tmp_path / "file"
    written(disk, path, b"old", content=True, name=True)
    written(disk, path, b"new", content=True, name=False)
    while path.read_bytes() == b"new":
        disk.cut(Random(1))
        if path.read_bytes() == b"new":
            written(disk, path, b"new", content=True, name=False)
    assert path.read_bytes() == b"old"


def test_the_schedules_notice_a_folder_that_is_not_fsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database would be ahead of a journal file that is gone."""
    monkeypatch.setattr(files, "fsync_folder", lambda folder: None)
    with pytest.raises((Broken, JournalDamaged), match=r"is missing|files ahead of the database"):
        for seed in range(1, 60):
            schedule.run(seed)
