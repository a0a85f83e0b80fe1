"""A small disk that may be filled or made read-only: a tmpfs in a mount namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

MOUNT = 'mount -t tmpfs -o size=$1,mode=700 tmpfs "$2" && shift 2 && exec "$@"'


def _unshare() -> list[str]:
    return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", MOUNT, "sh"]


@cache
def why_not(folder: Path) -> str:
    """'' where a file system may be mounted here."""
    try:
        done = subprocess.run([*_unshare(), "1m", str(folder), "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


def run_on_small_disk(folder: Path, script: str, size: str = "24m") -> str:
    """Run Python text in which `folder` is such a disk, as FOLDER: its stdout. It must end well."""
    why = why_not(folder)
    if why:
        pytest.skip(f"!!! full and read-only disks were NOT tried: {why}")
    text = f"from pathlib import Path\nFOLDER = Path({str(folder)!r})\n{script}"
    given = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [*_unshare(), size, str(folder), sys.executable, "-c", text]
    done = subprocess.run(command, capture_output=True, text=True, env=given, timeout=240, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
