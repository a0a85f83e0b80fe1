"""What a worker does on a node: its files in their order, how its program failed, and its signals."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import msgspec
import pytest

from jobs import files
from jobs.errors import DataError
from jobs.files import read_json, write_json
from jobs.node.worker import Task as WorkerTask
from jobs.records import JobFile, Started
from jobs.words import Cause
from tests.helpers.cli import until
from tests.helpers.node import PYTHON, RESULT, RUN, Node, children, python


def test_an_execution_is_a_folder_of_files(node: Node) -> None:
    node.job(python(f"print('said'); {RESULT}"))
    folder = node.run(node.submission())
    assert folder.name.startswith("e0-")
    assert {"started.json", "ready.json", "heartbeat", "stdout", "stderr", "outcome.json"} <= set(files.names(folder))
    started = read_json(folder / "started.json", Started)
    assert started is not None and (started.job, started.attempt, started.index) == (1, 1, 0)
    assert (folder / "stdout").read_text() == "said\n"
    outcome = node.outcome(folder)
    assert (outcome.ending, outcome.cause, outcome.result) == (
        "success",
        Cause.SUCCESS,
        {"accuracy": 91.5, "loss": 1.0},
    )
    assert outcome.wall_seconds > 0 and outcome.peak_memory_mb > 1 and outcome.device == "cpu"


def test_a_command_imports_no_torch(node: Node) -> None:
    """Any training script gets slots and tables, in a tenth of a second and 30 MB."""
    node.job(["true"])
    text = f"{RUN}; assert not {{'torch', 'numpy', 'sqlalchemy', 'submitit'}} & set(sys.modules)"
    given = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([PYTHON, "-c", text, str(node.submission())], env=given, check=True)
    assert node.outcome(node.execution()).ending == "success"


def test_two_executions_of_an_attempt_never_share_a_folder(node: Node) -> None:
    """As after a controller crash, which may give the same restart count again."""
    node.job(["true"])
    folder = node.submission()
    first, second = (node.run(folder, SLURM_RESTART_COUNT="2") for _ in range(2))
    assert len(node.layout.executions(1, 1)) == 2
    assert first.name.startswith("e2-") and second.name.startswith("e2-")


def test_any_pickle_serves_any_task(node: Node) -> None:
    """The task is found by the array index alone."""
    for job in (1, 2, 3):
        node.job(python(RESULT), job=job)
    folder = node.submission(jobs=(1, 2, 3))
    assert node.start(folder, SLURM_ARRAY_TASK_ID="2").wait(60) == 0
    assert [bool(node.layout.attempts(job)) for job in (1, 2, 3)] == [False, False, True]


def test_a_missing_manifest_or_job_is_said_where_submitit_prints(node: Node) -> None:
    folder = node.submission()
    with pytest.raises(DataError, match=r"no readable job\.json of job 1: is the store's folder mounted"):
        WorkerTask(str(folder))()
    (folder / "manifest.json").unlink()
    with pytest.raises(DataError, match="no readable manifest"):
        WorkerTask(str(folder))()


@pytest.mark.parametrize(
    ("text", "cause", "error"),
    [
        ("raise ValueError('hole')", Cause.ERROR, "exit code 1: ValueError: hole"),
        ("import os; os._exit(7)", Cause.ERROR, "exit code 7"),
        ("raise MemoryError", Cause.OUT_OF_MEMORY, "MemoryError"),
        ("raise RuntimeError('CUDA error: unspecified launch failure')", Cause.GPU_FAULT, "CUDA error"),
        ("raise RuntimeError('CUDA out of memory. Tried to allocate')", Cause.GPU_OUT_OF_MEMORY, "CUDA out of memory"),
        ("import os; os.kill(os.getpid(), 9)", Cause.KILLED, "signal SIGKILL"),
        ("import os; os.abort()", Cause.ERROR, "signal SIGABRT"),
    ],
)
def test_how_a_program_failed(node: Node, text: str, cause: Cause, error: str) -> None:
    node.job(python(text))
    outcome = node.outcome(node.run(node.submission()))
    assert (outcome.ending, outcome.cause) == ("failure", cause)
    assert error in (outcome.error or "")


def test_a_program_that_is_not_there(node: Node) -> None:
    node.job(["no-such-program"])
    outcome = node.outcome(node.run(node.submission()))
    assert outcome.error == "cannot start 'no-such-program': No such file or directory"


def test_a_working_folder_that_is_gone(node: Node) -> None:
    node.job(["true"])
    record = read_json(node.layout.job(1) / "job.json", JobFile)
    assert record is not None
    write_json(node.layout.job(1) / "job.json", msgspec.structs.replace(record, cwd=str(node.cwd / "gone")))
    outcome = node.outcome(node.run(node.submission()))
    assert (outcome.ending, outcome.cause) == ("failure", Cause.ERROR) and "gone" in (outcome.error or "")


STOPPING = """
import os, pathlib, signal, sys, time
kept = pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"]) / "step"
def stop(number, frame):
    kept.write_text("7")
    sys.exit(0 if "finish" in sys.argv else 1)
signal.signal(signal.SIGTERM, stop)
pathlib.Path("up").touch()
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_stop_is_handed_on_and_the_checkpoint_kept(node: Node, number: signal.Signals) -> None:
    """USR2 is SLURM's warning to us; the program hears its own signal, saves, and goes on in the next attempt."""
    node.job(python(STOPPING))
    worker = node.start(node.submission())
    until((node.cwd / "up").exists, "the program")
    os.kill(worker.pid, number)
    assert worker.wait(30) == 0
    outcome = node.outcome(node.execution())
    assert outcome.ending == "interrupted" and outcome.checkpoint_step > 0
    assert outcome.cause is Cause.PREEMPTED
    node.job(python("import os; print(open(os.environ['ORCH_CHECKPOINT_DIR'] + '/step').read())"))
    assert (node.run(node.submission(2)) / "stdout").read_text() == "7\n"


def test_user_signals_to_the_whole_step_do_not_reach_the_program(node: Node) -> None:
    """srun sends USR2 to every process of the step; unshielded, Python would die of it."""
    text = "import os, pathlib; pathlib.Path('up').touch(); open('go').read(); pathlib.Path('done').touch()"
    os.mkfifo(node.cwd / "go")
    node.job(python(text))
    worker = node.start(node.submission())
    until((node.cwd / "up").exists, "the program")
    (child,) = children(worker.pid)
    os.kill(child, signal.SIGUSR2)
    (node.cwd / "go").write_text("on")  # it waits for this, and gets the signal before
    assert worker.wait(30) == 0
    assert (node.cwd / "done").exists()
    assert node.outcome(node.execution()).ending == "success"


def test_code_that_changed_is_marked(node: Node) -> None:
    from jobs.node import fingerprint

    (node.cwd / "train.py").write_text("print(1)")
    node.job(["true"], fingerprint=fingerprint.take(node.cwd))
    same = read_json(node.run(node.submission(1)) / "started.json", Started)
    node.job(["true"], fingerprint=msgspec.structs.replace(fingerprint.take(node.cwd), source="another"))
    changed = read_json(node.run(node.submission(2)) / "started.json", Started)
    assert same is not None and not same.code_changed
    assert changed is not None and changed.code_changed
