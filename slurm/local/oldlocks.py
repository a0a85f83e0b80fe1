"""GPU locks of orch 0.1.0: its workers, started before an update, still hold them. To be removed with the next version.

One file for each share in a common folder, written by anybody, so only a lock counts that some living process keeps
(flock(2)) or whose worker's session still runs; what the text says is believed of nothing but its size.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from jobs import hosts
from slurm.local import processes

DEFAULT = "/tmp/orch-gpu-locks"
MOST_BYTES = 4096


class _Text(msgspec.Struct, frozen=True, kw_only=True):
    token: str = ""
    parts: int = 1
    boot_id: str = ""
    namespace: int = 0
    pid: int | None = None
    start: int | None = None


@dataclass(frozen=True, kw_only=True)
class OldLock:
    """A share that is held."""

    index: int
    parts: int
    token: str
    uid: int
    pid: int | None


def held(folder: Path, name: str) -> Iterator[OldLock]:
    """The old locks on the device of this name that somebody holds; what is odd is passed over."""
    pattern = re.compile(re.escape(name) + r"\.(\d{1,6})\Z")
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return
    for entry in names:
        match = pattern.match(entry)
        if match is None:
            continue
        with contextlib.suppress(OSError):
            handle = os.open(folder / entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                found = _one(handle, int(match[1]))
            finally:
                os.close(handle)
            if found is not None:
                yield found


def _one(handle: int, index: int) -> OldLock | None:
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1 or facts.st_size > MOST_BYTES:
        return None
    try:
        text = msgspec.json.decode(os.pread(handle, MOST_BYTES, 0), type=_Text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        text = _Text()
    if not _locked(handle) and not _lingers(text):
        return None
    return OldLock(index=index, parts=max(1, text.parts), token=text.token, uid=facts.st_uid, pid=text.pid)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False


def _lingers(text: _Text) -> bool:
    if text.pid is None or text.start is None:
        return False
    if (text.boot_id, text.namespace) != (hosts.boot_id(), processes.namespace()):
        return False
    now = processes.process(text.pid)
    if now is not None and now.start != text.start:
        return False
    return any(one.session == text.pid and one.start >= text.start for one in processes.processes())
