"""Whatever lies in the place of a kept file, a run that cannot have its code says so and starts nothing."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from jobs.snapshots import SnapshotError
from tests.helpers.project import Project


@pytest.mark.parametrize("what", ["gone", "circle", "folder", "fifo", "device", "socket"])
@pytest.mark.timeout(30)
def test_what_lies_in_the_place_of_a_kept_file_starts_nothing(tmp_path: Path, what: str) -> None:
    """Neither a wait for a writer, nor a read without an end, nor a defect of orch."""
    project = Project(tmp_path / "p", with_git=False)
    project.write(a_py="1", b_py="2")
    first = project.take()
    kept = project.code / first.snapshot.hash / "b.py"
    kept.unlink()
    if what == "circle":
        kept.symlink_to("b.py")
    elif what == "folder":
        kept.mkdir()
    elif what == "fifo":
        os.mkfifo(kept)
    elif what == "device":
        kept.symlink_to("/dev/zero")
    elif what == "socket":
        kept.symlink_to(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(tmp_path / "s"))
    wanted = "lacks b.py" if what == "gone" else r"b\.py in the code snapshot .* is no file any more"
    with pytest.raises(SnapshotError, match=wanted):
        project.tree(first)
