"""GPUs of a lab's job that somebody uses outside of SLURM: the job waits, and goes back where that lasts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from slurm.lab import gpuwait
from slurm.local.gpulocks import GpuLocks
from slurm.local.gpus import GpuProcess, GpuUse, Physical
from slurm.local.host import Host
from slurm.local.slots import Device, Share
from tests.helpers.cli import until

UUID = "GPU-11111111-1111-1111-1111-111111111111"


class Driver:
    """One GPU; `used` is who computes on it."""

    def __init__(self, used: tuple[GpuProcess, ...] = ()) -> None:
        self.used = used

    def devices(self) -> Sequence[Physical]:
        return [Physical(0, UUID)]

    def use(self, uuid: str) -> GpuUse:
        return GpuUse(80_000, 80_000, self.used)


def a_host(folder: Path, driver: Driver) -> Host:
    return Host(GpuLocks(folder), "0", driver=lambda: driver)


def test_a_free_gpu_is_held_for_as_long_as_the_script_lives(tmp_path: Path) -> None:
    script = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        assert gpuwait.take(a_host(tmp_path, Driver()), "orch-1", script.pid) == ""
        (tenant,) = GpuLocks(tmp_path).tenants(UUID)
        assert tenant.holder is not None
        assert (tenant.holder.pid, tenant.holder.token) == (script.pid, "orch-1")
        assert "held by" in gpuwait.take(a_host(tmp_path, Driver()), "orch-2", os.getpid())
    finally:
        script.kill()
        script.wait()
    assert GpuLocks(tmp_path).tenants(UUID) == []


def test_a_gpu_that_others_compute_on_is_not_taken_and_nothing_is_held(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        until(lambda: Path(f"/proc/{stranger.pid}/cmdline").read_bytes(), "its words, which exec sets late")
        driver = Driver((GpuProcess(stranger.pid, 9000.0),))
        found = gpuwait.take(a_host(tmp_path, driver), "orch-1", os.getpid())
        assert f"pid {stranger.pid}: sleep 60" in found
        assert GpuLocks(tmp_path).tenants(UUID) == []
        driver.used = ()
        assert gpuwait.take(a_host(tmp_path, driver), "orch-1", os.getpid()) == ""
    finally:
        stranger.kill()
        stranger.wait()


def test_what_keeps_a_job_from_a_whole_gpu() -> None:
    assert gpuwait.in_the_way(Device(name="0")) == ""
    assert gpuwait.in_the_way(Device(name="0", free_memory=0.3)) == "only 30% of its memory is free"
    assert (
        gpuwait.in_the_way(Device(name="0", tenants=(Share("0", 0),), holders=("bob (pid 8)",)))
        == "held by bob (pid 8)"
    )
    assert gpuwait.in_the_way(Device(name="0", busy="used by alice")) == "used by alice"


def test_a_job_waits_and_goes_back_to_the_queue_where_it_waits_long() -> None:
    answers = ["held by bob", "held by bob", ""]
    assert gpuwait.wait(lambda: answers.pop(0), lambda: False, lambda _: None)
    assert answers == []
    slept: list[float] = []
    assert not gpuwait.wait(lambda: "held by bob", lambda: True, slept.append)
    assert sum(slept) == gpuwait.LONG_S


def test_where_scontrol_refuses_it_goes_on_waiting() -> None:
    asked: list[int] = []

    def refuse() -> bool:
        asked.append(1)
        return False

    assert gpuwait.wait(lambda: "" if len(asked) == 3 else "held by bob", refuse, lambda _: None)
    assert len(asked) == 3
