"""Two real users of this machine, made for a test and removed after it, and processes that run as them.

A process is forked from the test's own: an interpreter in root's home could not be started by another user. So whatever
it needs is imported before (`warm`).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Person:
    """A user, as a process has it."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    def start(
        self, act: Callable[[], Any], *, cwd: Path | None = None, extra: Mapping[str, str] | None = None
    ) -> Running:
        """Run `act` in a process of this user, which goes on until it returns."""
        read, write = os.pipe()
        pid = os.fork()
        if pid:
            os.close(write)
            return Running(pid, read)
        code = 1
        try:
            os.close(read)
            os.setsid()
            os.setgroups(list(self.groups))
            os.setresgid(self.gid, self.gid, self.gid)
            os.setresuid(self.uid, self.uid, self.uid)
            os.umask(0o022)
            os.environ.update(extra or {})
            os.environ["HOME"] = "/nonexistent"
            os.chdir(cwd or "/")
            try:
                result: tuple[bool, Any] = (True, act())
            except BaseException:
                result = (False, traceback.format_exc())
            data = pickle.dumps(result)
            while data:
                data = data[os.write(write, data) :]
            code = 0
        finally:
            os._exit(code)

    def run(self, act: Callable[[], Any], **options: Any) -> Any:
        """What `act` returns in a process of this user."""
        return self.start(act, **options).result()

    def orch(self, *arguments: str, cwd: Path, extra: Mapping[str, str] | None = None) -> tuple[int, str]:
        """The `orch` command as this user typed it: (exit code, all that it printed)."""
        return self.run(lambda: called(*arguments), cwd=cwd, extra=extra)  # type: ignore[no-any-return]


@dataclass
class Running:
    """A process of another user, a child of this one."""

    pid: int
    pipe: int

    def result(self, seconds: float = 60.0) -> Any:
        """What it returned. Fails with its traceback."""
        end = time.monotonic() + seconds
        data = b""
        while part := os.read(self.pipe, 65536):
            data += part
            assert time.monotonic() < end
        os.close(self.pipe)
        os.waitpid(self.pid, 0)
        assert data, "the process ended without a word"
        fine, value = pickle.loads(data)
        assert fine, value
        return value

    def kill(self) -> None:
        """As the kernel would, and it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.pipe)


def called(*arguments: str) -> tuple[int, str]:
    """Run the command inside this process: (exit code, what it printed to both streams)."""
    import io

    from orchestrator.cli.main import run

    out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    kept = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = out
    try:
        run(arguments)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout, sys.stderr = kept
    return code, out.buffer.getvalue().decode()  # type: ignore[attr-defined]


@contextlib.contextmanager
def people() -> Iterator[tuple[Person, Person]]:
    """Alice and Bob, both of one more group. Left out, in one line, where this user may make no users."""
    if os.geteuid() != 0 or shutil.which("useradd") is None:
        pytest.skip("two real users were NOT tried: that needs root and useradd")
    mark = secrets.token_hex(3)
    group = f"orch{mark}"
    _patiently("groupadd", group)
    made: list[str] = []
    try:
        for name in ("a", "b"):
            user = f"orch{name}{mark}"
            _patiently("useradd", "-M", "-G", group, user)
            made.append(user)
        found = []
        for user in made:
            entry = pwd.getpwnam(user)
            found.append(Person(user, entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(user, entry.pw_gid))))
        yield found[0], found[1]
    finally:
        for user in made:
            _patiently("userdel", user)
        _patiently("groupdel", group)


def _patiently(*command: str) -> None:
    """Another test may hold the lock of /etc/passwd."""
    for _ in range(50):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        time.sleep(0.2)
    raise AssertionError(f"{command}: {done.stderr}")
