"""Durable files: what has reached the disk when, seen by the calls themselves, and what is left where a write fails."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from db import journal
from db.entries import Cancel
from jobs import files, patience


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """fsync and rename as they happen, with the name of the file or folder."""
    made: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.replace

    def name(path: str | Path) -> str:
        return "temporary" if str(path).endswith(".tmp") else Path(path).name

    def synced(handle: int) -> None:
        made.append(("fsync", name(Path(f"/proc/self/fd/{handle}").readlink())))
        fsync(handle)

    def renamed(source: Path, target: Path, **more: int) -> None:
        made.append(("rename", f"{name(source)} {name(target)}"))
        rename(source, target, **more)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    return made


def test_a_durable_file_is_synced_then_named_then_its_folder_is_synced(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    files.write_bytes(folder / "outcome.json", b"whole")
    assert calls == [("fsync", "temporary"), ("rename", "temporary outcome.json"), ("fsync", "run")]
    calls.clear()
    files.write_json(folder / "heartbeat", 7, durable=False)
    assert calls == [("rename", "temporary heartbeat")]


def test_a_decision_has_reached_the_disk_with_the_folders_that_lead_to_it(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    """Files 999 and 1000 lie in different folders: the second one's own name must survive a power cut too."""
    (tmp_path / "journal").mkdir()
    for number in (999, 1000):
        calls.clear()
        journal.write(tmp_path / "journal", number, (Cancel(jobs=(1,), at=files.now()),))
        place = f"{number:09d}.json"
        assert calls == [
            ("fsync", "journal"),
            ("fsync", "temporary"),
            ("rename", f"temporary {place}"),
            ("fsync", str(number // 1000)),
        ]
    calls.clear()
    journal.write(tmp_path / "journal", 1001, (Cancel(jobs=(1,), at=files.now()),))
    assert [call for call, _ in calls] == ["fsync", "rename", "fsync"]


def test_a_reader_sees_the_old_file_or_the_new_one_and_a_failed_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "job.json"
    files.write_bytes(path, b"old")
    with path.open("rb") as reader:
        files.write_bytes(path, b"newer")
        assert reader.read() == b"old", "it was written into the very file that somebody reads"
    assert path.read_bytes() == b"newer"

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_bytes(path, b"lost")
    assert path.read_bytes() == b"newer" and files.names(tmp_path) == ["job.json"]


class Torn:
    """A disk that takes some bytes of a line and then no more."""

    def __init__(self, handle: int, room: int) -> None:
        self.handle = handle
        self.room = room

    def __enter__(self) -> Torn:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)

    def tell(self) -> int:
        return os.fstat(self.handle).st_size

    def truncate(self, size: int) -> None:
        os.ftruncate(self.handle, size)

    def write(self, data: bytes) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = os.write(self.handle, data[: self.room])
        self.room -= written
        return written


def test_a_line_that_did_not_fit_leaves_no_half_to_glue_the_next_one_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.jsonl"
    files.append_json(path, {"epoch": 1})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", lambda handle, *_, **__: Torn(handle, 5))
        with pytest.raises(OSError, match="No space"):
            files.append_json(path, {"epoch": 2})
    files.append_json(path, {"epoch": 3})
    assert path.read_bytes() == b'{"epoch":1}\n{"epoch":3}\n'


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_waited_for(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    failures = [OSError(number, "full")] * 2

    def write() -> str:
        if failures:
            raise failures.pop()
        return "written"

    assert patience.patiently(write, 60.0) == "written"


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOTDIR])
def test_what_waiting_does_not_mend_is_told_at_once(number: int) -> None:
    tries = []

    def write() -> None:
        tries.append(number)
        raise OSError(number, "never")

    with pytest.raises(OSError, match="never"):
        patience.patiently(write, 60.0)
    assert len(tries) == 1
