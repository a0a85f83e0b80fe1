"""Workers of the house's own kinds, forked from a process that has imported torch: a second each instead of five.

Each is what a backend starts otherwise (jobs/node/worker.py) in a session of its own, and may be killed like one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

SERVER = """
import os, sys
import torch, torch._dynamo, sklearn.datasets
import jobs.shortcuts.evaluation, jobs.shortcuts.evolving, jobs.shortcuts.search, jobs.training.datasets
from jobs.node.worker import Task
torch.set_num_threads(1)
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "wait":
        print(os.waitpid(int(rest), os.WNOHANG)[0], flush=True)
        continue
    pid = os.fork()
    if not pid:
        os.setsid()
        try:
            Task(rest)()
        finally:
            os._exit(0)
    print(pid, flush=True)
"""


class Forks:
    """The process that forks; leaving it ends it."""

    def __init__(self, folder: Path) -> None:
        given = {name: value for name, value in os.environ.items() if not name.startswith(("ORCH_", "SLURM_"))}
        given |= {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
        given |= {"XDG_CACHE_HOME": str(folder / "cache"), "HOME": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SERVER],
            env=given,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()

    def start(self, submission: Path) -> int:
        """A worker of the first task of that submission: its pid."""
        return int(self._ask(f"start {submission}"))

    def ended(self, pid: int) -> bool:
        """Whether it has ended, however it did; asked no more once it has."""
        return int(self._ask(f"wait {pid}")) == pid

    def _ask(self, line: str) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()
