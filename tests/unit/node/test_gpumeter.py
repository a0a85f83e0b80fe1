"""What is asked of NVML, of a pretended one: no test here has a GPU."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.node.gpumeter import opened
from jobs.usage import GpuReading

ONE, TWO = "GPU-11aa", "GPU-22bb"


class NVMLError(Exception):
    pass


class Driver:
    """pynvml with two GPUs; calls named in `refused` fail."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused

    def __getattr__(self, name: str) -> Any:
        if name in self.refused or not hasattr(Driver, f"_{name}"):

            def refuse(*given: object) -> Any:
                raise NVMLError("Not Supported")

            return refuse
        return getattr(self, f"_{name}")

    def _nvmlInit(self) -> None:
        pass

    def _nvmlDeviceGetCount(self) -> int:
        return 2

    def _nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        if number > 1:
            raise NVMLError("Invalid Argument")
        return number

    def _nvmlDeviceGetUUID(self, handle: int) -> str:
        return (ONE, TWO)[handle]

    def _nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=(7, 93)[handle], memory=0)

    def _nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(used=2**30, total=2**33, free=2**32)

    def _nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        return 250_500

    def _nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        return 12_345


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    one = Driver()
    monkeypatch.setitem(sys.modules, "pynvml", one)
    return one


@pytest.mark.parametrize(
    ("visible", "gpus", "percents"),
    [
        ("0", 1, [7.0]),
        ("1,0", 2, [93.0, 7.0]),
        (TWO, 1, [93.0]),
        ("GPU-11", 1, [7.0]),
        (None, 2, [7.0, 93.0]),
        (None, 1, []),
        ("0,1", 1, []),
        ("7", 1, []),
        ("GPU-", 1, []),
        ("", 1, []),
        ("NoDevFiles", 1, []),
    ],
)
def test_the_gpus_that_it_was_given_are_read_or_none(
    driver: Driver, visible: str | None, gpus: int, percents: list[float]
) -> None:
    assert [one.percent for one in opened(visible, gpus).read()] == percents


def test_units(driver: Driver) -> None:
    (one,) = opened("0", 1).read()
    assert one == GpuReading(percent=7.0, memory_mb=1024.0, watts=250.5, joules=12.345)


def test_what_the_driver_does_not_tell_is_unknown(driver: Driver) -> None:
    driver.refused = ("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetTotalEnergyConsumption")
    assert opened("0", 1).read() == (GpuReading(memory_mb=1024.0, watts=250.5),)


@pytest.mark.parametrize("refused", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex"])
def test_without_a_driver_there_is_no_gpu_to_read(driver: Driver, refused: str) -> None:
    driver.refused = (refused,)
    assert opened("0", 1).read() == ()


def test_without_its_package_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert opened("0", 1).read() == ()
