"""`python -m benchmarks.bench_cycle`: what a cycle of the supervisor costs while nothing happens, by a made-up queue.

A store with jobs that wait in SLURM's queue and some that run; squeue is a file, so that only orch's own work counts.
Prints CPU milliseconds of a cycle: at a poll of 1 s, ten of them are 1 % of a core.
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from db import lease
from db.entries import Dispatch, DispatchedTask
from db.submissions import launched
from jobs.words import BackendName
from orchestrator.settings import Settings
from orchestrator.supervision.supervisor import Supervisor
from slurm.cluster.backend import SlurmBackend
from slurm.cluster.commands import Commands
from tests.helpers.filled import Filled

ARRAY = 1000


class Queue(Commands):
    """squeue from memory; everything else says nothing."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__()
        self.lines = list(lines)
        self.asked: Counter[str] = Counter()

    def ask(self, arguments: Sequence[str]) -> str:
        self.asked[arguments[0]] += 1
        return "\n".join(self.lines) + "\n" if arguments[0] == "squeue" else ""


def fill(folder: Path, waiting: int, running: int) -> tuple[Filled, Queue]:
    """A store with so many jobs sent as arrays, and the queue that has them."""
    filled = Filled.make(folder)
    ids = filled.submit(seeds=range(waiting + running), backend="slurm")
    lines = []
    for start in range(0, len(ids), ARRAY):
        token, native, own = f"orch-{start:016x}", str(1000 + start), ids[start : start + ARRAY]
        with filled.store.write() as writer:
            tasks = tuple(DispatchedTask(job, 1, 1) for job in own)
            writer.decide([Dispatch(token=token, backend="slurm", tasks=tasks, at=filled.tick())])
            launched(writer.connection, token, native)
        filled.store.layout.submission(token).mkdir(parents=True, exist_ok=True)
        for index, job in enumerate(own):
            state = f"RUNNING|0|0|n{job % 40}|None" if job <= ids[0] + running - 1 else "PENDING|0|0||Priority"
            lines.append(f"{native}|{index}|{state}|{token}")
    for job in ids[:running]:
        filled.start(job, node=f"n{job % 40}")
    return filled, Queue(lines)


def supervisor_of(filled: Filled, queue: Queue) -> Supervisor:
    """Holds the lease of that store, and asks that queue."""
    number = lease.take(filled.store)
    assert number is not None
    backends = {BackendName.SLURM: lambda: SlurmBackend(filled.store.layout, commands=queue)}
    return Supervisor(filled.store, backends, Settings(), number)


@click.command()
@click.option("--waiting", default=5000, show_default=True)
@click.option("--running", default=200, show_default=True)
@click.option("--cycles", default=10, show_default=True)
@click.option("--profile", is_flag=True, help="Where the time goes where one row changes.")
def main(waiting: int, running: int, cycles: int, profile: bool) -> None:
    """CPU milliseconds of a cycle in which nothing changes, and in which one job changed."""
    with tempfile.TemporaryDirectory() as folder:
        filled, queue = fill(Path(folder), waiting, running)
        supervisor = supervisor_of(filled, queue)
        for _ in range(3):
            supervisor.cycle()
        quiet = [_timed(supervisor) for _ in range(cycles)]
        busy = []
        for number in range(cycles):
            at = running + number
            queue.lines[at] = queue.lines[at].replace("|Priority|", "|Resources|")
            busy.append(_timed(supervisor))
        print(
            f"{waiting} wait, {running} run: CPU of a cycle in which nothing changes: {statistics.median(quiet):.1f} ms"
        )
        print(f"one row of the queue does: {statistics.median(busy):.1f} ms")
        if profile:
            told = cProfile.Profile()
            told.enable()
            for number in range(cycles):
                queue.lines[running + number] = queue.lines[running + number].replace("|Resources|", "|Priority|")
                supervisor.cycle()
            told.disable()
            pstats.Stats(told).sort_stats("cumulative").print_stats(45)


def _timed(supervisor: Supervisor) -> float:
    began = time.process_time()
    supervisor.cycle()
    return 1000.0 * (time.process_time() - began)


if __name__ == "__main__":
    main()
