"""What watching a search costs: seconds of CPU of one epoch of `demo`, of its discretised accuracy, and of one look at
the largest eigenvalue over α, on one thread.

    python -m benchmarks.bench_watch
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from jobs.kind import kind_named
from jobs.kinds.search import SearchConfig
from jobs.shortcuts.search import Searcher
from jobs.shortcuts.supernet import Gated, Supernet
from jobs.training import data


def timed(work: Callable[[], Any]) -> float:
    """Seconds of CPU of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    config = kind_named("search").configure({"method": "A"}, "demo")
    assert isinstance(config, SearchConfig)
    with tempfile.TemporaryDirectory() as folder:
        network = Gated(Supernet(config.width), config.method)
        searcher = Searcher(network, data.load(config.dataset), config, 0, "fp32", Path(folder))

        def steps() -> None:
            for size in searcher.batches.sizes[searcher._begin_epoch() :]:
                searcher.step(size)
                searcher.done += 1

        print(f"{len(searcher.batches.sizes)} steps of α and w: {timed(steps):.2f} s")
        print(f"end of the epoch: {timed(lambda: searcher._end_epoch(time.perf_counter(), 1)):.2f} s")
        found = searcher.readout(searcher.epoch)
        print(f"of which the discretised accuracy: {timed(lambda: searcher._discretised(found)):.2f} s")
        print(f"one look at the eigenvalue: {timed(searcher._eigenvalue):.2f} s")


if __name__ == "__main__":
    main()
