"""How large a store is against what it may be, in words."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.errors import BadInput
from orchestrator.amounts import size_bytes, size_text
from orchestrator.room import Measured, Room, Tidied
from orchestrator.supervision import measuring

AT = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 2**30


def room(used: int, quota: int | None = None, free: int = 50 * GIB, disk: int = 100 * GIB) -> Room:
    found = Measured(at=AT, bytes=used, files=1)
    return Room(measured=found, tidied=Tidied(), quota=quota, free=free, disk=disk)


def test_a_warning_comes_at_nine_tenths() -> None:
    assert room(9 * GIB - 1, 10 * GIB).warning() is None
    assert room(9 * GIB, 10 * GIB).warning() == (
        "the store holds 9.0 GiB of its 10.0 GiB (90% of [store] quota): 'orch clean --dry-run' says what nothing needs"
    )
    assert room(9 * GIB, None).warning() is None
    assert room(1, None, free=10 * GIB + 1).warning() is None
    assert "disk is 90% full, 10.0 GiB are free" in (room(1, None, free=10 * GIB).warning() or "")
    unknown = Room(measured=None, tidied=Tidied(), quota=1, free=1, disk=1)
    assert unknown.warning() is None and unknown.line(AT) == ""


def test_the_line_says_how_old_it_is() -> None:
    for age, said in ((5, "just measured"), (125, "2 min ago"), (3 * 3600, "3 h ago"), (2 * 86400, "2 d ago")):
        line = room(3 * GIB, 10 * GIB).line(AT + timedelta(seconds=age))
        assert line == f"store 3.0 GiB of 10.0 GiB ({said}), 50.0 GiB free"


def test_sizes_are_read_and_written() -> None:
    for text, size in (("500G", 500 * GIB), ("1.5T", 1536 * GIB), ("2 MiB", 2 << 20), ("8kb", 8192)):
        assert size_bytes(text, "quota") == size
    for wrong in ("", "500", "-1G", "0G", "G", "5P", "lots"):
        with pytest.raises(BadInput, match="500G"):
            size_bytes(wrong, "quota")
    assert [size_text(n) for n in (0, 1023, 1024, 1536, 5 << 40)] == ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 TiB"]


def test_a_store_is_counted_as_du_counts(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(os.urandom(1 << 20))
    root = tmp_path / "store"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "one").write_bytes(os.urandom(100_000))
    os.link(root / "a" / "one", root / "a" / "b" / "two")
    (root / "link").symlink_to(outside)
    (root / "circle").symlink_to(root)
    found = measuring.measure(root)
    assert 100_000 <= found.bytes < 200_000 and found.files == 3
    again = measuring.Measuring(tmp_path / "nowhere")
    again.look()
    again.look(leaving=True)
    assert not (tmp_path / "nowhere").exists()
