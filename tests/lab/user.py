"""A user of the pretend lab: what is typed on one of its servers, and what became of the jobs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db import journal
from db.entries import Ended
from jobs.files import read_json, read_lines
from jobs.layout import Layout
from jobs.records import MetricLine, Outcome, Started
from tests.helpers.servers import SHARED, USER, Server, Servers

TRACEBACK = "Traceback (most recent call last)"
QUICK = ("--set", "SlurmdTimeout=10", "--set", "SlurmctldTimeout=10")
"""For `orch lab up`: a death is noticed after 10 s, and not after a minute."""

LONG = 500.0
"""Seconds for what a busy machine may take its time with."""

OF_OTHERS = ("/tmp/torchinductor_", "/dev/shm/faketime_", "/dev/shm/sem.faketime_")
"""What torch leaves on every machine that imports it, and libfaketime: nothing of the lab."""

_QUERY = """
import json, sqlite3, sys
print(json.dumps(sqlite3.connect(sys.argv[1], timeout=30).execute(sys.argv[2]).fetchall()))
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution as its folder shows it."""

    job: int
    folder: Path
    started: Started
    outcome: Outcome | None

    @property
    def node(self) -> str:
        return self.started.node

    @property
    def epochs(self) -> int:
        """How many lines of metrics it wrote."""
        return len(list(read_lines(self.folder / "metrics.jsonl", MetricLine)))


class User:
    """Works in a folder of his own on the shared folder, logged in to the server `at`.

    No method waits longer than it says, and none takes a command that ends with a traceback.
    """

    def __init__(self, lab: Servers, at: str, name: str = USER, project: str = "project", **settings: str) -> None:
        self.lab = lab
        self.name = name
        self.at: Server = lab[at]
        self._started: list[subprocess.Popen[str]] = []
        self.folder = SHARED / name / project
        self.layout = Layout(lab.shared(self.folder) / ".orch")
        self.settings = {
            "ORCH_POLL_SECONDS": "1",
            "ORCH_BACKOFF_SECONDS": "0.5",
            "ORCH_IDLE_MINUTES": "0.05",
            "ORCH_PRESET": "demo",
            "ORCH_DATASET": "digits",
            "OMP_NUM_THREADS": "1",
            **settings,
        }
        self.at.run("mkdir", "-p", str(self.folder), user=name)
        self.had = {server.name: server.files_of(name) for server in lab}

    # ---- commands

    def start(self, *words: str) -> subprocess.Popen[str]:
        """`orch WORDS` in the background."""
        self._started.append(self.at.start("orch", *words, user=self.name, cwd=self.folder, extra=self.settings))
        return self._started[-1]

    def finish(self, process: subprocess.Popen[str], code: int | None = 0, timeout: float = 200) -> str:
        """Its output once it has ended with that code (None: any)."""
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{process.args} not within {timeout:.0f} s; {self.story()}") from None
        self._started.remove(process)
        assert TRACEBACK not in said, said
        assert code in (None, process.returncode), f"ended with {process.returncode}: {said}{self.story()}"
        return said

    def orch(self, *words: str, code: int | None = 0, timeout: float = 200) -> str:
        """`orch WORDS`: all that it printed."""
        return self.finish(self.start(*words), code, timeout)

    def wait(self) -> None:
        """Until nothing can move, and nothing has failed."""
        self.orch("supervise", "--until-idle", timeout=LONG)

    def slurm(self, *words: str) -> str:
        """What a command of the lab's SLURM says, '' where it does not answer in 10 s."""
        given = {"SLURM_CONF": str(self.folder / ".orch/lab/slurm.conf")}
        limited = ("timeout", "--kill-after=1", "10", *words)
        return self.at.run(*limited, user=self.name, cwd=self.folder, extra=given, code=None, timeout=30)

    def drain(self, node: str) -> None:
        """No more jobs for that node."""
        self.slurm("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
        assert self._state(node).startswith("drain"), self.story()

    def resume(self, node: str) -> None:
        """Jobs for that node again, whoever controls the lab by now."""

        def resumed() -> bool:
            self.slurm("scontrol", "update", f"nodename={node}", "state=resume")
            return self._state(node) in ("idle", "mixed", "allocated", "completing")

        self.until(resumed, LONG, f"the return of {node}")

    def _state(self, node: str) -> str:
        return self.slurm("sinfo", "--noheader", f"--nodes={node}", "--format=%T").strip()

    # ---- looking

    def until(self, ready: Callable[[], Any], timeout: float, what: str) -> Any:
        """The first true answer, while the commands in the background go on."""
        end = time.monotonic() + timeout
        print(f"{time.strftime('%H:%M:%S')} {what} …", flush=True)
        while True:
            if found := ready():
                return found
            for process in self._started:
                if process.poll() not in (None, 0):
                    self.finish(process)
            assert time.monotonic() < end, f"{what} not within {timeout:.0f} s; {self.story()}"
            time.sleep(0.2)

    def has_room(self) -> bool:
        """Whether a file can be written on the shelf."""
        script = 'echo room > "$1" && rm "$1"'
        said = self.at.run("sh", "-c", script, "sh", str(self.folder / ".orch/room"), user=self.name, code=None)
        return said == ""

    def runs(self) -> list[Run]:
        """All executions, by their files on the shelf: no cable and no command of orch is needed."""
        found = []
        for job in self.layout.jobs():
            for attempt in self.layout.attempts(job):
                for folder in self.layout.executions(job, attempt):
                    started = read_json(folder / "started.json", Started)
                    if started is not None:
                        outcome = read_json(folder / "outcome.json", Outcome)
                        found.append(Run(job=job, folder=folder, started=started, outcome=outcome))
        return sorted(found, key=lambda run: run.started.at)

    def working_on(self, node: str, epochs: int = 0, kind: str = "") -> list[Run]:
        """Executions on that host that have not ended and have written so many epochs."""
        open_ones = [run for run in self.runs() if run.node == node and run.outcome is None and run.epochs >= epochs]
        return [run for run in open_ones if not kind or f'"kind":"{kind}"' in self._job(run.job)]

    def _job(self, job: int) -> str:
        return (self.layout.job(job) / "job.json").read_text().replace(": ", ":")

    def ended(self) -> int:
        """How many executions ended well."""
        return sum(run.outcome is not None and run.outcome.ending == "success" for run in self.runs())

    def controller(self) -> int | None:
        """Which controller wrote the last heartbeat into the shared folder: 0 the first, 1 its backup."""
        try:
            data = (self.layout.root / "lab/state/heartbeat").read_bytes()
        except OSError:
            return None
        return int.from_bytes(data[8:16], "big") if len(data) == 16 else None

    def query(self, sql: str) -> list[list[Any]]:
        """Rows of the store's database, read on the user's server."""
        place = str(self.folder / ".orch/orch.db")
        return list(json.loads(self.at.run(sys.executable, "-c", _QUERY, place, sql, user=self.name)))

    def check_each_once(self, number: int) -> None:
        """So many jobs, each with exactly one result, and nothing lives on."""
        states = Counter(state for (state,) in self.query("SELECT state FROM job"))
        assert states == {"succeeded": number}, self.story()
        counted = self.query("SELECT count(*), count(DISTINCT job_id), count(DISTINCT execution_id) FROM result")
        assert counted == [[number, number, number]]
        assert self.query("SELECT count(*) FROM attempt WHERE state != 'ended'") == [[0]]
        times = "SELECT max(n) FROM (SELECT count(*) AS n FROM event WHERE after = 'succeeded' GROUP BY job_id)"
        assert self.query(times) == [[1]]

    def down(self, *words: str) -> None:
        """`orch lab down WORDS` once the supervisor has left, which is none of the lab's: nothing is left of it."""
        self.rest()
        self.orch("lab", "down", *words, timeout=LONG)
        self.check_down()

    def rest(self) -> None:
        """Until no supervisor of the user runs on any server that is on."""

        def nobody() -> bool:
            there = [one for server in self.lab if server.on for one in server.processes_of(self.name).values()]
            return not any("orchestrator.supervision" in one for one in there)

        self.until(nobody, LONG, "the supervisor's leaving")

    def check_down(self) -> None:
        """Nothing of the lab runs on any server that is on, and nothing lies outside its folder."""
        on = [server for server in self.lab if server.on]
        running = {server.name: server.processes_of(self.name) for server in on}
        assert not any(running.values()), running
        left = {server.name: server.files_of(self.name) - self.had[server.name] for server in on}
        files = [f"{host}:{path}" for host, paths in left.items() for path in paths if not path.startswith(OF_OTHERS)]
        assert not files, files

    def story(self) -> str:
        """What a failed test should show."""
        log = self.layout.root / "supervisor.log"
        parts = [f"supervisor.log:\n{log.read_text()[-3000:]}" if log.exists() else "no supervisor ran"]
        parts += [
            f"{run.job} on {run.node} {run.started.at} {run.outcome and run.outcome.ending}"
            for run in self.runs()[-40:]
        ]
        parts += [
            f"job {entry.job} attempt {entry.attempt}: {entry.decision} {entry.evidence}"
            for number in journal.numbers(self.layout.journal)[0]
            for entry in journal.read(journal.path_of(self.layout.journal, number))
            if isinstance(entry, Ended)
        ]
        parts.append(self.slurm("squeue", "-a", "-t", "all", "-o", "%i %t %N %r %j"))
        parts.append(self.slurm("sinfo", "--Node", "--long"))
        for server in self.lab:
            if server.on:
                said = server.as_root("sh", "-c", "tail -n 25 /tmp/orch-lab-*/log/slurmctld.log", check=False)
                parts.append(f"{server.name}: {server.processes_of(self.name)}\n{said}")
        return "\n".join(parts)
