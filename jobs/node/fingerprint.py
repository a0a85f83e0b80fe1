"""Which code a job was submitted with, so that a worker can say that it runs another."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jobs.records import Fingerprint


@cache
def source_hash() -> str:
    """A hash of the code that runs on nodes: every module of `jobs`."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def orch_version() -> str:
    """The installed version of orch, '0' from a bare checkout."""
    try:
        return version("orch")
    except PackageNotFoundError:
        return "0"


def of_orch() -> Fingerprint:
    """The fingerprint of orch's job code alone."""
    return Fingerprint(version=orch_version(), source=source_hash())


def take(folder: Path) -> Fingerprint:
    """The fingerprint of orch's job code and of the git checkout around `folder` (where there is one)."""
    commit = _git(folder, "rev-parse", "HEAD")
    diff = _git(folder, "diff", "HEAD") if commit is not None else None
    return Fingerprint(
        version=orch_version(),
        source=source_hash(),
        commit=commit.decode().strip() if commit is not None else None,
        diff=hashlib.sha256(diff).hexdigest()[:16] if diff else None,
    )


def changed(submitted: Fingerprint, here: Fingerprint) -> bool:
    """Whether a worker runs other code than the job was submitted with; without git, only orch's own is compared."""
    if (submitted.version, submitted.source) != (here.version, here.source):
        return True
    return here.commit is not None and (submitted.commit, submitted.diff) != (here.commit, here.diff)


def _git(folder: Path, *words: str) -> bytes | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
