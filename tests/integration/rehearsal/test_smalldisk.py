"""A disk that a rehearsal makes full: in a mount namespace of its own, for root and for who is not."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.rehearsal.smalldisk import NoSmallDisk, SmallDisks
from tests.helpers.smalldisk import why_not

SIZE = 2**20


@pytest.fixture
def disks(tmp_path: Path) -> SmallDisks:
    if why := why_not(tmp_path):
        pytest.skip(f"!!! full disks were NOT tried: {why}")
    return SmallDisks()


def test_it_is_full_and_has_room_again(disks: SmallDisks, tmp_path: Path) -> None:
    disks.ask("mount", tmp_path, SIZE)
    inside = disks.root / tmp_path.relative_to("/")
    (inside / "kept").write_bytes(b"x" * 5000)
    disks.ask("full", tmp_path)
    with pytest.raises(OSError) as refused:
        (inside / "more").write_bytes(b"x" * 5000)
    assert refused.value.errno == errno.ENOSPC
    disks.ask("size", tmp_path, SIZE)
    (inside / "more").write_bytes(b"x" * 5000)
    assert (inside / "kept").read_bytes() == b"x" * 5000
    assert list(tmp_path.iterdir()) == [], "it is seen outside of its namespace"
    disks.close()


def test_what_cannot_be_is_a_sentence(disks: SmallDisks, tmp_path: Path) -> None:
    with pytest.raises(NoSmallDisk, match="No such file"):
        disks.ask("mount", tmp_path / "nowhere", SIZE)
    disks.process.kill()
    disks.process.wait()
    with pytest.raises(NoSmallDisk, match="gone"):
        disks.ask("full", tmp_path)
    disks.close()


def test_who_may_mount_nothing_does_so_in_a_user_namespace(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from orchestrator.rehearsal.smalldisk import NoSmallDisk, SmallDisks\n"
        "folder = Path(sys.argv[1])\n"
        "try:\n"
        "    disks = SmallDisks()\n"
        "except NoSmallDisk as error:\n"
        "    sys.exit(f'not here: {error}')\n"
        "disks.ask('mount', folder, 1 << 20)\n"
        "inside = disks.root / folder.relative_to('/')\n"
        "(inside / 'a').write_bytes(b'x' * 5000)\n"
        "disks.ask('full', folder)\n"
        "mine = os.readlink('/proc/self/ns/user') != os.readlink(f'/proc/{disks.process.pid}/ns/user')\n"
        "try:\n"
        "    (inside / 'b').write_bytes(b'x' * 5000)\n"
        "except OSError as error:\n"
        "    print(error.errno, (inside / 'a').stat().st_uid, mine)\n"
    )
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=given, timeout=60, check=False, preexec_fn=_without_mounting
    )
    if done.stderr.startswith("not here"):
        pytest.skip(f"!!! full disks of a user were NOT tried: {done.stderr}")
    assert (done.returncode, done.stdout.split()) == (0, [str(errno.ENOSPC), str(os.geteuid()), "True"]), done.stderr


def _without_mounting() -> None:
    """What it executes next is no more than a user, though it be root's: prctl(2), PR_CAPBSET_DROP, CAP_SYS_ADMIN."""
    ctypes.CDLL(None).prctl(24, 21, 0, 0, 0)
