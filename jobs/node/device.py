"""The device of a job: checked before work starts, its precision, and what it is called."""

from __future__ import annotations

import contextlib
import os
import platform
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from jobs.errors import BadInput, OrchError
from jobs.words import Precision


class GpuFault(OrchError):
    """A job was given a GPU and torch cannot use it: the node's fault, not the job's."""


def prepare(name: str, threads: int, precision: Precision) -> tuple[torch.device, Precision]:
    """The device and the precision to use on it; torch's threads are set to the job's.

    On a CPU the precision is fp32. Raises GpuFault where a GPU was given and does not work, BadInput for a precision
    that this GPU lacks; torch.OutOfMemoryError passes through.
    """
    torch.set_num_threads(threads)
    if name != "cuda":
        return torch.device("cpu"), "fp32"
    check_gpu()
    capability = torch.cuda.get_device_capability()
    if precision != "fp32" and capability < (8, 0):
        raise BadInput(
            f"{torch.cuda.get_device_name()} has no {precision} (compute capability {capability[0]}.{capability[1]}, "
            "8.0 is needed): submit with --set precision=fp32"
        )
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = precision != "fp32"
    torch.set_float32_matmul_precision("highest" if precision == "fp32" else "high")
    return torch.device("cuda"), precision


def check_gpu() -> None:
    """One small calculation on the GPU. Raises GpuFault; torch.OutOfMemoryError passes through."""
    if not torch.cuda.is_available():
        raise GpuFault(
            "torch sees no working GPU though this job was given one: check the driver (nvidia-smi) on this node"
        )
    try:
        ok = float((torch.ones(8, 8, device="cuda") @ torch.ones(8, 8, device="cuda")).sum()) == 512.0
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise GpuFault(f"the GPU of this job does not work: {str(error).strip().splitlines()[0]}") from error
    if not ok:
        raise GpuFault("the GPU of this job calculates wrongly: take this node out of service")


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """bf16 for convs and matrix products where `precision` says so; weights stay fp32.

    The cache of cast weights is off: in a CUDA graph its entries would outlive the capture, and a weight is used once.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def versions(device: torch.device) -> tuple[dict[str, str], str]:
    """Versions of what computes, and the device's name."""
    found = {"python": platform.python_version(), "torch": str(torch.__version__), **_beside(), **_machine()}
    if device.type != "cuda":
        return found, f"{platform.machine()} CPU"
    found["cuda"] = str(torch.version.cuda)
    found["cudnn"] = str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    return found, torch.cuda.get_device_name(device)


def _beside() -> dict[str, str]:
    """Versions of what computes beside torch, and of orch."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("numpy", "scipy", "torchvision", "deap", "orch"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _machine() -> dict[str, str]:
    """The processor's name, its cores and the memory; what the system does not tell is left out."""
    found = {"system": platform.platform()}
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            found["cpu"] = f"{names[0]} ({len(names)} threads)"
    with contextlib.suppress(OSError, ValueError):
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        found["memory"] = f"{size / 2**30:.0f} GiB"
    return found
