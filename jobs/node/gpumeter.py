"""How busy the GPUs of an execution are, and what they take, as the driver says (NVML API reference; nvidia-ml-py)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from jobs.usage import GpuReading


class GpuMeter:
    """Reads some GPUs. A driver that cannot tell something (MIG devices no utilisation) leaves it unknown."""

    def __init__(self, handles: Sequence[Any]) -> None:
        self._handles = handles

    def read(self) -> tuple[GpuReading, ...]:
        """One reading of each."""
        return tuple(map(_read, self._handles))


def opened(visible: str | None, gpus: int) -> GpuMeter:
    """A meter of the GPUs in a CUDA_VISIBLE_DEVICES; of none where no driver answers, or where it is not plain which
    they are. None: without that variable, all there are, where they are so many."""
    try:
        import pynvml

        pynvml.nvmlInit()
        count = int(pynvml.nvmlDeviceGetCount())
        if visible is None:
            there = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
            return GpuMeter(there if len(there) == gpus else ())
        handles = [_handle(pynvml, word.strip(), count) for word in visible.split(",") if word.strip()]
    except Exception:  # without a driver every call of it fails in a way of its own
        return GpuMeter(())
    return GpuMeter(handles if len(handles) == gpus else ())


def _handle(pynvml: Any, name: str, count: int) -> Any:
    """Of an index, or of a UUID or its unambiguous beginning (CUDA C++ programming guide, environment variables)."""
    if name.isdecimal():
        return pynvml.nvmlDeviceGetHandleByIndex(int(name))
    if name.startswith("MIG-"):
        return pynvml.nvmlDeviceGetHandleByUUID(name.encode())
    handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
    (found,) = [one for one in handles if _text(pynvml.nvmlDeviceGetUUID(one)).startswith(name)]
    return found


def _read(handle: Any) -> GpuReading:
    import pynvml

    def told(ask: Callable[[], float]) -> float | None:
        with contextlib.suppress(Exception):  # NVML's own errors; and one that a newer driver invents
            value = float(ask())
            return value if 0 <= value < 1e15 else None
        return None

    return GpuReading(
        percent=told(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        memory_mb=told(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle).used / 2**20),
        watts=told(lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1e3),
        joules=told(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3),
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
