"""One rank of a program: stands between torchrun and the program (a script, started by its path; `ORCH_RANKS`).

Rank 0 prints to the execution's own streams and alone has ORCH_METRICS and ORCH_RESULT; the others print to files of
their own. It hands a stop on as the signal that the program wants, kills what ignores it, and notes how the rank ended,
so that whoever failed first is named. It never outlives torchrun, nor the program it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

GRACE_SECONDS = 25.0
POLL_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1
_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    """The rank's end, as torchrun is to see it."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from jobs.node import ranks
    from jobs.node.endings import MemoryKills

    folder, rank = Path(os.environ["ORCH_RANKS"]), int(os.environ["RANK"])
    plan = ranks.read_plan(folder)
    told = Told(lambda: ranks.stop(folder))
    for number in _HANDLED:
        signal.signal(number, told.by_torchrun)
    environment = dict(os.environ)
    out, err = (ranks.stream(folder, rank, name) for name in ("stdout", "stderr"))
    if rank:
        environment.update(ORCH_METRICS=str(folder / f"{rank}.metrics.jsonl"))
        environment.update(ORCH_RESULT=str(folder / f"{rank}.result.json"))
    parent = os.getppid()
    try:
        with out.open("ab") as stdout, err.open("ab") as stderr:
            child = subprocess.Popen(
                plan.command(),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                process_group=0,
                preexec_fn=_with_parent,
            )
    except OSError as error:
        with err.open("a") as stderr_text:
            print(f"orch: cannot start '{plan.argv[0]}': {error.strerror}", file=stderr_text)
        ranks.note(folder, rank, code=127, told=False, oom=False)
        return 127
    memory = MemoryKills()
    code = _wait(child, told, parent, memory.look)
    oom = code == -signal.SIGKILL and not told.killed and memory.rose()
    ranks.note(folder, rank, code=code, told=told.at is not None, oom=oom)
    if told.asked:
        return 0  # a stop is no failure: torchrun must not end those that still write their checkpoint
    return code if code >= 0 else 128 - code


class Told:
    """Whether the program is to stop, and by which signal."""

    def __init__(self, stop: Callable[[], int | None]) -> None:
        self._stop = stop
        self.at: float | None = None
        self.asked = False
        """By orch, and not because another rank ended."""
        self.killed = False
        self._terminated = False

    def by_torchrun(self, number: int, frame: FrameType | None) -> None:
        self._terminated = True

    def signal(self) -> int | None:
        """The signal to send now; each once."""
        wanted = self._stop()
        if wanted is not None and not self.asked:
            self.asked = True
            self.at = time.monotonic() if self.at is None else self.at
            return wanted
        if self._terminated and self.at is None:
            self.at = time.monotonic()
            return signal.SIGTERM
        if self.at is not None and not self.killed and time.monotonic() - self.at > GRACE_SECONDS:
            return signal.SIGKILL
        return None


def _wait(child: subprocess.Popen[bytes], told: Told, parent: int, look: Callable[[], None]) -> int:
    while True:
        try:
            code = child.wait(POLL_SECONDS)
            break
        except subprocess.TimeoutExpired:
            look()
            number = signal.SIGKILL if os.getppid() != parent else told.signal()
            if number is not None:
                told.killed = told.killed or number == signal.SIGKILL
                _send(child.pid, number)
    _send(child.pid, signal.SIGKILL)  # what it leaves behind would hold its GPU
    return code


def _send(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _with_parent() -> None:
    """In the child: die with this process, and be free in all signals but USR2, which SLURM sends to everybody."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in _HANDLED:
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
