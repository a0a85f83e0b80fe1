"""A full disk, torn lines and truncated checkpoints: nothing is lost, the rest goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.files import read_json
from jobs.layout import Layout
from jobs.records import Ready
from tests.helpers.cli import GATE, PYTHON, Orch, alive, script, until
from tests.helpers.node import children


@pytest.fixture
def small_disk(orch: Orch) -> Iterator[Path]:
    """A folder on a file system of its own with 4 MB."""
    folder = orch.folder / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: a full disk needs a small tmpfs, and only root may mount one")
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"NOT TESTED: a full disk needs a small tmpfs, and mount said: {mounted.stderr}")
    yield folder
    orch.kill_everything()
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a killed process may hold it for a moment


def test_a_full_disk_loses_nothing(orch: Orch, small_disk: Path) -> None:
    """What cannot be stored is refused in words; a worker that has finished waits for room with its outcome."""
    orch.environment["ORCH_STORE"] = str(small_disk / "store")
    orch.layout = Layout(small_disk / "store")
    wait = ["sh", "-c", "while [ ! -e $ORCH_WORKDIR/go ]; do sleep 0.1; done"]
    orch("submit", "command", "--", *wait)
    worker = orch.worker(1).pid
    until(lambda: orch.job(1).state == "running", "the start")
    filler = (small_disk / "filler").open("wb", buffering=0)
    with contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))
    refused = orch.call("submit", "command", "--seeds", "300", "--", *wait)
    assert refused.returncode == 2, refused.stderr
    assert "make room" in refused.stderr and len(refused.stderr.strip().splitlines()) == 1
    orch.open_gate()
    until(lambda: not children(worker), "the program's end")
    assert alive(worker), "the worker keeps its outcome until there is room"
    filler.close()
    (small_disk / "filler").unlink()
    until(lambda: orch.job(1).state == "succeeded", "the result", 90)
    assert len(orch.attempts(1)) == 1
    assert len(orch.jobs()) == 1, "the refused submit left nothing"
    assert orch.json("submit", "command", "--seeds", "2", "--wait", "--", *wait)["created"] == [2]
    orch.check()


METRICS = """
import os, sys, time
with open(os.environ["ORCH_METRICS"], "a") as metrics:
    for epoch in (1, 2):
        metrics.write('{"epoch": %d, "epochs": 3, "loss": %d}\\n' % (epoch, 10 - epoch))
    metrics.write('no json at all\\n[1, 2]\\n{"epoch": 1e400}\\n{"epoch": 99999999999999999999, "loss": 1}\\n')
    metrics.write('{"epoch": 3, "loss": NaN}\\n{"epoch": 3, "epochs": 3, "loss": 7}\\n{"epoch": 4, "lo')
"""


def test_torn_and_odd_metrics_lines_are_skipped(orch: Orch) -> None:
    script(orch, "metrics.py", METRICS + GATE)
    orch("submit", "command", "--", PYTHON, "metrics.py", "{seed}")
    until(lambda: orch.starts(0), "the program")
    until(lambda: [run.epoch for run in orch.executions(1)] == [3], "the third epoch")
    (folder,) = orch.layout.executions(1, 1)
    with (folder / "metrics.jsonl").open("a") as torn:
        torn.write('{"epoch": 4, "at": "20')
    os.kill(orch.worker(1).pid, signal.SIGKILL)
    orch.open_gate()
    orch.finish()
    first, second = orch.executions(1)
    assert (first.epoch, second.epoch, first.cause, second.cause) == (3, 3, "killed", "success")
    numbers = orch.rows(f"SELECT epoch, name, value FROM metric WHERE execution_id = {second.id} ORDER BY epoch, name")
    assert numbers == [(1, "loss", 9.0), (2, "loss", 8.0), (3, "loss", 7.0)]
    assert "no JSON object" in (orch.layout.executions(1, 2)[0] / "stderr").read_text()


def test_a_truncated_checkpoint_is_passed_over(orch: Orch) -> None:
    """Demo training, killed, its newest checkpoint torn: it goes on from the one before."""
    few = ["--set", "epochs=4", "--set", "train_images=64"]
    orch("submit", "random-baseline", "--checkpoint-every", "0", "--shortcuts", "2", *few)
    saved = orch.layout.attempt(1, 1)
    until(lambda: len(list(saved.glob("*/checkpoints/step-*.json"))) >= 2, "two checkpoints")
    os.kill(orch.worker(1).pid, signal.SIGKILL)
    newest = max(saved.glob("*/checkpoints/step-*.pt"))
    newest.write_bytes(newest.read_bytes()[:1000])
    orch.finish()
    killed, resumed = orch.executions(1)
    assert (killed.cause, resumed.cause) == ("killed", "success")
    folder = orch.layout.executions(1, 2)[0]
    assert f"skipped checkpoint {newest}" in (folder / "stderr").read_text()
    ready = read_json(folder / "ready.json", Ready)
    assert ready is not None and 0 < ready.checkpoint_step < int(newest.stem[5:])
    epochs = orch.rows(f"SELECT DISTINCT epoch FROM metric WHERE execution_id = {resumed.id} ORDER BY epoch")
    assert epochs == [(1,), (2,), (3,), (4,)], "with the history that the checkpoint carried"
