"""The local backend with real workers: real sessions, real signals, real locks."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from jobs import endings
from jobs.errors import BackendError
from jobs.files import now, read_json, write_json
from jobs.kind import Resources
from jobs.layout import Layout
from jobs.records import JobFile, Manifest, Outcome, Started, Task
from jobs.words import Cause
from slurm import processes
from slurm.backend import LimitReached, LiveAttempt, Observation, Phase, QueuedJob, Submission
from slurm.gpulocks import GpuLocks
from slurm.local_backend import LocalBackend
from slurm.local_record import LocalRecord, log_paths, record_path
from slurm.slots import Share

cloudpickle.register_pickle_by_value(sys.modules[__name__])
SPEED = 30.0
"""Seconds within which a worker that starts must be seen to have done its work."""


# ---- what workers do


def sleep_on(folder: str) -> None:
    _say(folder, {"pid": os.getpid(), "session": os.getsid(0), "environ": dict(os.environ), "argv": sys.argv})
    time.sleep(600)


def stubborn(folder: str) -> None:
    """Ignores TERM, and has a child and a grandchild that do so too."""
    script = "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    inner = script + "time.sleep(600)"
    outer = script + f"subprocess.Popen([sys.executable, '-c', {inner!r}]); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", outer])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _say(folder, {"child": child.pid})
    time.sleep(600)


def leave_child(folder: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    escaped = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    _say(folder, {"pid": os.getpid(), "child": child.pid, "escaped": escaped.pid})
    time.sleep(600)


def exit_at_once(code: int) -> None:
    os._exit(code)


def fail() -> None:
    raise RuntimeError("no such mount")


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def note_user_signal(folder: str) -> None:
    signal.signal(signal.SIGUSR2, lambda *_: _say(folder, {"usr2": True}, "signal.json"))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _say(folder, {"pid": os.getpid()})
    while True:
        time.sleep(0.05)


def _say(folder: str, value: dict[str, Any], name: str = "said.json") -> None:
    temporary = Path(folder) / f".{name}.tmp"
    temporary.write_text(json.dumps(value))
    temporary.rename(Path(folder) / name)


# ---- the bench


class Bench:
    """A store's layout with a backend, and what a supervisor would keep of its attempts."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.layout = Layout(root)
        self.settings: dict[str, Any] = {"locks": GpuLocks(root / "locks"), "grace": 0.5, **settings}
        self.live: dict[str, LiveAttempt] = {}
        self.task: Callable[[str], Callable[[], object]] = lambda folder: functools.partial(sleep_on, folder)
        self.backend = self.new_backend()

    def new_backend(self) -> LocalBackend:
        bench = self

        class Backend(LocalBackend):
            def _task(self, submission: Submission) -> Callable[[], object]:
                return bench.task(str(submission.folder))

        return Backend(self.layout, **self.settings)

    def job(self, number: int = 1, gpus: int = 0, cpus: int = 1, **options: Any) -> QueuedJob:
        return QueuedJob(job=number, resources=Resources(cpus=cpus, gpus=gpus), options=options)

    def submission(self, job: QueuedJob, slot: str, token: str) -> Submission:
        from slurm.backend import Batch

        folder = self.layout.submission(token)
        folder.mkdir(parents=True)
        task = Task(job=job.job, attempt=1, generation=1, resources=job.resources)
        manifest = Manifest(token=token, backend="local", tasks=(task,), created_at=now())
        return Submission(token=token, folder=folder, manifest=manifest, batch=Batch(jobs=(job,), slot=slot))

    def launch(self, job: QueuedJob, slot: str = "cpu:0", token: str | None = None) -> LiveAttempt:
        # Unlike any other on this host, as in the store: everything that carries a token is ended with its worker.
        token = token or f"t{job.job}-{len(self.live)}-{uuid.uuid4().hex[:8]}"
        native = self.backend.launch(self.submission(job, slot, token))
        return self.attempt(job.job, token, slot, native)

    def attempt(self, job: int, token: str, slot: str, native: str | None) -> LiveAttempt:
        self.live[token] = LiveAttempt(
            job=job,
            attempt=1,
            token=token,
            index=0,
            size=1,
            native_id=native,
            slot=slot,
            running=False,
            submitted_at=now(),
        )
        return self.live[token]

    def said(self, attempt: LiveAttempt, name: str = "said.json") -> Any:
        path = self.layout.submission(attempt.token) / name
        until(path.exists, f"{name} of {attempt.token}: {self.printed(attempt)}")
        return json.loads(path.read_text())

    def printed(self, attempt: LiveAttempt) -> str:
        paths = log_paths(self.layout.submission(attempt.token), attempt.token)
        return "\n".join(path.read_text() for path in paths if path.exists())

    def see(self, attempt: LiveAttempt) -> Observation:
        return self.backend.observe(list(self.live.values()))[attempt.key]

    def ended(self, attempt: LiveAttempt) -> Observation:
        end = time.monotonic() + SPEED
        while (seen := self.see(attempt)).phase is not Phase.ENDED:
            assert time.monotonic() < end, seen
            self.backend.wait(1.0)
        return seen

    def close(self) -> None:
        leaders = processes.leaders(self.live)
        groups = [processes.Group(token, one.pid, one.start, True) for token, one in leaders.items()]
        for members in processes.members(groups).values():
            processes.send(members, signal.SIGKILL)
        self.backend.observe(list(self.live.values()))


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + SPEED
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def runs(pid: int) -> bool:
    found = processes.process(pid)
    return found is not None and found.state not in "ZX"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "store", environ={**os.environ, "SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "2,3"})
    yield made
    made.close()


# ---- starting


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


# ---- endings


@pytest.mark.parametrize(
    ("work", "cause", "evidence"),
    [
        (functools.partial(exit_at_once, 7), Cause.KILLED, "exit code 7"),
        (kill_self, Cause.KILLED, "ended by SIGKILL"),
        (fail, Cause.ERROR, "RuntimeError: no such mount"),
    ],
)
def test_ends_are_seen_with_their_evidence(
    bench: Bench, work: Callable[[], object], cause: Cause, evidence: str
) -> None:
    bench.task = lambda folder: work
    seen = bench.ended(bench.launch(bench.job()))
    assert seen.cause is cause
    assert evidence in "\n".join(seen.evidence)


def test_an_end_ends_the_sleep_long_before_its_timeout(bench: Bench) -> None:
    attempt = bench.launch(bench.job())
    pid = bench.said(attempt)["pid"]
    assert bench.see(attempt).phase is Phase.RUNNING
    killer = subprocess.Popen(
        [sys.executable, "-c", f"import os, time; time.sleep(0.3); os.kill({pid}, 9); print(time.monotonic())"],
        stdout=subprocess.PIPE,
    )
    assert bench.backend.wait(20.0)
    seen = bench.see(attempt)
    at = time.monotonic()
    assert seen.phase is Phase.ENDED
    # how soon exactly is measured by `make bench`: a busy machine must not fail this
    assert at - float(killer.communicate()[0]) < 5.0
    assert bench.backend.wait(0.05) is False


def test_a_wake_up_file_ends_the_sleep(bench: Bench, tmp_path: Path) -> None:
    wake = tmp_path / "wake"
    subprocess.Popen([sys.executable, "-c", f"import time; time.sleep(0.3); open({str(wake)!r}, 'w').close()"])
    began = time.monotonic()
    assert bench.backend.wait(20.0, wake)
    assert time.monotonic() - began < 10.0
    assert bench.backend.wait(0.2, wake) is False
    wake.write_text("while nobody slept")
    began = time.monotonic()
    assert bench.backend.wait(20.0, wake)
    assert time.monotonic() - began < 10.0


def test_a_kill_for_memory_is_told_from_another_kill(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = [5]
    monkeypatch.setattr(endings, "oom_kills", lambda: counts[0])
    attempts = [bench.launch(bench.job(number), f"cpu:{number}") for number in (1, 2, 3)]
    pids = [bench.said(attempt)["pid"] for attempt in attempts]
    assert bench.see(attempts[0]).phase is Phase.RUNNING
    os.kill(pids[0], signal.SIGKILL)
    counts[0] = 6
    assert bench.ended(attempts[0]).cause is Cause.OUT_OF_MEMORY
    assert "killed 1 process(es) for memory" in bench.see(attempts[0]).evidence[1]
    monkeypatch.setattr("slurm.local_worker.MEMORY_KILL_SECONDS", 0.0)
    bench.see(attempts[1])
    bench.see(attempts[1])
    os.kill(pids[1], signal.SIGKILL)
    assert bench.ended(attempts[1]).cause is Cause.KILLED
    counts[0] = 7
    os.kill(pids[2], signal.SIGTERM)
    bench.backend.cancel([attempts[2]])
    assert bench.ended(attempts[2]).cause is Cause.CANCELLED


# ---- ending the whole group


def test_cancel_ends_grandchildren_that_ignore_term(bench: Bench) -> None:
    bench.task = lambda folder: functools.partial(stubborn, folder)
    attempt = bench.launch(bench.job())
    bench.said(attempt)
    pid = int(attempt.native_id or 0)

    def members() -> list[processes.Process]:
        leader = processes.process(pid)
        start = leader.start if leader else 0
        return processes.members([processes.Group(attempt.token, pid, start, True)])[attempt.token]

    until(lambda: len(members()) == 3, "worker, child and grandchild")
    group = [one.pid for one in members()]
    began = time.monotonic()
    bench.backend.cancel([attempt])
    assert time.monotonic() - began < 0.4, "cancel must not wait for the end"
    assert bench.see(attempt).phase is Phase.RUNNING
    assert bench.ended(attempt).cause is Cause.CANCELLED
    assert not any(runs(one) for one in group)
    assert time.monotonic() - began >= 0.5


def test_what_a_killed_worker_leaves_behind_keeps_its_slot_until_it_is_ended(bench: Bench) -> None:
    bench.task = lambda folder: functools.partial(leave_child, folder)
    attempt = bench.launch(bench.job(gpus=1), "gpu:2:0")
    said = bench.said(attempt)
    assert bench.see(attempt).phase is Phase.RUNNING
    os.kill(said["pid"], signal.SIGKILL)
    until(lambda: not runs(said["pid"]), "the worker's end")
    other = LocalBackend(Layout(bench.layout.root / "other"), locks=bench.backend.locks, gpus=["2"])
    assert other.plan([bench.job(9, gpus=1)], [], frozenset()) == [], "its child still computes on the GPU"
    assert bench.see(attempt).phase is Phase.COMPLETING
    assert bench.ended(attempt).cause is Cause.KILLED
    assert not runs(said["child"])
    assert not runs(said["escaped"]), "found by its token, although it has a session of its own"
    assert len(other.plan([bench.job(9, gpus=1)], [], frozenset())) == 1


def test_a_time_limit_warns_first_and_then_ends(bench: Bench) -> None:
    bench.task = lambda folder: functools.partial(note_user_signal, folder)
    attempt = bench.launch(bench.job(minutes=1.5 / 60))
    bench.said(attempt)
    seen = bench.ended(attempt)
    assert seen.cause is Cause.TIMEOUT
    assert bench.said(attempt, "signal.json") == {"usr2": True}
    assert "SIGTERM" in seen.evidence[0]


# ---- after the supervisor died


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
        boot_id=processes.boot_id(),
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
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[2])]!r}
from pathlib import Path
import test_local_backend as t
bench = t.Bench(Path({str(tmp_path / "store")!r}))
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
        (os.uname().nodename, processes.boot_id(), 7, Phase.ABSENT, None),
        ("a-former-name", processes.boot_id(), processes.namespace(), Phase.ENDED, Cause.KILLED),
        (os.uname().nodename, processes.boot_id(), 0, Phase.ENDED, Cause.KILLED),
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


# ---- slots and locks


def test_never_more_workers_than_slots(bench: Bench) -> None:
    bench.backend = LocalBackend(bench.layout, cpu_slots=2, locks=bench.backend.locks, environ={})
    queue = [bench.job(number) for number in range(1, 6)]
    batches = bench.backend.plan(queue, [], frozenset())
    assert [batch.slot for batch in batches] == ["cpu:0/2", "cpu:1/2"]
    live = [bench.attempt(b.jobs[0].job, f"x{n}", b.slot or "", None) for n, b in enumerate(batches)]
    assert bench.backend.plan(queue[2:], live, frozenset()) == []
    assert bench.backend.waiting(queue[2:], live, frozenset())[3] == "waits for a CPU slot: CPU: taken by 2 job(s)"
    assert [b.slot for b in bench.backend.plan(queue[2:], live[1:], frozenset())] == ["cpu:0/2"]


def test_a_slot_stays_taken_while_its_worker_runs_although_the_attempt_has_ended(bench: Bench) -> None:
    bench.settings["cpu_slots"] = 1
    bench.backend = bench.new_backend()
    attempt = bench.launch(bench.job())
    bench.said(attempt)
    del bench.live[attempt.token]
    assert bench.backend.plan([bench.job(2)], [], frozenset()) == []
    os.kill(int(attempt.native_id or 0), signal.SIGKILL)
    assert bench.backend.wait(20.0)
    bench.backend.observe([])
    assert len(bench.backend.plan([bench.job(2)], [], frozenset())) == 1
    assert bench.backend.workers == {}


def test_two_stores_share_the_gpus_of_the_host(bench: Bench, tmp_path: Path) -> None:
    other = Bench(tmp_path / "other", locks=bench.backend.locks, environ=bench.settings["environ"])
    attempt = bench.launch(bench.job(1, gpus=1), "gpu:2:0")
    bench.said(attempt)
    try:
        queue = [other.job(number, gpus=1) for number in (1, 2)]
        assert [batch.slot for batch in other.backend.plan(queue, [], frozenset())] == ["gpu:3:0"]
        with pytest.raises(LimitReached, match="GPU 2 was taken"):
            other.launch(queue[0], "gpu:2:0")
        with pytest.raises(LimitReached, match="GPU 2 was taken"):
            other.launch(queue[1], "gpu:2:1/2", token="half")
        bench.backend = bench.new_backend()  # the supervisor dies, the worker holds its lock
        assert other.backend.plan([other.job(1, gpus=2)], [], frozenset()) == []
        bench.backend.cancel([attempt])
        bench.ended(attempt)
        assert len(other.backend.plan(queue, [], frozenset())) == 2
    finally:
        other.close()


def test_locks_that_are_held_are_in_use_and_gone_ones_are_not(tmp_path: Path) -> None:
    locks = GpuLocks(tmp_path / "locks")
    held = locks.acquire("GPU-1", Share("0", 0, 2), "a")
    (tenant,) = locks.tenants("GPU-1")
    assert (tenant.share.index, tenant.share.parts) == (0, 2)
    assert tenant.holder is not None
    assert tenant.holder.token == "a"
    with pytest.raises(LimitReached):
        locks.acquire("GPU-1", Share("0", 0, 2), "b")
    with pytest.raises(LimitReached):
        locks.acquire("GPU-1", Share("0", 1, 1), "b")
    second = locks.acquire("GPU-1", Share("0", 1, 2), "b")
    os.close(held)
    assert [one.share.index for one in locks.tenants("GPU-1")] == [1]
    os.close(second)
    assert locks.tenants("GPU-1") == []
    assert (tmp_path / "locks").stat().st_mode & 0o7777 == 0o1777


def test_lock_files_that_somebody_planted_are_never_followed(tmp_path: Path) -> None:
    victim = tmp_path / "precious"
    victim.write_text("keep me")
    folder = tmp_path / "locks"
    folder.mkdir()
    locks = GpuLocks(folder)
    (folder / "GPU-1.0").symlink_to(victim)
    with pytest.raises(BackendError, match=r"GPU-1\.0"):
        locks.acquire("GPU-1", Share("0", 0), "a")
    (folder / "GPU-2.0").hardlink_to(victim)
    with pytest.raises(BackendError, match="no plain file"):
        locks.acquire("GPU-2", Share("0", 0), "a")
    os.mkfifo(folder / "GPU-3.0")
    with pytest.raises(BackendError, match="no plain file"):
        locks.acquire("GPU-3", Share("0", 0), "a")
    assert victim.read_text() == "keep me"
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(BackendError, match="ORCH_LOCK_DIR"):
        GpuLocks(tmp_path / "link").tenants("GPU-1")


def test_two_launchers_at_once_never_both_get_a_gpu(tmp_path: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from slurm.backend import LimitReached
from slurm.gpulocks import GpuLocks
from slurm.slots import Share
parts = int(sys.argv[1])
got = 0
sys.stdin.readline()
for index in range(4):
    try:
        GpuLocks(Path({str(tmp_path / "locks")!r})).acquire("GPU-1", Share("0", index, parts), "t")
        got += 1
    except LimitReached:
        pass
print(got, flush=True)
sys.stdin.readline()
"""
    command = [sys.executable, "-c", script]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [subprocess.Popen([*command, parts], **pipes) for parts in ("2", "2", "1")]
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    halves = [int(racer.stdout.readline()) for racer in racers]
    for racer in racers:
        racer.communicate("end\n")
    assert halves[0] + halves[1] == (0 if halves[2] else 2)
    assert halves[2] <= 1
    assert GpuLocks(tmp_path / "locks").tenants("GPU-1") == []


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
    submission = bench.submission(bench.job(), "cpu:0", "real")
    write_json(submission.folder / "manifest.json", submission.manifest)
    backend = LocalBackend(bench.layout, **bench.settings)
    pid = backend.launch(submission)
    attempt = bench.attempt(1, "real", "cpu:0", pid)
    bench.backend = backend
    bench.ended(attempt)
    (folder,) = bench.layout.executions(1, 1)
    outcome = read_json(folder / "outcome.json", Outcome)
    assert outcome is not None, bench.printed(attempt)
    assert outcome.ending == "success", outcome
    assert (folder / "stdout").read_text().splitlines()[0] == f"4 {pid}"
