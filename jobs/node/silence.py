"""Whether a running program hangs: its signs of life as its worker sees them, held against what was learnt of it.

The worker watches, and not the supervisor: it is beside the program, it has one clock that never jumps, and it goes on
while orch is away. What it cannot see counts for nothing: where the program, or the worker itself, was stopped
(SIGSTOP, SLURM's suspend, a host that slept, a disk that hung), the silence begins anew afterwards.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.node import ranks
from jobs.rhythm import OPTION, Limit, Pulse, Rhythm, limit, together

LOOK_SECONDS = 1.0
ASLEEP_SECONDS = 10.0
"""So much later than it was due a look comes from a worker that was stopped itself, or that a disk held up."""
STOPPED_SECONDS = 10.0
"""How often a silent program's processes are looked at, whether somebody has stopped one."""
COST = 1000
"""A look waits for so many times what the last one took: a thousandth of a core at the most."""
_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
_STOPPED = "Tt"
"""States of /proc/<pid>/stat (proc(5)): stopped by a signal, or by a debugger."""


@dataclass(frozen=True)
class Process:
    """One line of /proc/<pid>/stat."""

    pid: int
    state: str
    cpu_seconds: float = 0.0
    """Its own and its ended children's, in user and in kernel mode."""
    memory_mb: float = 0.0


def process(pid: int) -> Process | None:
    """The process that has this pid now; None where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()  # from the third on
    return Process(pid, fields[0].decode(), sum(map(int, fields[11:15])) / _TICKS, int(fields[21]) * _PAGE / 2**20)


def tree(pid: int) -> list[Process]:
    """A process and all that descend from it, parents first."""
    found, left = list[Process](), [pid]
    while left:
        one = process(left.pop(0))
        if one is not None:
            found.append(one)
            left += _children(one.pid)
    return found


def _children(pid: int) -> list[int]:
    """By each of its threads (proc(5): /proc/<pid>/task/<tid>/children)."""
    found = list[int]()
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (thread / "children").read_bytes().split())
    return found


def printed(folder: Path) -> Hashable:
    """The sizes of all that an execution prints and reports: any change is a sign of life."""
    return tuple(_size(path) for path in _streams(folder))


def _streams(folder: Path) -> Iterable[Path]:
    for name in ("stdout", "stderr", "user_metrics.jsonl", "metrics.jsonl"):
        yield folder / name
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder / ranks.FOLDER):
            if entry.name.endswith((".stdout", ".stderr", ".jsonl")):
                yield Path(entry.path)


def _size(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


def given_of(options: Mapping[str, Any]) -> float | None:
    """What `--hang-after` says, in seconds; 0: off. None: it is learnt."""
    given = options.get(OPTION)
    return None if given is None or float(given) < 0 else float(given)


class Silence:
    """Watches one program."""

    def __init__(
        self,
        known: Sequence[Rhythm],
        given: float | None,
        device: str,
        *,
        signs: Callable[[], Hashable],
        processes: Callable[[], Sequence[Process]],
        held_up: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`known`: of earlier executions of the same config; `given`: what `--hang-after` says.

        `signs`: whatever changes with each sign of life; `processes`: of the program; `held_up`: whether a full disk
        makes it wait; `clock`: seconds, of a clock that stands still while the host sleeps.
        """
        self.given = given
        self.known = together(one for one in known if one.device == device)
        self._signs, self._processes, self._held_up, self._clock = signs, processes, held_up, clock
        at = clock()
        self.pulse = Pulse(began=at, device=device)
        self._seen = signs()
        self._next, self._stopped_next = at + LOOK_SECONDS, at

    def look(self) -> str | None:
        """A sentence where it hangs; None otherwise. To be called often: it looks once a second."""
        at = self._clock()
        if at < self._next:
            return None
        late = at - self._next
        seen = self._signs()
        if late > ASLEEP_SECONDS or (self.pulse.silent(at) > STOPPED_SECONDS and self._stands_still(at)):
            self.pulse.stood_still(at)
        elif seen != self._seen:
            self.pulse.sign(at)
        self._seen = seen
        after = self._clock()
        self._next = after + max(LOOK_SECONDS, COST * (after - at))
        bound = self.limit()
        silent = self.pulse.silent(at)
        if bound is None or silent < bound.seconds:
            return None
        text = f"it hangs: no sign of life for {_minutes(silent)} ({bound.why})"
        return text if not self._stands_still(at, now=True) else None

    def limit(self) -> Limit | None:
        """After how much silence it hangs now; None: nobody can say."""
        if self.given is not None:
            return Limit(self.given, f"--hang-after {self.given:.0f} s") if self.given > 0 else None
        return limit(self.pulse.rhythm(), self.known)

    def still(self) -> bool:
        """Whether it has given no sign since the last look."""
        return self._signs() == self._seen

    def rhythm(self, *, whole: bool) -> Rhythm | None:
        """What was learnt, at its end; None where it never gave a sign."""
        self.pulse.sign(self._clock())
        found = self.pulse.rhythm(whole=whole)
        return found if found.silences else None

    def _stands_still(self, at: float, *, now: bool = False) -> bool:
        """Whether somebody stopped a process of it, or it waits for a full disk. Looked at now and then."""
        if at < self._stopped_next and not now:
            return False
        began = self._clock()
        found = self._held_up() or any(one.state in _STOPPED for one in self._processes())
        self._stopped_next = at + max(STOPPED_SECONDS, COST * (self._clock() - began))
        if found:
            self.pulse.stood_still(at)
        return found


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
