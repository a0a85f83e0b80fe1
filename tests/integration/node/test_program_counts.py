"""How far a program came is one number, in whatever order its files show, and whoever was looking when."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from db import executions
from jobs.files import now, write_json
from jobs.node import progress
from jobs.node.progress import Progress, Watch, digest, reached
from jobs.records import Outcome, Started
from jobs.words import Cause
from orchestrator.supervision import ingestion
from orchestrator.supervision.seen import Seen
from tests.helpers.filled import Filled
from tests.helpers.node import PYTHON, Node, python, started

ROOT = Path(__file__).parents[3]
SHOWN = ("an early progress.json", "progress.json", "a checkpoint", "a later checkpoint", "outcome.json")


def seen_of(folder: Path, record: Started) -> Seen:
    return Seen(folder=folder, started=record, heartbeat_at=0.0, monotonic=lambda: 0.0)


def whatever_shows(folder: Path, told: int | None) -> dict[str, Callable[[], object]]:
    """The writes of an execution whose checkpoints changed twice: `told` is what its outcome says, None without one."""
    model = folder / "checkpoints" / "model"
    model.parent.mkdir()
    texts = {"a checkpoint": "7", "a later checkpoint": "10"}
    digests = {}
    for name, text in texts.items():
        model.write_text(text)
        os.utime(model, ns=(0, len(text)))
        digests[name] = digest(model.parent)
    model.unlink()

    def save(name: str) -> None:
        if not model.exists() or len(model.read_text()) < len(texts[name]):  # writes of one file keep their order
            model.write_text(texts[name])
            os.utime(model, ns=(0, len(texts[name])))

    def keep(step: int, digest: str) -> None:
        if (step, digest) not in kept:
            kept.append((step, digest))
            write_json(folder / progress.FILE, Progress(step=max(kept)[0], digest=max(kept)[1]))

    kept: list[tuple[int, str]] = []
    outcome = Outcome(ending="failure", cause=Cause.ERROR, error="no", checkpoint_step=told or -1, at=now())
    writes: dict[str, Callable[[], object]] = {
        "an early progress.json": lambda: keep(-1, ""),
        "progress.json": lambda: keep(1, digests["a checkpoint"]),
        "a checkpoint": lambda: save("a checkpoint"),
        "a later checkpoint": lambda: save("a later checkpoint"),
        "outcome.json": lambda: write_json(folder / "outcome.json", outcome),
    }
    return writes if told is not None else {name: act for name, act in writes.items() if name != "outcome.json"}


@pytest.mark.parametrize(("told", "right"), [(1, 1), (2, 2), (None, 2)])
def test_who_looked_all_the_time_and_who_looks_at_the_end_agree(
    node: Node, tmp_path: Path, told: int | None, right: int
) -> None:
    """A rebuild counted one more than the store had: it looked at the folder before it read the outcome."""
    filled = Filled.make(tmp_path / "store" / ".orch")
    (job,) = filled.submit()
    filled.dispatch(job)
    orders = list(itertools.permutations(SHOWN if told is not None else SHOWN[:-1]))
    for order in orders:
        folder, record = started(node)
        writes = whatever_shows(folder, told)
        live = seen_of(folder, record)
        with filled.store.write() as writer:
            (attempt,) = writer.connection.exec_driver_sql("SELECT id FROM attempt").one()
            for name in order:
                writes[name]()
                live.refresh()
                ingestion.last_look([live])
                ingestion.store(writer.connection, attempt, [live])
                ingestion.stored({(1, 1): [live]})
            late = seen_of(folder, record)
            late.refresh()
            kept = [one.checkpoint_step for one in executions.of_job(writer.connection, job) if one.name == folder.name]
        assert (live.checkpoint_step, late.checkpoint_step, kept, reached(folder)) == (right, right, [right], right), (
            order
        )


def test_a_change_counts_though_the_disk_is_full(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outcome, which waits for room, must know it; the file follows when there is room."""
    folder, _ = started(node)
    (folder / "checkpoints").mkdir()
    watch = Watch(folder, [])
    (folder / "checkpoints" / "model").write_text("7")

    def full(path: Path, record: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(progress, "write_json", full)
        watch.look(now=True)
        watch.look(now=True)
    assert watch.step == 1
    before = (folder / progress.FILE).read_bytes()
    watch.look(now=True)
    assert watch.step == 1 and (folder / progress.FILE).read_bytes() != before
    assert reached(folder) == 1


FAILS = """
import sys, time
from pathlib import Path
from jobs.node import reports
from jobs.node.worker import Task
def forward(self):
    if (self.path.parent / "checkpoints" / "model").exists():
        raise RuntimeError("cannot follow it")
    return False
reports.MetricsRelay.forward = forward
Task(sys.argv[1])()
"""


def test_a_worker_that_gives_up_has_looked_before_its_outcome(node: Node) -> None:
    save = "open(os.environ['ORCH_CHECKPOINT_DIR'] + '/model', 'w').write('7')"
    node.job(python(f"import os, time; time.sleep(0.2); {save}; time.sleep(60)"))
    subprocess.run(
        [PYTHON, "-c", FAILS, str(node.submission())], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    outcome = node.outcome(node.execution())
    assert (outcome.ending, outcome.checkpoint_step) == ("failure", 1), outcome.error
    assert "cannot follow it" in str(outcome.error)
