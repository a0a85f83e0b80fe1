"""Which GPUs are found, and which processes on them count as foreign."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from slurm.local import gpus
from slurm.local.gpulocks import GpuLocks
from slurm.local.gpus import DriverSilent, Gpu, GpuProcess, GpuUse, Physical, visible
from slurm.local.host import Host
from slurm.local.slots import Share

ONE, TWO, THREE = "GPU-11aa", "GPU-22bb", "GPU-22cc"


class FakeDriver:
    """A driver with three GPUs, the last one split by MIG."""

    def __init__(self, uses: dict[str, GpuUse] | None = None) -> None:
        self.uses = uses or {}

    def devices(self) -> Sequence[Physical]:
        return [Physical(0, ONE), Physical(1, TWO), Physical(2, THREE, ("MIG-x1", "MIG-x2"))]

    def use(self, uuid: str) -> GpuUse:
        return self.uses.get(uuid, GpuUse(80_000, 80_000))


def test_without_the_variable_the_drivers_gpus_go_by_uuid_and_mig_devices_instead_of_their_gpu():
    assert [gpu.name for gpu in visible(None, FakeDriver())] == [ONE, TWO, "MIG-x1", "MIG-x2"]
    assert visible(None, None) == ()


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("1,0", [("1", TWO), ("0", ONE)]),
        (" 0 , 1 ", [("0", ONE), ("1", TWO)]),
        (ONE, [(ONE, ONE)]),
        ("GPU-11", [("GPU-11", ONE)]),
        ("GPU-22", []),
        ("MIG-x2", [("MIG-x2", "MIG-x2")]),
        ("0,-1,1", [("0", ONE)]),
        ("0,7,1", [("0", ONE)]),
        (f"0,{ONE},0,1", [("0", ONE), ("1", TWO)]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_inherited_names_are_kept_as_they_are(variable, expected):
    assert [(gpu.name, gpu.uuid) for gpu in visible(variable, FakeDriver())] == expected


def test_without_a_driver_listed_devices_are_taken_as_given():
    assert visible("2,3", None) == (Gpu("2"), Gpu("3"))
    assert visible("GPU-5f,MIG-GPU-1/2/0", None) == (Gpu("GPU-5f"), Gpu("MIG-GPU-1/2/0"))
    assert visible("2,-1,3", None) == (Gpu("2"),)


def test_a_gpu_has_one_key_whatever_it_is_called():
    by_index, by_uuid = visible("0", FakeDriver())[0], visible(ONE, FakeDriver())[0]
    assert by_index.key == by_uuid.key == ONE


def test_foreign_processes_make_a_gpu_busy_and_are_named(tmp_path):
    me = GpuProcess(os.getpid(), 512.0)
    driver = FakeDriver({ONE: GpuUse(70_000, 80_000, (me,)), TWO: GpuUse(8_000, 80_000)})
    host = Host(GpuLocks(tmp_path / "locks"), "0,1", driver=lambda: driver)
    first, second = host.look({}, with_gpus=True).gpus
    assert f"pid {os.getpid()}" in first.busy
    assert "512 MB" in first.busy
    assert second.busy == ""
    assert second.free_memory == pytest.approx(0.1)


def test_processes_of_orchs_own_jobs_are_not_foreign(tmp_path, monkeypatch):
    driver = FakeDriver({ONE: GpuUse(70_000, 80_000, (GpuProcess(os.getpid(), None),))})
    host = Host(GpuLocks(tmp_path / "locks"), "0", driver=lambda: driver)
    monkeypatch.setattr("slurm.local.processes.token_of", lambda pid: "some-token")
    (device,) = host.look({"mine": [Share("0", 0, 2)]}, with_gpus=True).gpus
    assert device.busy == ""
    assert device.tenants == (Share("0", 0, 2),)


def test_an_unknown_pid_is_foreign_only_on_a_gpu_that_no_job_uses():
    hidden = [GpuProcess(2**22 + 5, 100.0)]
    assert gpus.foreign(hidden, frozenset(), shared=False) == hidden
    assert gpus.foreign(hidden, frozenset(), shared=True) == []
    assert "outside of this container" in gpus.describe(hidden)


def test_a_driver_that_does_not_answer_is_no_host_without_gpus(tmp_path):
    def silent() -> gpus.Driver | None:
        raise DriverSilent("NVML says 'Driver/library version mismatch'")

    seen = Host(GpuLocks(tmp_path / "locks"), None, driver=silent).look({}, with_gpus=True)
    assert seen.gpus == ()
    assert "mismatch" in seen.gpu_problem
    assert Host(GpuLocks(tmp_path / "locks"), None, driver=silent).look({}, with_gpus=False).gpu_problem == ""


def test_one_gpu_that_fails_leaves_the_others_to_jobs(tmp_path):
    class Lost(FakeDriver):
        def use(self, uuid: str) -> GpuUse:
            if uuid == ONE:
                raise DriverSilent("NVML says 'GPU is lost'")
            return super().use(uuid)

    first, second = Host(GpuLocks(tmp_path / "locks"), "0,1", driver=Lost).look({}, with_gpus=True).gpus
    assert "GPU is lost" in first.busy
    assert second.busy == ""
