"""Before a job of a lab begins on its node: hold its GPUs as local slots do, and wait while others use them.

Run by the job's script as `python -m slurm.lab.gpuwait`. The holds are the script's own, so they end with the job.
A job that waits for long goes back to SLURM's queue: that is nobody's failure, so it costs no attempt and no strike.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from jobs.errors import BackendError
from jobs.node.machine import requeue_self
from slurm.backend import LimitReached
from slurm.lab.record import file_of
from slurm.local import gpus, processes
from slurm.local.gpulocks import GpuLocks
from slurm.local.host import Host
from slurm.local.slots import Device, Machine, Share

POLL_S = 5.0
LONG_S = 120.0
"""After this time the job goes back to the queue, so that its own time limit does not run while it waits."""
BACK_S = 60.0
"""SLURM ends a requeued job within this time."""


def in_the_way(device: Device, enough: float = Machine.free_memory_needed) -> str:
    """Who keeps a job from having the whole device, in words; '' where nobody does. Pure."""
    if device.busy or device.holders:
        return device.busy or f"held by {', '.join(device.holders)}"
    if device.tenants:
        return "held by another job"
    return "" if device.free_memory >= enough else f"only {device.free_memory:.0%} of its memory is free"


def take(host: Host, token: str, pid: int) -> str:
    """Hold every GPU of this job for the process `pid`, or none and say who is in the way. Raises BackendError."""
    owner = processes.process(pid)
    if owner is None:
        return ""
    held: list[tuple[int, Share]] = []
    machine = host.look({}, with_gpus=True)
    problem = machine.gpu_problem
    for device in machine.gpus:
        problem = problem or in_the_way(device)
    try:
        for device in machine.gpus if not problem else ():
            share = Share(device.name, 0)
            held.append((host.locks.acquire(host.key(device.name), share, token), share))
    except LimitReached as error:
        problem = str(error)
    for handle, share in held:
        if not problem:
            host.locks.started(handle, share, token, owner.pid, owner.start)
        os.close(handle)  # a hold that names no process ends with this
    return problem


def wait(look: Callable[[], str], requeue: Callable[[], bool], sleep: Callable[[float], None] = time.sleep) -> bool:
    """Until the GPUs are ours: True; False where the job went back to the queue."""
    told, waited = "", 0.0
    while problem := look():
        if problem != told:
            print(f"orch: the GPU of this job is in use outside of SLURM and it waits: {problem}", flush=True)
            told = problem
        if waited >= LONG_S and requeue():
            return False
        sleep(POLL_S)
        waited += POLL_S
    return True


def main() -> None:
    """Wait for the GPUs of the job whose script calls this; nothing where SLURM is no lab of orch."""
    conf, visible = os.environ.get("SLURM_CONF", ""), os.environ.get("CUDA_VISIBLE_DEVICES")
    if not conf or not visible or not file_of(Path(conf).parent).exists():
        return
    host = Host(GpuLocks(), visible)
    token, script = os.environ.get("SLURM_JOB_NAME", ""), os.getppid()
    try:
        if not wait(lambda: take(host, token, script), requeue_self):
            time.sleep(BACK_S)
    except (BackendError, gpus.DriverSilent) as error:
        print(f"orch: the GPUs of this job are not held for it: {error}", flush=True)


if __name__ == "__main__":
    main()
