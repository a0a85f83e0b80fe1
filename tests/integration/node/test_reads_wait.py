"""A disk that fails a read: waited out, then the machines' fault, and never taken for a file that is not there.

`/proc/self/mem` is a regular file whose first byte the kernel refuses with EIO: a link to it stands for a sick disk.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs import patience
from jobs.files import write_json
from jobs.layout import Layout
from jobs.node import progress
from jobs.node.checkpoints import CheckpointRecord, Checkpoints
from jobs.node.inheritance import inherit
from jobs.node.recorder import earlier_checkpoints
from jobs.node.reports import read_result
from jobs.node.terms import as_it_stands
from jobs.numbers import resultfile
from jobs.numbers.resultfile import ResultFile
from jobs.records import Task
from jobs.resources import Resources
from jobs.words import Cause
from slurm import causes
from tests.helpers.cli import until
from tests.helpers.node import RUN, Node, python, started

WAITS = "Input/output error: waiting for the disk to be well again"
GOES_ON = """
import json, os, pathlib
there = pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"], "model")
step = int(there.read_text()) if there.exists() else 0
json.dump({"from": step}, open(os.environ["ORCH_RESULT"], "w"))
"""


def make_sick(path: Path) -> Callable[[], None]:
    """From now on reading it fails with EIO; what is returned makes it well again."""
    kept = path.with_name(f"{path.name}.kept")
    path.rename(kept)
    path.symlink_to("/proc/self/mem")
    return lambda: kept.replace(path)


def test_a_worker_waits_for_each_thing_that_it_must_read(node: Node, capfd: pytest.CaptureFixture[str]) -> None:
    """One after the other: its manifest, its job, who was before it, how far that one came; then it goes on from it."""
    node.job(python(GOES_ON))
    earlier, _ = started(node)
    (earlier / "checkpoints").mkdir()
    (earlier / "checkpoints" / "model").write_text("7")
    write_json(earlier / progress.FILE, progress.Progress(step=7, digest=progress.digest(earlier / "checkpoints")))
    folder = node.submission(2)
    sick = [
        folder / "manifest.json",
        node.layout.job(1) / "job.json",
        earlier / "started.json",
        earlier / progress.FILE,
    ]
    heal = [make_sick(path) for path in sick]
    worker = node.start(folder)
    said = ""

    def waits(times: int) -> bool:
        nonlocal said
        said += capfd.readouterr().err
        own = [path / "stderr" for path in node.layout.executions(1, 2)]
        return (said + "".join(path.read_text() for path in own if path.exists())).count(WAITS) >= times

    for times, well in enumerate(heal, start=1):
        until(lambda times=times: waits(times), f"wait {times}")
        assert worker.poll() is None
        well()
    assert worker.wait(60) == 0
    assert node.outcome(node.execution(2)).result == {"from": 7.0}


def test_after_the_wait_it_is_the_machines_fault(node: Node) -> None:
    """With the reason as evidence: the job did nothing wrong, and did not begin anew."""
    node.job(python(GOES_ON))
    earlier, _ = started(node)
    (earlier / "checkpoints").mkdir()
    (earlier / "checkpoints" / "model").symlink_to("model.pt")
    (earlier / "checkpoints" / "model.pt").write_text("7")
    make_sick(earlier / "started.json")
    impatient = f"import jobs.patience; jobs.patience.READING_SECONDS = 0.6; {RUN}"
    given = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    folder = node.submission(2)
    subprocess.run([sys.executable, "-c", impatient, str(folder)], env=given, check=True, timeout=60)
    outcome = node.outcome(node.execution(2))
    assert (outcome.ending, outcome.cause, outcome.disk) == ("failure", Cause.NODE_FAILURE, "disk")
    assert "a disk failed it: Input/output error" in (outcome.error or "")
    make_sick(folder / "manifest.json")
    done = subprocess.run(
        [sys.executable, "-c", impatient, str(folder)],
        env=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    verdict = causes.from_log(done.stderr)
    assert done.returncode == 1 and verdict is not None and verdict.cause is Cause.NODE_FAILURE, done.stderr
    assert "Input/output error" in verdict.evidence[0]
    stale = causes.from_log(done.stderr.replace("[Errno 5] Input/output error", "[Errno 116] Stale file handle"))
    assert stale is not None and stale.cause is Cause.NODE_FAILURE


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "READING_SECONDS", 0.0)


def reads_terms(folder: Path) -> object:
    layout = Layout(folder / ".orch")
    return as_it_stands(layout, "orch-1", Task(job=1, attempt=1, generation=1, resources=Resources()))


def resumed(at: Path) -> object:
    return Checkpoints(at / "own", [at / "earlier/checkpoints"]).load()


def inherited(at: Path) -> object:
    return inherit(at / "own", [at / "earlier/checkpoints"])


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("earlier/checkpoints/step-00000001.json", resumed),
        ("earlier/checkpoints/step-00000001.pt", resumed),
        ("earlier/outcome.json", inherited),
        ("earlier/progress.json", inherited),
        ("result.json", lambda at: read_result(at / "result.json")),
        ("scores.csv", lambda at: ResultFile(at / "scores.csv", "scores.csv").read(closed=True)),
        ("scores.json", lambda at: ResultFile(at / "scores.json", "scores.json").read(closed=True)),
        (".orch/runs/submissions/orch-1/changes.jsonl", reads_terms),
    ],
)
def test_what_a_failing_disk_hides_is_not_taken_for_missing(
    name: str, read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resultfile, "look", lambda path: None)  # it was not there when the program started
    where = tmp_path / "earlier" / "checkpoints"
    where.mkdir(parents=True)
    (where / "model").write_text("7")
    write_json(where / "step-00000001.json", CheckpointRecord(step=1, bytes=3, sha256="", history=()))
    reading = tmp_path / name
    reading.parent.mkdir(parents=True, exist_ok=True)
    reading.unlink(missing_ok=True)
    reading.symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match="Input/output error"):
        read(tmp_path)


@pytest.mark.usefixtures("impatient")
def test_a_checkpoint_of_a_program_with_a_sick_block_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the program would begin anew, or with half of what it saved."""
    model = tmp_path / "earlier/checkpoints/model"
    model.parent.mkdir(parents=True)
    model.write_text("7")

    def failing(handle: int, size: int, offset: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", failing)
    with pytest.raises(OSError, match="Input/output error") as raised:
        inherited(tmp_path)
    assert raised.value.filename == str(model)


def test_a_stop_ends_the_wait_for_a_read(tmp_path: Path) -> None:
    asked: list[int] = []

    def unwanted() -> bool:
        asked.append(1)
        return len(asked) > 2

    (tmp_path / "result.json").symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match="Input/output error"):
        read_result(tmp_path / "result.json", unwanted)
    assert len(asked) < 5


def test_an_earlier_execution_that_is_none_is_passed_over(node: Node) -> None:
    """A torn file is no failing disk."""
    folder, _ = started(node)
    (folder / "started.json").write_text("{")
    task = Task(job=1, attempt=2, generation=1, resources=Resources())
    assert earlier_checkpoints(node.layout, task, folder.with_name("e0-ffffff")) == []
