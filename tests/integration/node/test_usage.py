"""What a worker writes of its own use: with an outcome, after a kill, on a full disk, and with a driver that hangs."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.files import read_json
from jobs.node import sampler
from jobs.node.gpumeter import GpuMeter
from jobs.node.sampler import Sampler
from jobs.node.tally import Tally
from jobs.usage import FILE, UsageFile
from tests.helpers.cli import until
from tests.helpers.node import RESULT, Node, python

BURNS = f"""
import os, time
kept = os.environ["ORCH_CHECKPOINT_DIR"]
while time.process_time() < 0.4: sum(range(1000))
open(os.path.join(kept, "state"), "w").write("1")
held = bytearray(100 * 2**20)
time.sleep(4)
{RESULT}
"""


def told(folder: Path) -> UsageFile | None:
    return read_json(folder / FILE, UsageFile)


def test_an_execution_tells_its_cpu_time_its_memory_and_when_its_checkpoint_was(node: Node) -> None:
    node.job(python(BURNS))
    folder = node.run(node.submission())
    assert node.outcome(folder).ending == "success"
    file = told(folder)
    assert file is not None
    usage = file.usage
    assert usage.sums.cpu_seconds is not None and 0.3 <= usage.sums.cpu_seconds < 10
    assert usage.memory_mb is not None and usage.memory_mb > 100
    assert usage.kept is not None and 0 < usage.kept.seconds < usage.sums.seconds and usage.saved_step == 1
    assert (usage.sums.busy_seconds, usage.sums.joules, usage.gpus, usage.idle) == (None, None, 0, ())
    assert (folder / FILE).stat().st_size < 8192


def test_one_that_is_killed_has_told_how_far_it_was(node: Node) -> None:
    node.job(python(BURNS.replace("time.sleep(4)", "time.sleep(600)")))
    worker = node.start(node.submission())
    folder = node.execution()
    until(lambda: (file := told(folder)) is not None and file.usage.saved_step == 1, "a checkpoint in the file")
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait(30)
    program = next(path for path in Path("/proc").iterdir() if path.name.isdigit() and _runs_in(path, folder))
    os.kill(int(program.name), signal.SIGKILL)
    file = told(folder)
    assert file is not None and file.usage.due > 0 and not (folder / "outcome.json").exists()


def _runs_in(process: Path, folder: Path) -> bool:
    try:
        return str(folder).encode() in (process / "environ").read_bytes()
    except OSError:
        return False


def made(folder: Path, meter: GpuMeter) -> Sampler:
    return Sampler(folder, Tally(gpus=1), meter=lambda: meter, steps=lambda: (-1, -1), began=time.monotonic())


def test_a_driver_that_never_answers_keeps_no_job_from_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "LAST_SECONDS", 0.2)
    asked, free = threading.Event(), threading.Event()

    def hang() -> tuple[()]:
        asked.set()
        free.wait(30)
        return ()

    one = made(tmp_path, SimpleNamespace(read=hang))  # type: ignore[arg-type]
    one.start()
    assert asked.wait(10)
    began = time.monotonic()
    one.end()
    assert time.monotonic() - began < 5 and told(tmp_path) is None
    free.set()
    one.join(10)


def test_what_goes_wrong_in_it_is_said_once_and_costs_no_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def broken() -> tuple[()]:
        raise RuntimeError("a fault")

    one = made(tmp_path, SimpleNamespace(read=broken))  # type: ignore[arg-type]
    one.start()
    one.join(10)
    one.end()
    assert capfd.readouterr().err == "orch: usage is not sampled any more: RuntimeError: a fault\n"


def test_a_folder_that_cannot_be_written_costs_no_run(tmp_path: Path) -> None:
    one = made(tmp_path / "gone", GpuMeter(()))
    one.start()
    one.end()
    assert not one.is_alive() and not (tmp_path / "gone").exists()
