"""This host as the planner sees it: its cores, its GPUs, and who uses each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from slurm.local import gpus, processes
from slurm.local.gpulocks import GpuLocks
from slurm.local.slots import CPU, Device, Machine, Share


class Host:
    """Looks at cores, the driver and the GPU locks."""

    def __init__(
        self,
        locks: GpuLocks,
        variable: str | None,
        *,
        jobs_per_gpu: int = 1,
        cpu_slots: int | None = None,
        driver: Callable[[], gpus.Driver | None] = gpus.open_driver,
    ) -> None:
        """`variable`: CUDA_VISIBLE_DEVICES as inherited, None where unset."""
        self.locks = locks
        self.variable = variable
        self.jobs_per_gpu = jobs_per_gpu
        self.cpu_slots = cpu_slots
        self._open = driver
        self._driver: gpus.Driver | None = None
        self._keys: dict[str, str] = {}

    def look(self, taken: Mapping[str, Sequence[Share]], *, with_gpus: bool) -> Machine:
        """The host now. `taken`: token → shares of this store's own attempts. Raises BackendError (lock folder)."""
        problem = ""
        devices: tuple[Device, ...] = ()
        if with_gpus:
            try:
                devices = tuple(self._device(gpu, taken) for gpu in self.devices())
            except gpus.DriverSilent as error:
                problem = str(error)
        return Machine(
            cores=cores(),
            cpu=Device(name=CPU, tenants=_shares(CPU, taken)),
            gpus=devices,
            gpu_problem=problem,
            jobs_per_gpu=self.jobs_per_gpu,
            cpu_slots=self.cpu_slots,
        )

    def devices(self) -> tuple[gpus.Gpu, ...]:
        """The GPUs that jobs may be given. Raises DriverSilent."""
        if self._driver is None:
            self._driver = self._open()
        found = gpus.visible(self.variable, self._driver)
        self._keys = {gpu.name: gpu.key for gpu in found}
        return found

    def key(self, name: str) -> str:
        """The name of a GPU's locks."""
        if name not in self._keys:
            self.devices()
        return self._keys.get(name, name)

    def _device(self, gpu: gpus.Gpu, taken: Mapping[str, Sequence[Share]]) -> Device:
        own = {token: share for token, shares in taken.items() for share in shares if share.device == gpu.name}
        locked = self.locks.tenants(gpu.key)
        others = [one for one in locked if one.holder is None or one.holder.token not in own]
        tenants = (
            *own.values(),
            *(Share(gpu.name, one.share.index, one.share.parts) for one in others),
        )
        device = Device(name=gpu.name, tenants=tenants, holders=tuple(sorted({one.who for one in others})))
        if self._driver is None or gpu.uuid is None:
            return device
        try:
            use = self._driver.use(gpu.uuid)
        except gpus.DriverSilent as error:  # this GPU alone: it has fallen off the bus, or the like
            return replace(device, busy=str(error))
        sessions = {tenant.holder.pid for tenant in locked if tenant.holder is not None}
        ours = frozenset(one.pid for one in use.processes if _is_orchs(one.pid, sessions))
        strangers = gpus.foreign(use.processes, ours, shared=bool(tenants))
        busy = gpus.describe(strangers) if strangers else ""
        return replace(device, busy=busy, free_memory=use.free, memory_mb=use.total_mb)


def _shares(device: str, taken: Mapping[str, Sequence[Share]]) -> tuple[Share, ...]:
    return tuple(share for shares in taken.values() for share in shares if share.device == device)


def _is_orchs(pid: int, sessions: set[int | None]) -> bool:
    """Whether a process belongs to a job of orch, of any store and user."""
    found = processes.process(pid)
    return found is not None and (found.session in sessions or bool(processes.token_of(pid)))


def cores() -> int:
    """Cores that this process may use: its affinity, cut to the CPU quota of its cgroup (a container's share)."""
    count = float(len(os.sched_getaffinity(0)))
    for quota_file, period_file in (
        ("/sys/fs/cgroup/cpu.max", None),
        ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    ):
        try:
            words = Path(quota_file).read_text().split()
            if period_file is not None:
                words += Path(period_file).read_text().split()
            if words[0] not in ("max", "-1"):
                count = min(count, float(words[0]) / float(words[1]))
        except (OSError, ValueError, IndexError):
            continue
    return max(1, round(count))
