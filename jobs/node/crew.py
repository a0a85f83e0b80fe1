"""The workers of a bundle's runner: forks of it, each a session of its own, and what their memory comes to.

The runner is one thread and holds no lock, so a fork of it is sound; what a new interpreter would import is there.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from jobs.bundles import Key
from jobs.node.silence import tree
from jobs.records import Task
from jobs.words import Cause

STOPS = (signal.SIGUSR2, signal.SIGTERM)
LAST_WORDS = 2000
_PR_SET_PDEATHSIG = 1
"""prctl(2)."""


@dataclass
class Worker:
    """A job that runs."""

    task: Task
    place: int
    """Of those at which jobs run at a time."""
    pid: int
    words: int
    """What it says before it has a folder of its own comes out of this pipe."""
    began: float
    told_at: float | None = None
    """Since when it is to end: it was cancelled."""
    cause: Cause | None = None
    """What it was ended for."""
    over_mb: int = 0
    said: bytes = b""

    @property
    def key(self) -> Key:
        return self.task.job, self.task.attempt

    def memory_mb(self) -> float:
        """Of all its processes."""
        return sum(part.memory_mb for part in tree(self.pid))

    def signal(self, number: signal.Signals) -> None:
        """Tell the worker itself, which knows how its program is told."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it with all that descends from it."""
        for one in reversed(tree(self.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)

    def listen(self) -> None:
        """Take in what it has said."""
        with contextlib.suppress(BlockingIOError):
            while more := os.read(self.words, 4096):
                self.said = (self.said + more)[-LAST_WORDS:]


class Crew:
    """Of one runner, which hears of signals and of its workers' ends through one pipe."""

    def __init__(self, on_stop: Callable[[signal.Signals], None]) -> None:
        """`on_stop` is called with USR2 or TERM."""
        self.running: dict[int, Worker] = {}
        """By their places."""
        gc.freeze()  # what is there now is never looked at again: forks would copy it page by page
        self._wake, self._waker = os.pipe()
        for end in (self._wake, self._waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in STOPS:
            signal.signal(number, lambda number, frame: on_stop(signal.Signals(number)))

    def start(self, task: Task, place: int, work: Callable[[], None], own: Sequence[int]) -> Worker:
        """Fork a worker that does `work`. `own`: descriptors of the runner that are none of its business."""
        out, into = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        # What comes meanwhile is kept for the worker, which hears it later (Stop.on_signals), and for us to hand on.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        pid = os.fork()
        if pid == 0:
            self._be_worker(work, into, [out, *own])
        os.close(into)
        os.set_blocking(out, False)
        worker = self.running[place] = Worker(task, place, pid, out, time.monotonic())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        return worker

    def _be_worker(self, work: Callable[[], None], words: int, own: Sequence[int]) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            for handle in (self._wake, self._waker, *own, *(one.words for one in self.running.values())):
                os.close(handle)
            work()
            code = 0
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.write(words, "".join(traceback.format_exception(error))[-LAST_WORDS:].encode(errors="replace"))
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def tell(self, number: signal.Signals) -> None:
        """All of them. SLURM signals every process of a step, but of what is no step the shell alone (scancel(1))."""
        for worker in list(self.running.values()):
            worker.signal(number)

    def wait(self, seconds: float) -> None:
        """Until a signal comes, a worker ends or speaks, or so long."""
        listened = [self._wake, *(one.words for one in self.running.values())]
        ready, _, _ = select.select(listened, [], [], seconds)
        if self._wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)
        for worker in self.running.values():
            if worker.words in ready:
                worker.listen()

    def reap(self) -> Iterator[tuple[Worker, int]]:
        """Those that are gone, with their exit codes (negative: by that signal)."""
        for place, worker in list(self.running.items()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                worker.listen()
                os.close(worker.words)
                del self.running[place]
                yield worker, os.waitstatus_to_exitcode(status)
