"""SLURM unpacked without root: which packages are fetched, and that its daemons are found under their own names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slurm.lab import unpacking
from slurm.lab.errors import ClusterError
from slurm.lab.packages import Programs

APT = """#!/bin/sh
case $1 in
  install) echo 'Inst slurmd (22.05.8-4 Debian:12 [amd64])' ;;
  download) [ "$3" = slurmd ] && touch slurmd_1.deb ;;
esac
"""
DPKG = """#!/bin/sh
mkdir -p "$3/usr/sbin" && printf '#!/bin/sh\\n' > "$3/usr/sbin/slurmd-wlm" && chmod +x "$3/usr/sbin/slurmd-wlm"
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get and a dpkg of one package."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, text in (("apt-get", APT), ("dpkg", DPKG)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_what_is_fetched_lies_below_the_folder_under_the_names_that_slurm_uses(tools: Path, tmp_path: Path) -> None:
    root = tmp_path / "debian-12"
    unpacking.unpack(root)
    assert Programs(root).own("slurmd") == str(root / "usr/sbin/slurmd")
    assert [path.name for path in tmp_path.iterdir() if path != tools] == ["debian-12"]


def test_a_fetch_that_fails_leaves_nothing_and_says_whom_to_ask(tools: Path, tmp_path: Path) -> None:
    (tools / "apt-get").write_text("#!/bin/sh\necho 'E: Unable to locate package slurmd' >&2; exit 100\n")
    with pytest.raises(ClusterError, match=r"Unable to locate package slurmd\): ask its administrator for `apt-get"):
        unpacking.unpack(tmp_path / "debian-12")
    assert list(tmp_path.iterdir()) == [tools]
