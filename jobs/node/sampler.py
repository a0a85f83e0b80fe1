"""A thread of the worker that reads now and then what its processes and GPUs use, and keeps it in `usage.json`.

It costs a thousandth of a core at the most (benchmarks/bench_watching.py): each reading waits for so many times the CPU
time that the last one took.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from jobs.files import now, write_json
from jobs.node.gpumeter import GpuMeter, opened
from jobs.node.machine import job_nodes
from jobs.node.recorder import WorkerContext
from jobs.node.silence import tree
from jobs.node.tally import Tally
from jobs.usage import FILE, Reading

TICK_SECONDS = 1.0
"""How often it is asked whether there is a new checkpoint, which costs nothing."""
SAMPLE_SECONDS = 15.0
DUE_SECONDS = 300.0
"""Between two readings, and between two times that they are written, once an execution is old; earlier less."""
COST = 2000
LAST_SECONDS = 5.0
"""So long the last reading is waited for: a sick driver may never answer."""


class Sampler(threading.Thread):
    """Of one execution."""

    def __init__(
        self,
        folder: Path,
        tally: Tally,
        *,
        meter: Callable[[], GpuMeter],
        steps: Callable[[], tuple[int, int]],
        began: float,
    ) -> None:
        """`meter`: opened in the thread, since a driver may take its time; `steps`: of its checkpoints, the one that it
        went on from and the newest; `began`: on the monotonic clock."""
        super().__init__(name="usage", daemon=True)
        self._folder, self._tally, self._meter, self._steps = folder, tally, meter, steps
        self._began = began
        self._over = threading.Event()
        self._read_at = self._write_at = 0.0

    def run(self) -> None:
        try:
            meter = self._meter()
            while not self._over.wait(TICK_SECONDS):
                self._tick(meter)
            self._look(meter, last=True)
        except Exception as error:  # whatever it is, it must not cost a run
            with contextlib.suppress(OSError):
                print(f"orch: usage is not sampled any more: {type(error).__name__}: {error}", file=sys.stderr)

    def end(self) -> None:
        """The work is over: one last reading, and all of it on disk."""
        self._over.set()
        self.join(LAST_SECONDS)

    def _tick(self, meter: GpuMeter) -> None:
        at = time.monotonic() - self._began
        if self._tally.steps(at, *self._steps()):
            self._write_at = 0.0  # with the next reading: what is killed then tells when its checkpoint was
        if at >= self._read_at:
            before = time.thread_time()
            self._look(meter)
            cost = time.thread_time() - before
            self._read_at = at + max(min(at / 30, SAMPLE_SECONDS), COST * cost)

    def _look(self, meter: GpuMeter, *, last: bool = False) -> None:
        processes = tree(os.getpid())
        reading = Reading(
            cpu_seconds=sum(one.cpu_seconds for one in processes),
            memory_mb=sum(one.memory_mb for one in processes),
            gpus=meter.read(),
        )
        at = time.monotonic() - self._began
        self._tally.steps(at, *self._steps())
        self._tally.read(at, reading)
        if last or at >= self._write_at:
            due = max(TICK_SECONDS, min(at / 10, DUE_SECONDS))
            self._write_at = at + due
            with contextlib.suppress(OSError):  # a full disk: the next one tries again
                write_json(self._folder / FILE, self._tally.file(at, now(), due + SAMPLE_SECONDS), durable=last)


def of_job(context: WorkerContext, began: float) -> Sampler:
    """Of this execution."""
    on_gpu = context.device == "cuda"
    visible, gpus = os.environ.get("CUDA_VISIBLE_DEVICES"), context.gpus if on_gpu else 0
    nodes = job_nodes()
    return Sampler(
        context.folder,
        Tally(gpus=gpus * nodes, whole=nodes == 1, used=time.process_time()),
        meter=lambda: opened(visible, gpus) if gpus else GpuMeter(()),
        steps=lambda: (context.checkpoints.resumed_step, context.checkpoints.newest_step),
        began=began,
    )
