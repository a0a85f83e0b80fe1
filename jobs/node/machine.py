"""What a worker asks of the machine it runs on: its SLURM task, its memory, its GPUs."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import time


def slurm_job_id() -> str | None:
    """The id under which SLURM knows this task ('8_3' in an array), or None outside SLURM."""
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm" or "SLURM_JOB_ID" not in os.environ:
        return None
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def job_nodes() -> int:
    """How many nodes SLURM gave this job; 1 outside SLURM."""
    given = os.environ.get("SLURM_JOB_NUM_NODES", "")
    return int(given) if slurm_job_id() is not None and given.isdecimal() and int(given) > 0 else 1


def requeue_self() -> bool:
    """Ask SLURM to requeue this very job (scontrol(1), requeue): works while orch is not there. False: it refused.

    SLURM must call that id by this job's name: a controller that went on from an older state counts its ids again.
    """
    job = slurm_job_id()
    if job is None:
        return False
    for pause in (0.5, 2.0, 5.0):
        name = _said("squeue", "--noheader", f"--jobs={job}", "--format=%j")
        mine = name is not None and name.strip() == os.environ.get("SLURM_JOB_NAME")
        if name and name.strip() and not mine:
            return False
        if mine and _said("scontrol", "requeue", job) is not None:
            return True
        time.sleep(pause)
    return False


def _said(*command: str) -> str | None:
    """What that command of SLURM printed; None where it failed or did not answer."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=15, check=False, env=plain)
        return done.stdout if done.returncode == 0 else None
    return None


def peak_memory_mb() -> float:
    """Peak resident memory of this process and of its ended children, in MB (getrusage(2))."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(item).ru_maxrss for item in who) / 1024


def gpu_names(visible: str | None) -> str:
    """What the GPUs in a CUDA_VISIBLE_DEVICES are called, each name once; '' where no driver tells."""
    if not visible:
        return ""
    try:
        import pynvml

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        names = {}
        for number, handle in enumerate(handles):
            name = str(pynvml.nvmlDeviceGetName(handle))
            names[str(number)] = names[str(pynvml.nvmlDeviceGetUUID(handle))] = name
    except Exception:  # without a driver every call of it fails in a way of its own
        return ""
    wanted = [word.strip() for word in visible.split(",")]
    told = [names[word] for word in wanted if word in names]
    return ", ".join(dict.fromkeys(told or names.values()))
