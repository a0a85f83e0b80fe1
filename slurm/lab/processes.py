"""Linux processes told apart for certain: a pid alone is reused, a pid with its start time and boot is not."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs.hosts import boot_id

_PROC = Path("/proc")
_ENDED = ("Z", "X")


@dataclass(frozen=True)
class Process:
    """One process; `start_ticks` is its start in clock ticks since the boot (proc(5), field 22)."""

    pid: int
    start_ticks: int
    boot: str

    def is_alive(self) -> bool:
        """Whether it runs; a zombie does not, as PID 1 of a container may never reap it."""
        stat = _stat(self.pid)
        return (
            stat is not None
            and stat.start_ticks == self.start_ticks
            and stat.state not in _ENDED
            and self.boot == boot_id()
        )

    def send(self, signum: signal.Signals) -> bool:
        """Signal exactly this process; False where it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            # Looked at after the handle is open, so that the pid cannot change hands in between.
            if not self.is_alive():
                return False
            signal.pidfd_send_signal(handle, signum)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True


@dataclass(frozen=True)
class _Stat:
    name: str
    state: str
    parent: int
    start_ticks: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The name stands in brackets and may hold anything, brackets too.
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return _Stat(head.partition("(")[2], fields[0], int(fields[1]), int(fields[19]))


def find(pid: int) -> Process | None:
    """The live process of that pid, or None."""
    stat = _stat(pid)
    return None if stat is None or stat.state in _ENDED else Process(pid, stat.start_ticks, boot_id())


def environment(pid: int) -> dict[str, str]:
    """The environment that the process was started with; empty where it may not be read."""
    try:
        raw = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0") if b"=" in entry)
    return {os.fsdecode(key): os.fsdecode(value) for key, _, value in pairs}


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def matching(matches: Callable[[dict[str, str], str], bool], descendants: bool) -> list[Process]:
    """Every live process but this one of which `matches(starting environment, short name)` holds.

    With `descendants` their children come along whatever these did to their environment.
    """
    stats = {pid: stat for pid in _pids() if (stat := _stat(pid)) is not None}
    found = {pid for pid, stat in stats.items() if matches(environment(pid), stat.name)}
    if descendants:
        children: dict[int, list[int]] = {}
        for pid, stat in stats.items():
            children.setdefault(stat.parent, []).append(pid)
        queue = list(found)
        while queue:
            for child in children.get(queue.pop(), []):
                if child not in found:
                    found.add(child)
                    queue.append(child)
    boot = boot_id()
    return [
        Process(pid, stats[pid].start_ticks, boot)
        for pid in sorted(found - {os.getpid()})
        if stats[pid].state not in _ENDED
    ]


def kill_all(search: Callable[[], Iterable[Process]], timeout_s: float = 10.0) -> bool:
    """SIGKILL all that `search` finds until it finds nothing; False where some were left after `timeout_s`.

    All are frozen before the first is killed, so that none can report or react to another's death.
    """
    deadline = time.monotonic() + timeout_s
    while victims := list(search()):
        for signum in (signal.SIGSTOP, signal.SIGKILL):
            for victim in victims:
                victim.send(signum)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
