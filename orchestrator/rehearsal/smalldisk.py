"""A small file system that may be made full, in a mount namespace of its own.

A process holds the namespace (`python -m orchestrator.rehearsal.smalldisk`) and does what it is told, a line at a time;
whatever it starts sees the file system too, and whoever started it sees it below /proc/PID/root (proc(5)). It is a
tmpfs whose size is set to what is used: nothing more can be written, and no memory is burnt on filling it.

Sources: unshare(2), user_namespaces(7), mount(2), tmpfs(5).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from jobs.errors import OrchError

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_REMOUNT, _PRIVATE, _RECURSIVE = 0x20, 1 << 18, 1 << 14
TRIES = 20
"""Somebody may write between the count and the new size, which is refused then."""
OK = "ok"


class NoSmallDisk(OrchError):
    """No file system can be mounted here; says why."""


class SmallDisks:
    """The process that holds the namespace. Ending it unmounts all, once nobody else is in there."""

    def __init__(self) -> None:
        """Raises NoSmallDisk."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONSAFEPATH": "1"},
            start_new_session=True,  # Ctrl-C is for whoever started it, and needs it for tidying
        )
        try:
            self._answer()
        except NoSmallDisk:
            self.close()
            raise

    @property
    def root(self) -> Path:
        """Where its file systems are seen from outside."""
        return Path("/proc") / str(self.process.pid) / "root"

    def ask(self, *words: object) -> None:
        """Have something done. Raises NoSmallDisk."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("\t".join(map(str, words)) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise NoSmallDisk(f"the process that holds the small disk is gone ({error.strerror})") from None
        self._answer()

    def _answer(self) -> None:
        assert self.process.stdout is not None
        said = self.process.stdout.readline().strip()
        if said != OK:
            raise NoSmallDisk(said or "the process that holds the small disk is gone")

    def close(self) -> None:
        """End it."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.process.wait()


def _call(name: str, *given: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*given) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _mount(source: bytes | None, target: str, kind: bytes | None, flags: int, options: bytes | None) -> None:
    _call("mount", source, os.fsencode(target), kind, ctypes.c_ulong(flags), options)


def _enter() -> None:
    """A mount namespace of our own; with a user namespace where this user may mount nothing outside one."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        _call("unshare", _NEW_MOUNTS)
    except PermissionError:
        _call("unshare", _NEW_MOUNTS | _NEW_USER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")  # the same user as before: it owns what it owned
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _mount(b"none", "/", None, _RECURSIVE | _PRIVATE, None)


def _mounted(folder: str, size: str) -> None:
    _mount(b"tmpfs", folder, b"tmpfs", 0, f"size={int(size)},mode=700".encode())


def _full(folder: str) -> None:
    for number in range(TRIES):
        state = os.statvfs(folder)
        used = (state.f_blocks - state.f_bfree) * state.f_frsize
        try:
            _mount(None, folder, None, _REMOUNT, f"size={max(used, state.f_frsize)}".encode())
        except OSError:
            if number == TRIES - 1:
                raise
        else:
            return


def _sized(folder: str, size: str) -> None:
    _mount(None, folder, None, _REMOUNT, f"size={int(size)}".encode())


def _supervised(root: str) -> None:
    from db.store import Store
    from orchestrator.supervision.starting import ensure_supervisor

    ensure_supervisor(Store(Path(root)))


_ORDERS: dict[str, Callable[..., None]] = {"mount": _mounted, "full": _full, "size": _sized, "supervise": _supervised}


def main() -> None:
    """Say whether something can be mounted, then do what is told until nobody tells any more."""
    try:
        _enter()
        print(OK, flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
        return
    for line in sys.stdin:
        name, *words = line.rstrip("\n").split("\t")
        try:
            _ORDERS[name](*words)
            print(OK, flush=True)
        except (OSError, OrchError) as error:
            print(str(error).replace("\n", " "), flush=True)


if __name__ == "__main__":
    main()
