"""What a host reads in the lab's folder that its caller wrote."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from slurm.lab import looking


def test_a_file_that_the_network_file_system_shows_late_is_seen(tmp_path: Path) -> None:
    late = threading.Timer(0.3, (tmp_path / ".look-n0").write_text, ["n0"])
    late.start()
    assert looking._seen(tmp_path, "n0") == "n0"
    assert [path.name for path in tmp_path.iterdir()] == [".look-n0"], "its own trial file is gone"


def test_a_file_that_is_not_there_or_another_one_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "SEEN_S", 0.0)
    assert looking._seen(tmp_path, "n1") == ""
    assert looking._seen(tmp_path / "none", "n1") == ""
    (tmp_path / ".look-n1").write_text("of another lab")
    assert looking._seen(tmp_path, "n1") != "n1"
