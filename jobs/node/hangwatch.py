"""Whether a kind hangs, which runs in the worker's own process: a thread beside it watches, and ends the worker."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from collections.abc import Callable

from jobs.node import autopsy
from jobs.node.machine import gpu_names
from jobs.node.recorder import WorkerContext
from jobs.node.silence import LOOK_SECONDS, Silence, given_of, printed, tree
from jobs.node.stopping import Stop


class HangWatch(threading.Thread):
    """Watches one kind. Whoever decides first how the execution ends, this thread or the work, does so alone."""

    def __init__(self, context: WorkerContext, stop: Stop, hung: Callable[[str], None]) -> None:
        """`hung`: writes the outcome of a hang; the process ends after it."""
        super().__init__(name="hangs", daemon=True)
        self._context, self._stop_flag, self._hung = context, stop, hung
        self._decided = threading.Lock()
        device = gpu_names(os.environ.get("CUDA_VISIBLE_DEVICES")) if context.device == "cuda" else ""
        self.silence = Silence(
            context.rhythms,
            given_of(context.options),
            device,
            signs=lambda: (printed(context.folder), context.checkpoints.newest_step),
            processes=lambda: tree(os.getpid()),
            held_up=context.disks.held_up,
        )
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(LOOK_SECONDS / 2):
            self._context.disks.look()
            why = None if self._stop_flag.asked() else self.silence.look()
            if why is not None and self._hangs(why):
                os._exit(1)

    def over(self, *, whole: bool) -> None:
        """The work has ended, and this thread says nothing more of it."""
        self._decided.acquire()  # never released: a hang that is being written down ends the process
        self._over.set()
        self._context.keep_rhythm(self.silence.rhythm(whole=whole))

    def _hangs(self, why: str) -> bool:
        folder = self._context.folder
        told = autopsy.record(folder, why, [one.pid for one in tree(os.getpid())], os.environ)
        if not self.silence.still() or not self._decided.acquire(blocking=False):
            return False
        if not told:
            with autopsy.opened(folder) as handle:
                faulthandler.dump_traceback(handle, all_threads=True)
            faulthandler.dump_traceback(sys.stderr, all_threads=True)
        self._hung(f"{why}; what it did then is in {autopsy.NAME}")
        return True
