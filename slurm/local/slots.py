"""Which queued job gets which share of which local device: pure decisions, no I/O.

A device is a GPU or the host's cores (`cpu`). A tenant takes 1/parts of each device it was given, and the shares of a
device never add up to more than one: equal jobs get `parts` slots a device, and unequal ones never crowd it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from jobs import launchers
from slurm.backend import QueuedJob

CPU = "cpu"
_SLOT = re.compile(r"^(?:cpu|gpu:(?P<gpu>[^,]+)):(?P<index>\d+)(?:/(?P<parts>[1-9]\d*))?$")


@dataclass(frozen=True, order=True)
class Share:
    """One tenant's place on one device: `index` tells tenants apart, 1/`parts` is how much of the device it takes."""

    device: str
    """`cpu`, or the GPU's name as CUDA_VISIBLE_DEVICES takes it."""
    index: int
    parts: int = 1

    @property
    def size(self) -> Fraction:
        return Fraction(1, self.parts)

    def __str__(self) -> str:
        device = CPU if self.device == CPU else f"gpu:{self.device}"
        return f"{device}:{self.index}" + (f"/{self.parts}" if self.parts > 1 else "")


def slot_name(shares: Sequence[Share]) -> str:
    """A slot as the store keeps it: 'cpu:1/4', 'gpu:GPU-1f…:0', or 'gpu:2:0,gpu:3:0' for a job of two GPUs."""
    return ",".join(str(share) for share in shares)


def parse_slot(slot: str) -> tuple[Share, ...]:
    """The shares that a slot's name stands for. Raises ValueError for a text that is no slot."""
    shares = []
    for text in slot.split(","):
        match = _SLOT.match(text)
        if match is None:
            raise ValueError(f"'{text}' is no slot: expected cpu:<index>[/<parts>] or gpu:<device>:<index>[/<parts>]")
        shares.append(Share(match["gpu"] or CPU, int(match["index"]), int(match["parts"] or 1)))
    return tuple(shares)


def slot_gpus(slot: str) -> tuple[str, ...]:
    """Names of the GPUs of a slot, in order; none for a slot of the CPU. This is what a strike counts against."""
    return tuple(share.device for share in parse_slot(slot) if share.device != CPU)


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device as it stands now."""

    name: str
    tenants: tuple[Share, ...] = ()
    """Shares taken, by this store's live attempts and by anybody else who holds a lock."""
    holders: tuple[str, ...] = ()
    """Who else holds a share, for a sentence: 'bob (pid 812)'."""
    busy: str = ""
    """Why no job may start here now (foreign processes, a fault), '' where one may."""
    free_memory: float = 1.0
    """Free part of the device's memory, 0 to 1."""
    memory_mb: float | None = None
    """All of its memory; None where no driver tells."""

    @property
    def left(self) -> Fraction:
        return 1 - sum((tenant.size for tenant in self.tenants), Fraction(0))


@dataclass(frozen=True, kw_only=True)
class Machine:
    """This host as the planner sees it."""

    cores: int
    cpu: Device
    gpus: tuple[Device, ...] = ()
    gpu_problem: str = ""
    """The driver is there but does not answer: jobs that want a GPU wait, and do not run on the CPU instead."""
    jobs_per_gpu: int = 1
    cpu_slots: int | None = None
    """None: as many as the cores hold, by what each job asks."""
    free_memory_needed: float = 0.5
    """A job of 1/parts of a GPU starts only where this much of its part of the memory is free."""
    usable_memory: float = 0.95
    """Part of a GPU's memory that its jobs may need together, by their estimates."""


@dataclass(frozen=True)
class Plan:
    """What can go now, and why the rest cannot."""

    placed: dict[int, tuple[Share, ...]]
    """Job → its shares, in order of priority."""
    waiting: dict[int, str]
    """Job → why it waits."""


def plan(queued: Sequence[QueuedJob], machine: Machine, exclude: frozenset[str]) -> Plan:
    """Place jobs in order of priority. A later job never takes a device that an earlier waiting one could use.

    `exclude` and a job's own `avoid` name GPUs; the CPU is never struck out, since a host has no other.
    """
    result = Plan({}, {})
    devices = {device.name: device for device in (machine.cpu, *machine.gpus)}
    reserved: set[str] = set()
    for job in queued:
        names, count, parts, never = _wanted(job, machine)
        if never:
            result.waiting[job.job] = never
            continue
        allowed = [name for name in names if name == CPU or name not in exclude | job.avoid]
        if len(allowed) < count:
            struck = ", ".join(name for name in names if name not in allowed)
            result.waiting[job.job] = f"waits until GPUs that failed are tried again: {struck} (see orch nodes)"
            continue
        held = {name: _held(devices[name], parts, job.resources.gpu_memory_mb, machine) for name in allowed}
        refusals = {name: _refusal(devices[name], held[name], machine, name in reserved) for name in allowed}
        fitting = sorted((name for name in allowed if not refusals[name]), key=lambda name: -devices[name].left)
        if len(fitting) < count:
            why = "; ".join(f"{_label(name)}: {refusals[name]}" for name in allowed if refusals[name])
            fewest = min(held.values())
            if fewest < parts:
                need = job.resources.gpu_memory_mb
                why += f"; {parts} were to share a GPU, and its memory holds {fewest} of {need} MB (--gpu-mem)"
            result.waiting[job.job] = f"waits for {_amount(count, names)}: {why}"
            reserved.update(allowed)
            continue
        shares = tuple(_next_share(devices[name], held[name]) for name in fitting[:count])
        for share in shares:
            device = devices[share.device]
            devices[share.device] = Device(
                name=device.name,
                tenants=(*device.tenants, share),
                holders=device.holders,
                busy=device.busy,
                free_memory=device.free_memory,
                memory_mb=device.memory_mb,
            )
        result.placed[job.job] = shares
    return result


def _wanted(job: QueuedJob, machine: Machine) -> tuple[list[str], int, int, str]:
    """(names of the devices it could use, how many of them, parts, why never) of a job."""
    wants_gpu = job.resources.gpus > 0 and job.device != "cpu"
    if wants_gpu and machine.gpu_problem:
        return [], 0, 1, f"waits for the GPU driver: {machine.gpu_problem}"
    if wants_gpu and (machine.gpus or job.device == "cuda"):
        have = len(machine.gpus)
        if job.resources.gpus > have:
            return [], 0, 1, f"asks for {job.resources.gpus} GPU(s) and this host offers {have}: ask for fewer"
        parts = int(job.options.get("jobs_per_gpu", machine.jobs_per_gpu))
        return [gpu.name for gpu in machine.gpus], job.resources.gpus, max(1, parts), ""
    if machine.cpu_slots:  # a slot for each process
        return [CPU], 1, max(1, machine.cpu_slots // launchers.ranks(job.options, job.resources.gpus)), ""
    return [CPU], 1, max(1, machine.cores // max(1, job.resources.cpus)), ""


def _held(device: Device, parts: int, need_mb: int, machine: Machine) -> int:
    """How many such jobs a device is shared between: as many as were asked for, fewer where its memory is too small."""
    if device.memory_mb is None or need_mb <= 0:
        return parts
    return max(1, min(parts, int(device.memory_mb * machine.usable_memory / need_mb)))


def _refusal(device: Device, parts: int, machine: Machine, reserved: bool) -> str:
    """Why a tenant of 1/parts cannot start on a device now, '' where it can."""
    if device.left < Fraction(1, parts):
        whose = f", held by {', '.join(device.holders)}" if device.holders else ""
        return f"taken by {len(device.tenants)} job(s){whose}"
    if reserved:
        return "kept for a job of higher priority"
    if device.busy:
        return device.busy
    if device.free_memory < machine.free_memory_needed / parts:
        return f"only {device.free_memory:.0%} of its memory is free"
    return ""


def _next_share(device: Device, parts: int) -> Share:
    taken = {tenant.index for tenant in device.tenants}
    return Share(device.name, next(index for index in range(len(taken) + 1) if index not in taken), parts)


def _label(name: str) -> str:
    return "CPU" if name == CPU else f"GPU {name}"


def _amount(count: int, names: Sequence[str]) -> str:
    if names == [CPU]:
        return "a CPU slot"
    return "a GPU" if count == 1 else f"{count} GPUs"
