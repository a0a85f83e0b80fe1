"""Why work ended: from an exception, from what a program printed last, from its exit and the kernel's counts."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from pathlib import Path

from jobs.errors import OrchError
from jobs.words import Cause

_BY_TEXT = (
    (Cause.GPU_OUT_OF_MEMORY, re.compile(r"(?:CUDA|HIP) out of memory|OutOfMemoryError|CUDA error: out of memory")),
    (Cause.GPU_FAULT, re.compile(r"CUDA error|NCCL|AcceleratorError|No CUDA GPUs are available")),
    (Cause.OUT_OF_MEMORY, re.compile(r"can't allocate memory|MemoryError|std::bad_alloc|Cannot allocate memory")),
)
MEMORY_SECONDS = 10.0
"""A kill for memory that is older says nothing of what ends now."""
_BY_OTHERS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class CommandFailed(OrchError):
    """The program ended with another exit code than 0, or left an unreadable result."""

    def __init__(self, text: str, cause: Cause = Cause.ERROR, node: str = "") -> None:
        """`node`: whose fault it was, of several nodes."""
        super().__init__(text)
        self.cause = cause
        self.node = node


def cause_of(error: BaseException) -> Cause:
    """The cause that an exception stands for; torch's classes are known by name, so that torch is not imported."""
    if isinstance(error, CommandFailed):
        return error.cause
    named = {cls.__name__ for cls in type(error).__mro__}
    text = str(error)
    if "OutOfMemoryError" in named and "DatabaseError" not in named:
        return Cause.GPU_OUT_OF_MEMORY
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return Cause.OUT_OF_MEMORY
    if "GpuFault" in named or "AcceleratorError" in named or "CUDA error" in text or "NCCL" in text:
        return Cause.GPU_FAULT
    return Cause.ERROR


def cause_of_program(code: int, last_line: str, oom_killed: bool) -> Cause:
    """The cause of a program's end with `code` (negative: by that signal), from the last line that it printed.

    `oom_killed`: the kernel has just killed something for memory. A signal of somebody else's is `killed`, one of its
    own (a segmentation fault) its own error.
    """
    if code < 0:
        if -code == signal.SIGKILL and oom_killed:
            return Cause.OUT_OF_MEMORY
        return Cause.KILLED if -code in _BY_OTHERS else Cause.ERROR
    return next((cause for cause, pattern in _BY_TEXT if pattern.search(last_line)), Cause.ERROR)


def oom_kills() -> int | None:
    """How many processes the kernel has killed for memory so far: in our cgroup where it counts, else on this host.

    Sources: memory.events (cgroup v2), memory.oom_control (v1), oom_kill in /proc/vmstat. None where none is readable.
    """
    counters = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                counters.append(Path(f"/sys/fs/cgroup{path}/memory.events"))
            elif "memory" in controllers.split(","):
                counters.append(Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control"))
    for file in [*counters, Path("/proc/vmstat")]:
        with contextlib.suppress(OSError):
            for line in file.read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
    return None


class MemoryKills:
    """Whether the kernel has killed something for memory in the last seconds: it counts kills, and not whose."""

    def __init__(self) -> None:
        self._before = self._now = oom_kills()
        self._at = time.monotonic()

    def look(self) -> None:
        """Forget what is older than a few seconds."""
        if time.monotonic() - self._at >= MEMORY_SECONDS:
            self._before, self._now, self._at = self._now, oom_kills(), time.monotonic()

    def rose(self) -> bool:
        now = oom_kills()
        return now is not None and self._before is not None and now > self._before
