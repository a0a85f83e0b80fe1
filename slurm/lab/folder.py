"""The lab's folder: for us alone, with all that SLURM reads."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from jobs.files import make_folder, write_bytes
from slurm.lab import plan, record
from slurm.lab.errors import ClusterError
from slurm.lab.record import Lab
from slurm.lab.secret import ensure_munge_key

_USABLE = re.compile(r"/[\w./+-]+")


def check(folder: Path) -> None:
    """Raise ClusterError where slurm.conf cannot name the folder."""
    if not _USABLE.fullmatch(str(folder)):
        raise ClusterError(
            f"the lab's folder {str(folder)!r} must be of letters, digits and ./+-_ only: name another with --folder"
        )


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[None]:
    """The lab's folder, for us alone; one that was not there is gone again where nothing came of it."""
    try:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        make_folder(folder)
        folder.chmod(0o700)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ClusterError(
            f"the folder {folder} cannot be used ({error.strerror}): name another with --folder"
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ClusterError("another `orch lab` changes this lab just now: wait for it") from None
        yield
    except BaseException:
        if missing and not record.file_of(folder).exists():
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):  # somebody else began to use it meanwhile
                for one in missing[1:]:
                    one.rmdir()
        raise
    finally:
        os.close(handle)


def write(lab: Lab) -> bool:
    """Everything that SLURM reads, and what the lab is; whether anything that SLURM reads is new."""
    changed = False
    make_folder(lab.state)
    ensure_munge_key(lab.place / "munge.key")
    for name, text in plan.files(lab).items():
        path = lab.place / name
        if not path.exists() or path.read_text() != text:
            write_bytes(path, text.encode())
            changed = True
    record.save(lab)
    return changed
