"""How a local worker starts: its session, its token, its devices, and the real worker to its outcome."""

from __future__ import annotations

import os
import sys

from jobs.files import now, read_json, write_json
from jobs.records import JobFile, Outcome
from slurm.backend import Phase
from slurm.local import processes
from slurm.local.backend import LocalBackend
from tests.helpers.launching import native_id
from tests.helpers.localbench import Bench


def test_a_worker_has_a_session_a_token_its_devices_and_threads_and_no_controller(bench: Bench) -> None:
    attempt = bench.launch(bench.job(cpus=2, gpus=2), "gpu:2:0,gpu:3:0")
    said = bench.said(attempt)
    environ = said["environ"]
    assert str(said["pid"]) == attempt.native_id
    assert said["session"] == said["pid"]
    assert processes.process(said["pid"]).parent == os.getpid()
    assert environ["ORCH_TOKEN"] == attempt.token
    assert environ["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert environ["OMP_NUM_THREADS"] == environ["MKL_NUM_THREADS"] == "2"
    assert environ["PYTHONSAFEPATH"] == "1"
    assert environ["SUBMITIT_EXECUTOR"] == "local"
    assert "SLURM_JOB_ID" not in environ
    assert f"Starting with JobEnvironment(job_id={attempt.token}," in bench.printed(attempt)
    assert bench.see(attempt).phase is Phase.RUNNING


def test_a_worker_in_a_cpu_slot_sees_no_gpu(bench: Bench) -> None:
    assert bench.said(bench.launch(bench.job()))["environ"]["CUDA_VISIBLE_DEVICES"] == ""


def test_inherited_devices_are_what_jobs_get(bench: Bench) -> None:
    queue = [bench.job(number, gpus=1) for number in (1, 2, 3)]
    batches = bench.backend.plan(queue, [], frozenset())
    assert [batch.slot for batch in batches] == ["gpu:2:0", "gpu:3:0"]
    uuids = LocalBackend(bench.layout, locks=bench.backend.locks, environ={"CUDA_VISIBLE_DEVICES": "GPU-1f,MIG-2e"})
    assert [b.slot for b in uuids.plan(queue, [], frozenset())] == ["gpu:GPU-1f:0", "gpu:MIG-2e:0"]
    given = LocalBackend(bench.layout, locks=bench.backend.locks, gpus=["5"], jobs_per_gpu=2)
    assert [b.slot for b in given.plan(queue, [], frozenset())] == ["gpu:5:0/2", "gpu:5:1/2"]


def test_the_real_worker_runs_a_command_to_its_outcome(bench: Bench) -> None:
    config = {"argv": [sys.executable, "-c", "import os; print(os.environ['ORCH_SEED'], os.getsid(0))"]}
    job = JobFile(
        id=1,
        study="s",
        kind="command",
        kind_version=1,
        seed=4,
        config=config,
        preset="report",
        key="k",
        created_at=now(),
    )
    bench.layout.job(1).mkdir(parents=True)
    write_json(bench.layout.job(1) / "job.json", job)
    submission = bench.submission(bench.job(gpus=3), "cpu:0", "real")  # on a host without any
    write_json(submission.folder / "manifest.json", submission.manifest)
    backend = LocalBackend(bench.layout, **bench.settings)
    pid = native_id(backend.launch(submission))
    attempt = bench.attempt(1, "real", "cpu:0", pid)
    bench.backend = backend
    bench.ended(attempt)
    (folder,) = bench.layout.executions(1, 1)
    outcome = read_json(folder / "outcome.json", Outcome)
    assert outcome is not None, bench.printed(attempt)
    assert outcome.ending == "success", outcome
    assert (outcome.device, outcome.gpu_seconds) == ("cpu", 0.0) and outcome.wall_seconds > 0
    assert (folder / "stdout").read_text().splitlines()[0] == f"4 {pid}"
