"""Tasks that orch 0.1.0 pickled, and that waited in a queue while orch was updated, still start on a node."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.files import read_json
from jobs.layout import Layout
from jobs.records import JobFile, Manifest, Outcome, Started
from jobs.words import Cause
from tests.helpers import old

ROOT = Path(__file__).parents[3]
LOCAL = {
    "SUBMITIT_EXECUTOR": "local",
    "SUBMITIT_LOCAL_NTASKS": "1",
    "SUBMITIT_LOCAL_JOB_NUM_NODES": "1",
    "SUBMITIT_LOCAL_NODEID": "0",
    "SUBMITIT_LOCAL_GLOBALID": "0",
    "SUBMITIT_LOCAL_LOCALID": "0",
    "ORCH_INDEX": "0",
}
SLURM = {
    "SUBMITIT_EXECUTOR": "slurm",
    "SLURM_NTASKS": "1",
    "SLURM_JOB_NUM_NODES": "1",
    "SLURM_NODEID": "0",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_JOB_NODELIST": "node1",
    "SLURMD_NODENAME": "node1",
}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(old.unpack(tmp_path) / ".orch")


def waiting(layout: Layout, job: int) -> tuple[Manifest, Outcome, JobFile]:
    """Put a job back to where it only waits for a node: its submission, what it once came to, and its job.json."""
    file = read_json(layout.job(job) / "job.json", JobFile)
    (execution,) = layout.executions(job, 1)
    outcome, started = read_json(execution / "outcome.json", Outcome), read_json(execution / "started.json", Started)
    assert file is not None and outcome is not None and started is not None
    shutil.rmtree(execution.parent)
    (layout.job(job) / "accepted.json").unlink()
    manifest = read_json(layout.submission(started.token) / "manifest.json", Manifest)
    assert manifest is not None and manifest.tasks[started.index].job == job
    return manifest, outcome, file


def begin(layout: Layout, manifest: Manifest, job: int, **environment: str) -> Outcome:
    """Start a task as its script or its spawn would have, with the orch of today: what it came to."""
    folder = layout.submission(manifest.token) / "submitit"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SUBMITIT_", "ORCH_"))}
    done = subprocess.run(
        [sys.executable, "-m", "submitit.core._submit", str(folder)],
        env={
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONSAFEPATH": "1",
            "OMP_NUM_THREADS": "1",
            **environment,
        },
        cwd=layout.submission(manifest.token),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (execution,) = layout.executions(job, 1)
    outcome = read_json(execution / "outcome.json", Outcome)
    assert outcome is not None, done.stdout + done.stderr
    return outcome


def test_the_pickles_name_the_module_that_wrote_them(layout: Layout) -> None:
    pickles = sorted(path for path in layout.submissions.rglob("*.pkl") if not path.is_symlink())
    assert len(pickles) == 9
    for path in pickles:
        assert b"jobs.worker" in path.read_bytes() and b"jobs.node" not in path.read_bytes()
        assert str(path.parents[1]).encode() in path.read_bytes(), "the test did not put its own folder into the pickle"


def test_a_command_on_a_local_slot(layout: Layout) -> None:
    manifest, was, _ = waiting(layout, 1)
    now = begin(layout, manifest, 1, **LOCAL, SUBMITIT_LOCAL_JOB_ID=manifest.token, ORCH_TOKEN=manifest.token)
    assert now.cause is Cause.SUCCESS and now.result == was.result == {"accuracy": 80.2}


def test_a_training_on_a_local_slot(layout: Layout) -> None:
    manifest, was, _ = waiting(layout, 5)
    now = begin(layout, manifest, 5, **LOCAL, SUBMITIT_LOCAL_JOB_ID=manifest.token, ORCH_TOKEN=manifest.token)
    assert now.cause is Cause.SUCCESS, now.error
    assert now.architecture == was.architecture is not None
    same = ("params", "shortcuts", "extra_params", "mean_span", "long_share", "epochs")
    assert {name: now.result[name] for name in same} == {name: was.result[name] for name in same}
    assert now.result["test_accuracy"] == pytest.approx(
        was.result["test_accuracy"], abs=3
    )  # another CPU rounds otherwise


@pytest.mark.parametrize(("job", "index"), [(8, 0), (9, 1)])
def test_a_task_of_an_array_on_slurm(layout: Layout, job: int, index: int) -> None:
    manifest, was, _ = waiting(layout, job)
    link = layout.submission(manifest.token) / "submitit" / f"41_{index}_submitted.pkl"
    link.symlink_to("task.pkl")  # as the line in its sbatch script does
    ids = {"SLURM_JOB_ID": "42", "SLURM_ARRAY_JOB_ID": "41", "SLURM_ARRAY_TASK_ID": str(index)}
    now = begin(layout, manifest, job, **SLURM, **ids)
    assert now.cause is Cause.SUCCESS and now.result == was.result == {"accuracy": 80.4 + index}
    (execution,) = layout.executions(job, 1)
    started = read_json(execution / "started.json", Started)
    assert started is not None and (started.slurm_job, started.node) == (f"41_{index}", "node1")


def test_a_training_on_slurm(layout: Layout) -> None:
    manifest, was, file = waiting(layout, 10)
    (layout.submission(manifest.token) / "submitit" / "43_submitted.pkl").symlink_to("task.pkl")
    now = begin(layout, manifest, 10, **SLURM, SLURM_JOB_ID="43")
    assert file.kind == "random-baseline" and file.seed == 7
    assert now.cause is Cause.SUCCESS and now.architecture == was.architecture is not None
