"""What a new backend makes of workers that another one started: found by token, judged by boot and host."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.files import now, write_json
from jobs.hosts import boot_id
from jobs.records import Manifest, Started, Task
from jobs.resources import Resources
from jobs.words import Cause
from slurm.backend import Phase, Submission
from slurm.local import processes
from slurm.local.record import LocalRecord, record_path
from tests.helpers.localbench import Bench, runs


def test_a_new_backend_goes_on_with_a_running_worker(bench: Bench) -> None:
    attempt = bench.launch(bench.job())
    pid = bench.said(attempt)["pid"]
    old, bench.backend = bench.backend, bench.new_backend()
    assert bench.see(attempt).phase is Phase.RUNNING
    bench.backend.cancel([attempt])
    assert bench.ended(attempt).cause is Cause.CANCELLED
    assert not runs(pid)
    assert old.workers[attempt.token].child is not None


def test_a_worker_that_was_started_but_not_recorded_is_found_by_its_token(bench: Bench) -> None:
    attempt = bench.launch(bench.job())
    bench.said(attempt)
    record_path(bench.layout.submission(attempt.token)).unlink()
    bench.backend = bench.new_backend()
    assert bench.see(attempt).phase is Phase.RUNNING
    bench.backend = bench.new_backend()
    intents = [_intent(bench, attempt.token), _intent(bench, "never-started")]
    assert bench.backend.find(intents) == {attempt.token: attempt.native_id}
    assert record_path(bench.layout.submission(attempt.token)).exists()


def test_a_worker_that_only_its_own_files_tell_of_is_found_and_has_ended(bench: Bench) -> None:
    execution = bench.layout.new_execution(1, 1, 0)
    started = Started(
        job=1,
        attempt=1,
        generation=1,
        token="gone",
        index=0,
        restart=0,
        node=os.uname().nodename,
        host=os.uname().nodename,
        pid=2**22 + 7,
        process_start=1.0,
        boot_id=boot_id(),
        at=now(),
    )
    write_json(execution / "started.json", started)
    intent = _intent(bench, "gone")
    assert bench.backend.find([intent]) == {"gone": str(started.pid)}
    assert bench.see(bench.attempt(1, "gone", "cpu:0", str(started.pid))).cause is Cause.KILLED


def _intent(bench: Bench, token: str) -> Submission:
    from slurm.backend import Batch

    folder = bench.layout.submission(token)
    folder.mkdir(parents=True, exist_ok=True)
    task = Task(job=1, attempt=1, generation=1, resources=Resources())
    manifest = Manifest(token=token, backend="local", tasks=(task,), created_at=now())
    return Submission(token=token, folder=folder, manifest=manifest, batch=Batch(jobs=(bench.job(),), slot="cpu:0"))


def test_a_worker_survives_the_launcher_and_ctrl_c(tmp_path: Path) -> None:
    script = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from pathlib import Path
from tests.helpers.localbench import Bench
bench = Bench(Path({str(tmp_path / "store")!r}))
print(bench.launch(bench.job(), token="survivor").native_id, flush=True)
time.sleep(60)
"""
    launcher = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert launcher.stdout is not None
    pid = int(launcher.stdout.readline())
    bench = Bench(tmp_path / "store")
    attempt = bench.attempt(1, "survivor", "cpu:0", str(pid))
    try:
        bench.said(attempt)
        os.killpg(launcher.pid, signal.SIGINT)
        launcher.wait(20)
        assert runs(pid)
        assert bench.see(attempt).phase is Phase.RUNNING
        os.kill(pid, signal.SIGKILL)
        assert bench.backend.wait(20.0)
        seen = bench.ended(attempt)
        assert seen.cause is Cause.KILLED
        assert "exit status unknown" in seen.evidence[0]
    finally:
        bench.close()
        with contextlib.suppress(ProcessLookupError):
            launcher.kill()
        launcher.communicate()


@pytest.mark.parametrize(
    ("host", "boot", "namespace", "phase", "cause"),
    [
        (os.uname().nodename, "another-boot", processes.namespace(), Phase.ENDED, Cause.NODE_FAILURE),
        ("another-host", "another-boot", processes.namespace(), Phase.ABSENT, None),
        (os.uname().nodename, boot_id(), 7, Phase.ABSENT, None),
        ("a-former-name", boot_id(), processes.namespace(), Phase.ENDED, Cause.KILLED),
        (os.uname().nodename, boot_id(), 0, Phase.ENDED, Cause.KILLED),
    ],
)
def test_dead_without_outcome_is_judged_by_boot_and_host(
    bench: Bench, host: str, boot: str, namespace: int, phase: Phase, cause: Cause | None
) -> None:
    attempt = bench.attempt(1, "old", "cpu:0", str(os.getpid()))  # its pid has been reused, by this very process
    folder = bench.layout.submission("old")
    folder.mkdir(parents=True)
    record = LocalRecord(
        token="old", host=host, boot_id=boot, namespace=namespace, pid=os.getpid(), start=1, slot="cpu:0"
    )
    write_json(record_path(folder), record)
    seen = bench.see(attempt)
    assert (seen.phase, seen.cause) == (phase, cause)
    bench.backend.cancel([attempt])
    assert runs(os.getpid())


def test_a_token_that_nobody_carries_is_absent_and_proves_nothing(bench: Bench) -> None:
    seen = bench.see(bench.attempt(1, "unheard", "cpu:0", None))
    assert (seen.phase, seen.cause) == (Phase.ABSENT, None)
