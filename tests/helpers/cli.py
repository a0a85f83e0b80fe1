"""The real `orch` command in a folder of its own, and the processes that it leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from db import attempts, executions, jobs, lease
from db.attempts import StoredAttempt
from db.executions import StoredExecution
from db.jobs import StoredJob
from db.store import Store
from jobs.files import read_json
from jobs.layout import Layout
from jobs.records import Started
from tests.helpers.story import tells
from tests.helpers.zygote import Run, zygote

T = TypeVar("T")
MARK = "ORCH_TEST_MARK"
PYTHON = sys.executable
ORCH = [PYTHON, "-m", "orchestrator.cli.main"]
GATE = """
import json, os, pathlib, sys, time
seed = sys.argv[1]
here = pathlib.Path(os.environ["ORCH_STUDY_CWD"])
(here / "starts").mkdir(exist_ok=True)
with (here / "starts" / seed).open("a") as starts:
    starts.write(f"{os.getpid()}\\n")
while not ((here / "go").exists() or (here / f"go-{seed}").exists()):
    time.sleep(0.05)
with open(os.environ["ORCH_RESULT"], "w") as result:
    json.dump({"accuracy": 90 + int(seed)}, result)
"""
"""A program that notes each of its starts and ends when it is let through."""


class Orch:
    """A folder, the command in it, and what it stored. Nothing outside the folder is touched."""

    def __init__(self, folder: Path, extra: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.mark = secrets.token_hex(8)
        self.layout = Layout(folder / ".orch")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ORCH_", "SLURM_"))}
        self.environment = {
            **inherited,
            "HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "TMPDIR": str(folder / "tmp"),
            "ORCH_LOCK_DIR": str(folder / "locks"),
            "ORCH_PRESET": "demo",
            "ORCH_BACKEND": "local",
            "ORCH_CPU_SLOTS": "2",
            "ORCH_IDLE_MINUTES": "0.05",
            "ORCH_BACKOFF_SECONDS": "0.2",
            "PYTHONWARNINGS": "ignore",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "OMP_NUM_THREADS": "1",
            MARK: self.mark,
            **(extra or {}),
        }
        (folder / "tmp").mkdir()
        (folder / "gate.py").write_text(GATE)

    # ---- the command

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command in a session of its own."""
        given: dict[str, Any] = {"cwd": self.folder, "env": self.environment, "start_new_session": True, **options}
        return subprocess.Popen(
            [*ORCH, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **given,
        )

    def call(self, *arguments: str, timeout: float = 90, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is."""
        if "--no-start" in arguments:
            self._let_rest()
        folder, environment = options.get("cwd", self.folder), options.get("env", self.environment)
        warm = zygote() if options.keys() <= {"cwd", "env"} else None
        if warm is not None and warm.fits(environment):
            process: Run | subprocess.Popen[str] = warm.start(arguments, folder, environment)
        else:
            process = self.popen(*arguments, **options)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate(timeout=timeout)
            raise AssertionError(
                f"orch {' '.join(arguments)} took over {timeout} s:\n{out}\n{err}\n{self.log()}"
            ) from None
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def __call__(self, *arguments: str, code: int = 0, **options: Any) -> str:
        """Run a command that must end with `code`: its stdout."""
        done = self.call(*arguments, **options)
        assert done.returncode == code, (
            f"{done.args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}\n{self.log()}"
        )
        return done.stdout

    def json(self, *arguments: str, **options: Any) -> Any:
        """The JSON that a command prints."""
        place = arguments.index("--") if "--" in arguments else len(arguments)
        return json.loads(self(*arguments[:place], "--json", *arguments[place:], **options))

    def submit_gate(self, seeds: int, *more: str) -> str:
        """Jobs of the gate program."""
        return self("submit", "command", "--seeds", str(seeds), *more, "--", sys.executable, "gate.py", "{seed}")

    def open_gate(self, seed: int | None = None) -> None:
        (self.folder / ("go" if seed is None else f"go-{seed}")).touch()

    def starts(self, seed: int) -> list[int]:
        """The pids of the gate programs that were started for a seed, oldest first."""
        try:
            return [int(line) for line in (self.folder / "starts" / str(seed)).read_text().split()]
        except FileNotFoundError:
            return []

    def finish(self) -> None:
        """Supervise until nothing moves; no job may have failed."""
        self("supervise", "--until-idle")

    def rest(self) -> None:
        """Wait until the supervisor that a command has left in the background has nothing to do and ends."""
        until(lambda: not any(_supervises(pid) for pid in self.processes()), "the supervisor's end")

    def _let_rest(self) -> None:
        """Jobs that are not to start would be taken by the supervisor of before, which stays for a moment."""
        end = time.monotonic() + 5
        while time.monotonic() < end and any(_supervises(pid) for pid in self.processes()):
            time.sleep(0.05)

    def rebuild(self) -> str:
        """Make the database anew, as one may where nobody is at work."""
        self.rest()
        return self("rebuild")

    # ---- what the store says

    @property
    def store(self) -> Store:
        return Store(self.layout.root)

    def jobs(self, study: str | None = None) -> list[StoredJob]:
        with self.store.read() as connection:
            return jobs.select(connection, study=study)

    def states(self) -> list[str]:
        return [str(job.state) for job in self.jobs()]

    def job(self, job: int) -> StoredJob:
        with self.store.read() as connection:
            return jobs.get(connection, job)

    def attempts(self, job: int) -> list[StoredAttempt]:
        with self.store.read() as connection:
            return attempts.of_job(connection, job)

    def executions(self, job: int) -> list[StoredExecution]:
        with self.store.read() as connection:
            return executions.of_job(connection, job)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.store.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    @tells
    def check(self) -> None:
        """What must hold at any time: no seed twice, one result a job, kept counts equal counted ones."""
        assert self.rows(
            "SELECT count(*) FROM (SELECT 1 FROM job GROUP BY study_id, config_id, seed HAVING count(*) > 1)"
        ) == [(0,)]
        assert self.rows(
            "SELECT count(*) FROM job WHERE (state = 'succeeded') != EXISTS (SELECT 1 FROM result WHERE job_id = id)"
        ) == [(0,)]
        counted = self.rows("SELECT study_id, kind, state, count(*) FROM job GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")
        assert self.rows("SELECT * FROM job_count WHERE n != 0 ORDER BY 1, 2, 3") == counted

    def log(self) -> str:
        """What the background supervisor printed."""
        path = self.layout.root / "supervisor.log"
        return path.read_text() if path.exists() else ""

    # ---- processes

    def supervisor(self) -> int | None:
        """The pid of the living supervisor."""
        with self.store.read() as connection:
            holder = lease.holder(connection)
        return holder.pid if holder is not None and holder.alive() else None

    def worker(self, job: int, attempt: int = 1) -> Started:
        """The worker of an attempt, once it has started."""
        return until(lambda: self._started(job, attempt), f"a worker of job {job}, attempt {attempt}\n{self.log()}")

    def _started(self, job: int, attempt: int) -> Started | None:
        for folder in self.layout.executions(job, attempt):
            return read_json(folder / "started.json", Started)
        return None

    def kill_supervisor(self) -> None:
        """As the kernel or a reboot would."""
        pid = until(self.supervisor, "a supervisor")
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.supervisor() is None, "the supervisor's end")

    def kill_everything(self) -> None:
        """All processes that any command of this folder has left behind."""
        while True:
            found = list(self.processes())
            if not found:
                return
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def processes(self) -> Iterator[int]:
        """The pids of living processes that were started here, zombies left out."""
        wanted = f"{MARK}={self.mark}".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if wanted in (entry / "environ").read_bytes().split(b"\0"):
                        yield int(entry.name)


def _supervises(pid: int) -> bool:
    try:
        return b"orchestrator.supervision.process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def until(question: Callable[[], T | None], what: str, seconds: float = 60.0) -> T:
    """The first true answer. Fails after so many seconds, naming what it waited for."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def script(orch: Orch, name: str, text: str) -> None:
    """A program in the folder that `orch` is called in."""
    (orch.folder / name).write_text(text)
