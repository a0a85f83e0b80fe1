"""Runs of `orch` by forks of one process that has imported it: half a second of CPU less for each.

A fork is a process of its own with the arguments, folder, environment and descriptors that were asked for; only the
imports are done. Where something decides before the first import (PYTHON*, LANG, a user, a namespace, a limit) nothing
is forked, and with ORCH_TEST_COLD=1 never.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import io
import json
import os
import pkgutil
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import db
import orchestrator.cli.main

DECIDED_BEFORE = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "MALLOC_")
"""Names of variables that the interpreter or the linker reads before any code of ours."""


class Zygote:
    """One server for each process of the tests; it ends with it."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asking = threading.Lock()
        self._surroundings = surroundings()
        self._environment = dict(os.environ)
        self._root = str(Path(__file__).parents[2])
        self._server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.helpers.zygote", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # nothing that looks like a terminal is inherited by its forks
            cwd=self._root,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": self._root},
        )
        theirs.close()

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether a fork would begin as a new interpreter does."""
        ours = {name: value for name, value in self._environment.items() if name.startswith(DECIDED_BEFORE)}
        asked = {name: value for name, value in environment.items() if name.startswith(DECIDED_BEFORE)}
        plain = {**ours, "PYTHONWARNINGS": "ignore", "PYTHONPATH": self._root}
        return asked == plain and surroundings() == self._surroundings and self._server.poll() is None

    def start(self, arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> Run:
        """A run of `orch` in a session of its own."""
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        told, told_end = socket.socketpair()
        asked = {"arguments": arguments, "folder": str(folder), "environment": dict(environment), "umask": _umask()}
        body = json.dumps(asked).encode()
        with told_end, self._asking:
            socket.send_fds(self._ours, [b"run"], [out_end, err_end, told_end.fileno()])
        os.close(out_end)
        os.close(err_end)
        told.sendall(struct.pack("!Q", len(body)) + body)
        return Run(out, err, told)


class Run:
    """A forked run: its pid, what it printed, how it ended."""

    def __init__(self, out: int, err: int, told: socket.socket) -> None:
        self._told = told
        self.returncode = 0
        self._texts = {out: b"", err: b""}
        self._order = (out, err)
        (self.pid,) = struct.unpack("!q", exactly(told, 8))
        self._readers = [threading.Thread(target=self._read, args=(number,), daemon=True) for number in (out, err)]
        for reader in self._readers:
            reader.start()

    def _read(self, number: int) -> None:
        with open(number, "rb") as pipe:
            self._texts[number] = pipe.read()

    def communicate(self, timeout: float) -> tuple[str, str]:
        """stdout and stderr, as of a Popen. Raises TimeoutExpired as it does."""
        self._told.settimeout(timeout)
        try:
            (status,) = struct.unpack("!q", exactly(self._told, 8))
        except TimeoutError:
            raise subprocess.TimeoutExpired("orch", timeout) from None
        for reader in self._readers:
            reader.join(timeout)
            if reader.is_alive():  # somebody who was left behind still holds its output
                raise subprocess.TimeoutExpired("orch", timeout)
        self._told.close()
        out, err = (
            io.TextIOWrapper(io.BytesIO(self._texts[number]), encoding="utf-8").read() for number in self._order
        )
        self.returncode = os.waitstatus_to_exitcode(status)
        return out, err


@functools.cache
def zygote() -> Zygote | None:
    """The one of this process; None where every run is to be a new interpreter."""
    return None if os.environ.get("ORCH_TEST_COLD") else Zygote()


def surroundings() -> tuple[object, ...]:
    """What a process inherits and a fork of another would not have."""
    kinds = (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_AS)
    limits = tuple(resource.getrlimit(kind) for kind in kinds)
    rooms = tuple(Path("/proc/self/ns", kind).readlink() for kind in ("mnt", "pid", "net", "uts", "user"))
    return (os.getresuid(), os.getresgid(), tuple(os.getgroups()), limits, rooms)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def exactly(connection: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise ConnectionError("the run was never begun")
        parts += part
    return parts


# ---- the server


def serve(number: int) -> NoReturn:
    """Fork a keeper for each run that is asked for, until nobody can ask any more."""
    for package in (db, orchestrator):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "migrations" not in module.name:
                importlib.import_module(module.name)
    assert "torch" not in sys.modules, "a fork of a process that has torch may hang"
    assert threading.active_count() == 1, "a fork has one thread of them"
    asking = socket.socket(fileno=number)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        word, handed, _, _ = socket.recv_fds(asking, 16, 3)
        if not word:
            os._exit(0)
        if os.fork() == 0:
            asking.close()
            _keep(*handed)
        for opened in handed:
            os.close(opened)


def _keep(out: int, err: int, told: int) -> NoReturn:
    """Start one run and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    connection = socket.socket(fileno=told)
    (size,) = struct.unpack("!Q", exactly(connection, 8))
    asked = json.loads(exactly(connection, size))
    pid = os.fork()
    if pid == 0:
        connection.close()
        _run(asked, out, err)
    os.close(out)
    os.close(err)
    with contextlib.suppress(OSError):  # who asked may be gone
        connection.sendall(struct.pack("!q", pid))
        connection.sendall(struct.pack("!q", os.waitpid(pid, 0)[1]))
    os._exit(0)


def _run(asked: dict[str, Any], out: int, err: int) -> NoReturn:
    """Become what `python -m orchestrator.cli.main` is after its imports, and end as it would."""
    code: object = 1
    try:
        os.setsid()
        os.umask(asked["umask"])
        os.chdir(asked["folder"])
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.closerange(3, max(out, err) + 1)
        os.environ.clear()
        os.environ.update(asked["environment"])
        sys.path[0] = asked["folder"]
        sys.argv = [orchestrator.cli.main.__file__, *asked["arguments"]]
        random.seed()
        orchestrator.cli.main.run()
    except SystemExit as left:
        code = left.code
    except BaseException:
        traceback.print_exc()
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # as an interpreter does at its end
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 120
    finally:
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    serve(int(sys.argv[1]))
