"""The local backend with real workers: what they do, and a bench that starts them and sees them end."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle

from jobs.files import now
from jobs.layout import Layout
from jobs.records import Manifest, Task
from jobs.resources import Resources
from slurm.backend import LiveAttempt, Observation, Phase, QueuedJob, Submission
from slurm.local import processes
from slurm.local.backend import LocalBackend
from slurm.local.gpulocks import GpuLocks
from slurm.local.record import log_paths
from tests.helpers.launching import native_id

cloudpickle.register_pickle_by_value(sys.modules[__name__])


EXIT_THREAD = {"x86_64": 60, "aarch64": 93}[os.uname().machine]
"""exit(2), which ends one thread; Python has no other way to it."""
SPEED = 30.0
"""Seconds within which a worker that starts must be seen to have done its work."""


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


def first_thread_ends(folder: str) -> None:
    """Another one works on, and ends the worker with an exit code of its own once it is told to."""

    def work_on() -> None:
        while not (Path(folder) / "go").exists():
            time.sleep(0.02)
        os._exit(7)

    threading.Thread(target=work_on).start()
    _say(folder, {"pid": os.getpid()})
    ctypes.CDLL(None).syscall(EXIT_THREAD, 0)


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
        native = native_id(self.backend.launch(self.submission(job, slot, token)))
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
