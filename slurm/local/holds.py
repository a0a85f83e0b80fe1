"""A hold on a share of a GPU: what its file says, and whether anything of its user's is behind it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec

from jobs import hosts
from jobs.trust import ROOT
from slurm.local import processes
from slurm.local.slots import Share

MOST_BYTES = 4096


class Holder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a hold says of itself."""

    format: int = 2
    key: str
    index: int
    parts: int
    token: str
    uid: int = -1
    """Told by the file's owner and not by its text."""
    boot_id: str
    namespace: int
    """Of pids: a pid of another container says nothing here."""
    ticket: int = 0
    """Of one that still waits whether it may have the share; 0 once it has it."""
    pid: int | None = None
    """The worker, which leads its session; None until it was started."""
    start: int | None = None


def holder_here(key: str, share: Share, token: str, ticket: int = 0) -> Holder:
    """What a hold of this host says before its worker is started."""
    return Holder(
        key=key,
        index=share.index,
        parts=share.parts,
        token=token,
        boot_id=hosts.boot_id(),
        namespace=processes.namespace(),
        ticket=ticket,
    )


def read(handle: int) -> Holder | None:
    """What an open file says; None where it says nothing of a hold."""
    try:
        found = msgspec.json.decode(os.pread(handle, MOST_BYTES, 0), type=Holder)
    except (OSError, msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return found if found.parts >= 1 and found.index >= 0 else None


def write(handle: int, holder: Holder) -> None:
    """In one write, padded: a reader sees the old text or the new one."""
    os.pwrite(handle, msgspec.json.encode(holder).ljust(1024) + b"\n", 0)


def is_locked(handle: int) -> bool:
    """Whether somebody else keeps the file locked."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look do not see each other
    except OSError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False


def lives(holder: Holder, locked: bool) -> bool:
    """Whether anything of its user's is behind a hold."""
    if holder.boot_id != hosts.boot_id():
        return False
    if holder.namespace != processes.namespace() or not _seen():
        return locked  # its pids mean nothing to us, or are hidden: the lock is all that is known
    if holder.pid is None or holder.start is None:
        return locked  # by the launcher, or by the worker that it has just started
    if _is(holder.pid, holder.start, holder.uid):
        return True
    now = processes.process(holder.pid)
    if now is not None and now.start != holder.start:
        return False  # the number was given anew: the whole session had gone
    return any(
        one.session == holder.pid and one.start >= holder.start and _owner(one.pid) == holder.uid
        for one in processes.processes()
    )


def _is(pid: int, start: int, uid: int) -> bool:
    return processes.alive(pid, start) and _owner(pid) in (uid, ROOT)


def _owner(pid: int) -> int | None:
    """The user of a process; root's own where it may not be looked into (proc(5))."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None


def _seen() -> bool:
    """Whether /proc shows other users' processes (not mounted with hidepid)."""
    return processes.process(1) is not None
