"""Facts about processes of this host from /proc, and signals to whole groups (Linux; proc(5), pidfd_open(2)).

A process is told by pid and start, in clock ticks since the boot: a clock that is set back changes neither.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TOKEN = "ORCH_TOKEN"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/<pid>/stat."""

    pid: int
    state: str
    parent: int
    session: int
    start: int
    """Ticks since the boot."""
    threads: int

    @property
    def ended(self) -> bool:
        """A zombie has ended (in a container nobody may ever reap it), but not while it has more threads than its first
        one: those work on after that one's end, and its exit status cannot be asked for before theirs."""
        return self.state in "ZX" and self.threads <= 1


@dataclass(frozen=True, slots=True)
class Group:
    """A worker with all that it started: known by the token in the environment, and by the session it leads."""

    token: str
    pid: int
    start: int
    watched: bool
    """Whether its leader was seen alive by this very process: only then is the session's number above doubt, because
    pids are reused once the whole session is gone."""


@functools.cache
def namespace() -> int:
    """The namespace of pids that we live in (pid_namespaces(7)): a pid of another container says nothing here."""
    return Path("/proc/self/ns/pid").stat().st_ino


def since_boot() -> float:
    """Seconds since the boot, on the clock that start times are on."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def process(pid: int) -> Process | None:
    """The process that has this pid now, ended ones included; None where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]), int(fields[17]))


def alive(pid: int, start: int) -> bool:
    """Whether that very process still runs."""
    found = process(pid)
    return found is not None and found.start == start and not found.ended


def processes() -> Iterator[Process]:
    """Every process of this host that runs."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            found = process(int(entry.name))
            if found is not None and not found.ended:
                yield found


def names_of(pid: int) -> frozenset[str] | None:
    """The names in the environment that a process began with; None where it may not be read (another user's)."""
    try:
        text = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    return frozenset(os.fsdecode(item.partition(b"=")[0]) for item in text.split(b"\0") if item)


def token_of(pid: int) -> str | None:
    """The token in a process's environment: '' where it has none, None where it may not be read (another user's)."""
    try:
        text = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    for item in text.split(b"\0"):
        if item.startswith(TOKEN.encode() + b"="):
            return item.partition(b"=")[2].decode(errors="replace")
    return ""


def leaders(tokens: Iterable[str]) -> dict[str, Process]:
    """Token → the worker that carries it: the session leader, else the oldest process with that token."""
    wanted = set(tokens)
    found: dict[str, Process] = {}
    if not wanted:
        return found
    for one in processes():
        token = token_of(one.pid)
        if token in wanted and token is not None:
            known = found.get(token)
            leads = one.session == one.pid
            if known is None or (leads, -one.start) > (known.session == known.pid, -known.start):
                found[token] = one
    return found


def members(groups: Sequence[Group]) -> dict[str, list[Process]]:
    """Token → the processes of each group that still run, in one pass over all processes."""
    found: dict[str, list[Process]] = {group.token: [] for group in groups}
    sessions = {group.pid: group for group in groups if group.watched and not _reused(group)}
    for one in processes() if groups else ():
        token = token_of(one.pid)
        if token in found and token is not None:
            found[token].append(one)
        elif not token and one.session in sessions and one.start >= sessions[one.session].start:
            found[sessions[one.session].token].append(one)
    return found


def _reused(group: Group) -> bool:
    now = process(group.pid)
    return now is not None and now.start != group.start


def send(targets: Iterable[Process], number: signal.Signals) -> None:
    """Signal exactly these processes, never one that has got the pid of one of them meanwhile."""
    for target in targets:
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(target.pid)
            try:
                if alive(target.pid, target.start):
                    signal.pidfd_send_signal(handle, number)
                    if number is signal.SIGTERM:  # a stopped process acts on it only when it goes on
                        signal.pidfd_send_signal(handle, signal.SIGCONT)
            finally:
                os.close(handle)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child of ours ended."""

    code: int | None
    signal: int | None
    peak_memory_mb: float

    def __str__(self) -> str:
        if self.signal is not None:
            try:
                name = signal.Signals(self.signal).name
            except ValueError:
                name = f"signal {self.signal}"
            return f"ended by {name}, peak memory {self.peak_memory_mb:.0f} MB"
        return f"exit code {self.code}, peak memory {self.peak_memory_mb:.0f} MB"


def reap(pid: int) -> Exit | None:
    """How our child ended; None where it runs, or is no child of ours (wait4(2))."""
    try:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    if ended == 0:
        return None
    peak = usage.ru_maxrss / 1024
    if os.WIFSIGNALED(status):
        return Exit(None, os.WTERMSIG(status), peak)
    return Exit(os.waitstatus_to_exitcode(status), None, peak)
