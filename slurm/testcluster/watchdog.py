"""Stops a cluster and deletes its folder when the process that owns it has ended, however that happened.

Run as `python -m slurm.testcluster.watchdog FOLDER PID START_TICKS`, in a session of its own. Nothing polls: the kernel
wakes it when the owner ends. PR_SET_PDEATHSIG would not do, as slurmd's steps and jobs would not get the signal.
"""

import os
import select
import sys
from pathlib import Path

from slurm.lab import processes
from slurm.testcluster.cluster import Cluster


def wait_for_end(pid: int, start_ticks: int) -> None:
    """Return when the process `pid` that began at `start_ticks` has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        owner = processes.find(pid)
        # Compared after the handle is open: a pid that was given to another process is not waited for.
        if owner is not None and owner.start_ticks == start_ticks:
            select.select([handle], [], [])
    finally:
        os.close(handle)


def main() -> None:
    """Wait for the owner, then remove its cluster."""
    base, pid, start_ticks = sys.argv[1:]
    wait_for_end(int(pid), int(start_ticks))
    Cluster.load(Path(base)).remove()


if __name__ == "__main__":
    main()
