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
    """Ask SLURM to requeue this very job (scontrol(1), requeue): works while orch is not there. False: it refused."""
    job = slurm_job_id()
    if job is None:
        return False
    for pause in (0.5, 2.0, 5.0):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if subprocess.run(["scontrol", "requeue", job], timeout=15, check=False).returncode == 0:
                return True
        time.sleep(pause)
    return False


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
