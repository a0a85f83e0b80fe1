"""What it costs that a worker samples what its execution uses, and that it looks whether its program hangs.

CPU time for each second, as a part of a core: ratios of times that one process had on one machine, so that a busy host
tells the same. Three trees of processes: a worker alone, one with four processes (a loader's workers), one with 64
(ranks with theirs); each for real seconds. The sampler has a pretended driver of eight GPUs that takes a millisecond of
CPU for each; the program has eight ranks, and is silent, so that its processes are looked at too.

    python -m benchmarks.bench_watching [seconds]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.files import read_json
from jobs.node import ranks
from jobs.node.command import POLL_SECONDS
from jobs.node.gpumeter import GpuMeter
from jobs.node.sampler import Sampler
from jobs.node.silence import Silence, printed, tree
from jobs.node.tally import Tally
from jobs.usage import FILE, GpuReading, UsageFile

TREES = (0, 4, 64)
THREADS = 4
LIMIT = 0.001
"""A thousandth of a core."""
IDLE = "import threading, time; [threading.Thread(target=time.sleep, args=(1e6,)).start() for _ in range({})]"


class Pretended(GpuMeter):
    """Eight GPUs whose driver takes a millisecond of CPU for each."""

    def __init__(self) -> None:
        super().__init__(())

    def read(self) -> tuple[GpuReading, ...]:
        until = time.thread_time() + 0.008
        while time.thread_time() < until:
            pass
        return (GpuReading(percent=50.0, memory_mb=1e4, watts=300.0, joules=1e6),) * 8


class Measured(Sampler):
    """Tells what its thread has used."""

    cpu = 0.0

    def run(self) -> None:
        super().run()
        self.cpu = time.thread_time()


@contextmanager
def beside(processes: int) -> Iterator[Path]:
    """So many idle processes with a few threads each, and a folder."""
    idle = [subprocess.Popen([sys.executable, "-c", IDLE.format(THREADS)]) for _ in range(processes)]
    try:
        time.sleep(1 + processes / 20)
        with tempfile.TemporaryDirectory() as place:
            yield Path(place)
    finally:
        for process in idle:
            process.kill()
            process.wait()


def sampling(folder: Path, seconds: float) -> tuple[float, int]:
    """(CPU seconds for each second, bytes of the file)."""
    began = time.monotonic()
    one = Measured(folder, Tally(gpus=8), meter=Pretended, steps=lambda: (-1, -1), began=began)
    one.start()
    threading.Event().wait(seconds)
    one.end()
    one.join()
    took = time.monotonic() - began
    assert read_json(folder / FILE, UsageFile) is not None
    return one.cpu / took, (folder / FILE).stat().st_size


def hang_detection(folder: Path, seconds: float) -> float:
    """CPU seconds for each second, asked as often as a worker asks."""
    (folder / ranks.FOLDER).mkdir()
    for name in ("stdout", "stderr", "metrics.jsonl", *(f"{ranks.FOLDER}/{n}.stdout" for n in range(8))):
        (folder / name).touch()
    one = Silence(
        (),
        1e6,
        "",
        signs=lambda: (printed(folder), 0),
        processes=lambda: tree(os.getpid()),
        held_up=lambda: False,
    )
    began, cpu = time.monotonic(), 0.0
    while time.monotonic() < began + seconds:
        before = time.thread_time()
        assert one.look() is None
        cpu += time.thread_time() - before
        time.sleep(POLL_SECONDS)
    return cpu / (time.monotonic() - began)


def main(seconds: float) -> int:
    """Print a line for each tree; 1 where one is beyond the limit."""
    worst = 0.0
    for processes in TREES:
        with beside(processes) as folder:
            share, size = sampling(folder, seconds)
            looks = hang_detection(folder, seconds)
        worst = max(worst, share, looks)
        print(
            f"{processes:3} processes beside the worker: sampling {share:.5f} of a core, {size} bytes; "
            f"hang detection {looks:.5f} of a core",
            flush=True,
        )
    print(f"worst {worst:.5f}, limit {LIMIT}: {'ok' if worst <= LIMIT else 'too much'}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 120.0))
