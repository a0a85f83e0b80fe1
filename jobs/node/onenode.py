"""One node of a program on several: started by srun once a node, it starts torchrun there (a script; `ORCH_RANKS`).

The first node is node 0, where orch's worker is. A counter that it writes tells the worker that its node lives, and its
last line how torchrun ended there.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

BEAT_SECONDS = 1.0


def main() -> int:
    """torchrun's exit code."""
    for one in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
        signal.signal(one, signal.SIG_IGN)  # torchrun hears them itself, and the ranks by a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from jobs.node import ranks

    folder, number = Path(os.environ["ORCH_RANKS"]), int(os.environ["SLURM_NODEID"])
    plan = ranks.read_plan(folder)
    name = os.environ.get("SLURMD_NODENAME", socket.gethostname())
    address = os.environ.get("SLURM_LAUNCH_NODE_IPADDR") or plan.host
    beat = ranks.Beat(folder, number, name)
    beat.write()
    log = os.open(ranks.log(folder, number), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    child = subprocess.Popen(
        plan.on_node(number, address), stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_hears
    )
    told = False
    while True:
        try:
            code = child.wait(BEAT_SECONDS)
            break
        except subprocess.TimeoutExpired:
            beat.write()
            if not told and ranks.stop(folder) is not None:
                told = True
                child.terminate()  # it may still wait for the others; its ranks know already
    beat.write(ended=code)
    return code if code >= 0 else 128 - code


def _hears() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
