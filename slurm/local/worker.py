"""One local worker as the backend follows it: whether it runs, whether its time is up, and how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence

from jobs.words import Cause
from slurm.backend import Observation, Phase
from slurm.causes import from_log
from slurm.local import processes
from slurm.local.record import LocalRecord

LOOK_AGAIN_SECONDS = 0.05
"""How often a group that is ending is looked at, once the worker itself has gone: its end is then seen in time."""
MEMORY_KILL_SECONDS = 5.0
"""The kernel counts a kill for memory before its victim is gone, which may take this long where much is freed."""


class Worker:
    """What is known of one worker and of all that it started; a new supervisor finds all of it again."""

    def __init__(self, record: LocalRecord, child: subprocess.Popen[bytes] | None) -> None:
        self.record = record
        self.child = child
        """Only where it is our own child: how it ended is known for these alone."""
        self.running = True
        self.left: list[processes.Process] = []
        """What of the group runs, when it was last looked at."""
        self.watch: int | None = None
        """A pidfd: readable from the worker's end on."""
        self.intent: Cause | None = None
        """Why we are ending it: cancelled or timeout."""
        self.ended: tuple[Cause, tuple[str, ...]] | None = None
        self._exit: processes.Exit | None = None
        self._watched = child is not None
        self._oom_kills = record.oom_kills
        """The kernel's count at the last look that was long enough ago."""
        self._newer_oom_kills = (time.monotonic(), record.oom_kills)
        self._limit = float("inf")
        if record.minutes is not None:
            began = record.start / processes.TICKS
            self._limit = time.monotonic() + began + record.minutes * 60 - processes.since_boot()
        self._warned_at: float | None = None
        self._term_at: float | None = None
        self._told: set[tuple[int, int]] = set()
        """Pid and start of those that have had their TERM."""
        self._kill_sent = False

    @property
    def group(self) -> processes.Group:
        return processes.Group(self.record.token, self.record.pid, self.record.start, self._watched)

    @property
    def killed_by_others(self) -> bool:
        return self._exit is not None and self._exit.signal == signal.SIGKILL and not self._kill_sent

    def must_end(self, grace: float) -> bool:
        """Whether the group is to be signalled: it outlived its worker, was cancelled, or overran limit and grace."""
        overran = self._warned_at is not None and time.monotonic() >= self._warned_at + grace
        return not self.running or self.intent is Cause.CANCELLED or overran

    def due(self, grace: float) -> float:
        """When it should be looked at even if nothing happens, on the monotonic clock."""
        now = time.monotonic()
        if not self.running or self._kill_sent:
            return now + LOOK_AGAIN_SECONDS
        since = self._warned_at if self._term_at is None else self._term_at
        if since is not None:
            return since + grace
        return self._limit

    def look(self, oom_kills: int | None) -> None:
        """See whether it runs; warn it with USR2 at its time limit. `oom_kills`: the kernel's count before this."""
        self.running = processes.alive(self.record.pid, self.record.start)
        if not self.running:
            self.close()
            if self.child is not None and self._exit is None:
                self._exit = processes.reap(self.record.pid)
                if self._exit is not None:
                    self.child.returncode = -self._exit.signal if self._exit.signal else self._exit.code
            return
        self._watched = True
        now = time.monotonic()
        if now >= self._newer_oom_kills[0] + MEMORY_KILL_SECONDS:
            self._oom_kills = self._newer_oom_kills[1]
            self._newer_oom_kills = (now, oom_kills)
        if self.watch is None:
            try:
                self.watch = os.pidfd_open(self.record.pid)
            except ProcessLookupError:
                return  # it ended just now: the next look says so
        if now >= self._limit and self._warned_at is None:
            self._warned_at = now
            self.intent = self.intent or Cause.TIMEOUT
            leader = processes.process(self.record.pid)
            processes.send([leader] if leader else [], signal.SIGUSR2)

    def end(self, members: Sequence[processes.Process], grace: float) -> None:
        """TERM to the worker, then to what it leaves behind, and KILL to all once the grace has passed. Never blocks.

        The worker alone knows by which signal its program wants to be told.
        """
        self.left = list(members)
        now = time.monotonic()
        if not self.left:
            return
        if self._term_at is None:
            self._term_at = now
        if now >= self._term_at + grace:
            self._kill_sent = True
            processes.send(self.left, signal.SIGKILL)
            return
        leader = [one for one in self.left if one.pid == self.record.pid and one.start == self.record.start]
        fresh = [one for one in leader or self.left if (one.pid, one.start) not in self._told]
        processes.send(fresh, signal.SIGTERM)
        self._told.update((one.pid, one.start) for one in fresh)

    def judge(self, oom_kills: int | None, killed: int, log: str) -> None:
        """Say how it ended, once nothing of the group runs.

        `killed`: workers that a KILL of others ended meanwhile. `log`: what it printed before it had an execution
        folder, which names the cause where it ended by itself that early.
        """
        how = str(self._exit) if self._exit else "exit status unknown, an earlier supervisor had started it"
        evidence = [f"worker {self.record.pid} on {self.record.host}: {how}"]
        cause = self.intent or Cause.KILLED
        rise = oom_kills - self._oom_kills if oom_kills is not None and self._oom_kills is not None else 0
        if rise > 0:
            evidence.append(f"the kernel killed {rise} process(es) for memory since the worker was last seen")
            if self.intent is None and self.killed_by_others and rise >= killed:
                cause = Cause.OUT_OF_MEMORY
        verdict = from_log(log) if self.intent is None and (self._exit is None or self._exit.signal is None) else None
        if verdict is not None:
            cause = verdict.cause
            evidence += verdict.evidence
        self.ended = (cause, tuple(evidence))

    def observation(self) -> Observation:
        """What the backend says of it."""
        node = self.record.host
        if self.ended is not None:
            return Observation(phase=Phase.ENDED, node=node, cause=self.ended[0], evidence=self.ended[1])
        if self.running:
            return Observation(phase=Phase.RUNNING, node=node)
        pids = ", ".join(str(one.pid) for one in self.left)
        return Observation(phase=Phase.COMPLETING, node=node, reason=f"ending what the worker left behind: {pids}")

    def close(self) -> None:
        """Stop watching it."""
        if self.watch is not None:
            os.close(self.watch)
            self.watch = None
