"""A host without SLURM, for which the distribution's packages lie unpacked in the lab's folder, does its part.

The packages' files are those that are installed on this machine (dpkg-query(1)), and hidden on that host. Not of
`make test`: `make lab-chaos` runs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.lab import unpacking
from slurm.lab.looking import system
from slurm.lab.packages import PROGRAMS_BY_PACKAGE
from tests.helpers.servers import Servers, servers
from tests.helpers.servers.etc import USERS
from tests.lab.user import LONG, QUICK, User

pytestmark = pytest.mark.timeout(1200)
PACKAGES = (*unpacking.PACKAGES, "libmunge2")
HIDE = """
for name in "$@"; do
  if test -d "$name"; then mount -t tmpfs -o mode=755 tmpfs "$name"; else mount --bind /dev/null "$name"; fi
done
"""


@pytest.fixture
def lab() -> Iterator[Servers]:
    with servers("usagi", "tanuki", megabytes=256) as made:
        yield made


def unpack(root: Path) -> None:
    """What `unpacking.unpack` leaves where the packages can be fetched."""
    listed = subprocess.run(["dpkg-query", "--listfiles", *PACKAGES], capture_output=True, text=True, check=True)
    for word in sorted(set(listed.stdout.split("\n"))):
        source = Path(word)
        if word.startswith(("/usr/bin/", "/usr/sbin/", "/usr/lib/")) and source.is_file():
            target = root / word[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    unpacking._link_alternatives(root)


def installed() -> set[str]:
    """The files and folders that make a SLURM on this machine."""
    wanted = [name for package in ("slurm-wlm", "munge") for name in PROGRAMS_BY_PACKAGE[package]]
    found = {path for name in wanted if (path := shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin"))}
    return {str(Path(path).resolve()) for path in found} | {
        str(path) for path in Path("/usr/lib").glob("*-linux-gnu/slurm-wlm")
    }


def test_jobs_run_on_a_host_whose_slurm_is_unpacked(lab: Servers) -> None:
    mai = User(lab, at="usagi")
    root = mai.layout.root / "lab" / "packages" / system()
    unpack(root)
    for path in (mai.layout.root, *mai.layout.root.rglob("*")):
        os.chown(path, USERS[mai.name], USERS[mai.name], follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(0o700)
    lab["tanuki"].as_root("/bin/sh", "-euc", HIDE, "sh", *sorted(installed()))
    said = mai.orch("lab", "up", "usagi", "tanuki", *QUICK, timeout=LONG)
    assert "SLURM 22" in said and "installed" in said and "unpacked" in said, said
    mai.drain("usagi")
    for seeds in (3, 6, 9):
        terms = ("--seeds", str(seeds), "--mem", "100M", "--code", "live", "--no-canary", "--wait")
        mai.orch("submit", "command", *terms, "--", "sh", "-c", "sleep 1; hostname", timeout=LONG)
        mai.check_each_once(seeds)
        assert {run.node for run in mai.runs()} == {"tanuki"}
    mai.rest()

    there = User(lab, at="tanuki")  # typed on the host that has no SLURM of its own
    terms = ("--seeds", "12", "--mem", "100M", "--code", "live", "--no-canary", "--wait")
    there.orch("submit", "command", *terms, "--", "sh", "-c", "sleep 1; hostname", timeout=LONG)
    there.check_each_once(12)
    mai.resume("usagi")
    there.orch("submit", "command", *("--seeds", "20", *terms[2:]), "--", "sh", "-c", "sleep 2; hostname", timeout=LONG)
    there.check_each_once(12 + 20)
    mai.down()
