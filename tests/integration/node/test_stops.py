"""What ends a worker that nobody wants, or that its time limit ends, and what it asks of SLURM then."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.files import now, write_json
from jobs.node import stopping
from jobs.node.stopping import Heartbeat, Stop, StopReason
from jobs.node.worker import Execution
from jobs.records import Accepted, Task
from jobs.resources import Resources
from jobs.words import Cause
from tests.helpers.cli import until
from tests.helpers.node import Node, python, started

STOPPING = """
import os, pathlib, signal, sys, time
def stop(number, frame):
    pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"], "step").write_text("7")
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
pathlib.Path("up").touch()
time.sleep(60)
"""


def test_a_submission_that_was_given_up_starts_nothing(node: Node) -> None:
    """sbatch was slow, and its jobs went through another submission meanwhile."""
    node.job(python("open('ran', 'w')"))
    folder = node.submission()
    node.layout.given_up(folder.name).touch()
    assert node.start(folder).wait(60) == 0
    assert node.layout.attempts(1) == [] and not (node.cwd / "ran").exists()


@pytest.mark.parametrize(("accepted", "name"), [(True, "orch-a"), (False, "orch-a"), (True, "anothers"), (True, "")])
def test_a_worker_tells_orch_whether_slurm_will_requeue_it(
    node: Node, tmp_path: Path, accepted: bool, name: str
) -> None:
    """Its id may be another job's by now: SLURM must call it by its own name, or it is not asked to requeue it."""
    asked = tmp_path / "asked"
    (tmp_path / "bin").mkdir()
    for command, body in (
        ("scontrol", f'echo "$@" >> {asked}\nexit {0 if accepted else 1}'),
        ("squeue", f'test "$*" = "--noheader --jobs=41_0 --format=%j" && echo "{name}"'),
    ):
        program = tmp_path / "bin" / command
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    node.job(python(STOPPING))
    environment = {
        "SUBMITIT_EXECUTOR": "slurm",
        "SLURM_JOB_ID": "42",
        "SLURM_JOB_NAME": "orch-a",
        "SLURM_ARRAY_JOB_ID": "41",
        "SLURM_ARRAY_TASK_ID": "0",
        "SQUEUE_FORMAT": "%i",
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
    }
    worker = node.start(node.submission(), **environment)
    until((node.cwd / "up").exists, "the program")
    os.kill(worker.pid, signal.SIGUSR2)
    assert worker.wait(60) == 0
    mine = name == "orch-a"
    outcome = node.outcome(node.execution())
    assert (outcome.ending, outcome.requeued) == ("interrupted", accepted and mine)
    assert asked.exists() is mine
    if mine:
        assert set(asked.read_text().splitlines()) == {"requeue 41_0"}


@pytest.mark.parametrize(
    ("seconds", "advanced", "ending", "cause"),
    [
        (3590, False, "failure", Cause.TIMEOUT),
        (3590, True, "interrupted", Cause.TIMEOUT),
        (600, False, "interrupted", Cause.PREEMPTED),
    ],
)
def test_a_whole_time_limit_without_progress_is_the_last(
    node: Node, seconds: int, advanced: bool, ending: str, cause: Cause
) -> None:
    """Decided on the node: a job requeues itself while orch is away."""
    begun = SimpleNamespace(
        layout=node.layout,
        token="orch-a",
        task=Task(job=1, attempt=1, generation=1, resources=Resources(minutes=60)),
        bundled=None,
        started=SimpleNamespace(at=now() - timedelta(seconds=seconds)),
    )
    stop = Stop()
    stop.ask(StopReason.USER_SIGNAL)
    checkpoints = SimpleNamespace(newest_step=9 if advanced else 4, resumed_step=4)
    context = SimpleNamespace(stop=stop, checkpoints=checkpoints, resumed_step=4)
    outcome = Execution._interrupted(begun, context)  # type: ignore[arg-type]
    assert (outcome.ending, outcome.cause) == (ending, cause)


def test_the_heartbeat_asks_a_useless_copy_to_stop(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "HEARTBEAT_SECONDS", 0.01)
    folder, mine = started(node)
    stop = Stop()
    heart = Heartbeat(node.layout, folder, mine, stop)
    heart.start()
    until(lambda: (folder / "heartbeat").exists(), "a beat")
    assert stop.reason is None
    write_json(node.layout.job(1) / "accepted.json", Accepted(attempt=2, execution="e0-000000", at=now()))
    (node.layout.attempt(1, 2) / "e0-000000").mkdir(parents=True)
    until(stop.asked, "the heartbeat to see that the job is closed")
    heart.ended.set()
    assert stop.reason is StopReason.SUPERSEDED
