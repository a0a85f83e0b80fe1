"""Which GPUs jobs may use here, and how busy each is: CUDA_VISIBLE_DEVICES first, then the driver (NVML).

Names in CUDA_VISIBLE_DEVICES are kept as they are (indices, UUIDs or unambiguous beginnings of them, MIG names), with
CUDA's own rule that the first invalid entry hides itself and all after it (CUDA C++ programming guide, environment
variables). Without that variable, GPUs go by UUID, because CUDA and NVML may count in different orders.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

_NAME = re.compile(r"^(\d+|GPU-[0-9a-fA-F-]+|MIG-[0-9a-zA-Z/-]+)$")


class DriverSilent(Exception):
    """The driver is installed but does not answer; its text says what it said."""


@dataclass(frozen=True)
class Physical:
    """A GPU as the driver lists it."""

    index: int
    uuid: str
    migs: tuple[str, ...] = ()
    """UUIDs of its MIG devices; where there are any, the whole GPU cannot be used."""


@dataclass(frozen=True)
class GpuProcess:
    """A process that computes on a GPU."""

    pid: int
    memory_mb: float | None


@dataclass(frozen=True)
class GpuUse:
    """How busy a GPU (or MIG device) is now."""

    free_mb: float
    total_mb: float
    processes: tuple[GpuProcess, ...] = ()

    @property
    def free(self) -> float:
        return self.free_mb / self.total_mb if self.total_mb else 0.0


@dataclass(frozen=True)
class Gpu:
    """A device that jobs may be given."""

    name: str
    """As CUDA_VISIBLE_DEVICES takes it."""
    uuid: str | None = None
    """The driver's name of it; None where no driver answers (then nothing is known but the name)."""

    @property
    def key(self) -> str:
        """The same for everybody on this host who means this device: locks are named by it."""
        return self.uuid or self.name


class Driver(Protocol):
    """What is asked of NVML; `DriverSilent` where a call fails."""

    def devices(self) -> Sequence[Physical]: ...

    def use(self, uuid: str) -> GpuUse: ...


def visible(variable: str | None, driver: Driver | None) -> tuple[Gpu, ...]:
    """The GPUs that jobs may use. `variable` is CUDA_VISIBLE_DEVICES as inherited, None where unset.

    Without a driver the listed names are taken as given. Raises DriverSilent.
    """
    physical = driver.devices() if driver is not None else ()
    if variable is None:
        return tuple(Gpu(uuid, uuid) for one in physical for uuid in (one.migs or (one.uuid,)))
    found: list[Gpu] = []
    for entry in variable.split(","):
        name = entry.strip()
        if not _NAME.match(name):
            break
        uuid = _uuid(name, physical) if driver is not None else None
        if driver is not None and uuid is None:
            break
        if all(name != other.name and (uuid is None or uuid != other.uuid) for other in found):
            found.append(Gpu(name, uuid))
    return tuple(found)


def _uuid(name: str, physical: Sequence[Physical]) -> str | None:
    """The UUID that an entry stands for; None where no device or more than one answers to it."""
    if name.isdigit():
        matches = [one.uuid for one in physical if one.index == int(name)]
    else:
        matches = [uuid for one in physical for uuid in (one.uuid, *one.migs) if uuid.startswith(name)]
    return matches[0] if len(matches) == 1 else None


def foreign(processes: Sequence[GpuProcess], ours: frozenset[int], shared: bool) -> list[GpuProcess]:
    """Those processes that no job of orch (of any store or user) accounts for.

    In a container the driver names pids of the host, which are nobody's here: on a device that orch's jobs `shared`ly
    use already such a pid proves nothing, on an unused one it is foreign.
    """
    return [one for one in processes if one.pid not in ours and not (shared and _unknown(one.pid))]


def _unknown(pid: int) -> bool:
    import psutil

    return not psutil.pid_exists(pid)


def describe(found: Sequence[GpuProcess]) -> str:
    """Whose processes these are, in words: 'used by alice (pid 812: python train.py, 10240 MB)'."""
    import psutil

    texts = []
    for one in found:
        memory = f", {one.memory_mb:.0f} MB" if one.memory_mb is not None else ""
        try:
            process = psutil.Process(one.pid)
            command = " ".join(process.cmdline()) or process.name()
            texts.append(f"{process.username()} (pid {one.pid}: {command[:60]}{memory})")
        except psutil.Error:
            texts.append(f"a process outside of this container (pid {one.pid}{memory})")
    return "used by " + " and ".join(texts)


def open_driver() -> Driver | None:
    """NVML, or None where this host has no NVIDIA driver. Raises DriverSilent where it has one that does not answer."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return None
    except pynvml.NVMLError as error:
        raise DriverSilent(f"NVML says '{error}'") from None
    return Nvml()


class Nvml:
    """The driver's own answers (NVML API reference; nvidia-ml-py)."""

    def devices(self) -> Sequence[Physical]:
        import pynvml

        found = []
        try:
            for index in range(pynvml.nvmlDeviceGetCount()):
                with contextlib.suppress(pynvml.NVMLError_GpuIsLost):
                    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                    found.append(Physical(index, _text(pynvml.nvmlDeviceGetUUID(handle)), tuple(self._migs(handle))))
        except pynvml.NVMLError as error:
            raise DriverSilent(f"NVML says '{error}'") from None
        return found

    def _migs(self, handle: Any) -> list[str]:
        import pynvml

        found: list[str] = []
        try:
            if pynvml.nvmlDeviceGetMigMode(handle)[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
                return found
            for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
                with contextlib.suppress(pynvml.NVMLError_NotFound):
                    mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
                    found.append(_text(pynvml.nvmlDeviceGetUUID(mig)))
        except pynvml.NVMLError_NotSupported:
            pass
        return found

    def use(self, uuid: str) -> GpuUse:
        import pynvml

        try:
            handle = pynvml.nvmlDeviceGetHandleByUUID(uuid.encode())
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            processes = []
            with contextlib.suppress(pynvml.NVMLError_NotSupported, pynvml.NVMLError_NoPermission):
                for one in pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
                    used = one.usedGpuMemory
                    processes.append(GpuProcess(int(one.pid), None if used is None else used / 2**20))
        except pynvml.NVMLError as error:
            raise DriverSilent(f"NVML says '{error}'") from None
        return GpuUse(memory.free / 2**20, memory.total / 2**20, tuple(processes))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
