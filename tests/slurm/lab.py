"""A user's folder on a test cluster: the real command line, and what became of the jobs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.files import read_json, read_lines
from jobs.layout import Layout
from jobs.records import MetricLine, Outcome, Started
from slurm.testcluster import Cluster
from tests.helpers.story import stories

TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution as its folder shows it."""

    folder: Path
    started: Started
    outcome: Outcome | None

    @property
    def node(self) -> str:
        return self.started.node

    @property
    def ending(self) -> str | None:
        return self.outcome.ending if self.outcome else None


class Lab:
    """One store in a folder of its own. Every method asserts that no command ended with a traceback."""

    def __init__(self, folder: Path, cluster: Cluster, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.cluster = cluster
        self.layout = Layout(folder / ".orch")
        self.env = {
            **{name: value for name, value in cluster.env().items() if not name.startswith("ORCH_")},
            "ORCH_POLL_SECONDS": "1",
            "ORCH_IDLE_MINUTES": "0.05",
            "ORCH_BACKOFF_SECONDS": "0.5",
            "ORCH_BACKEND": "slurm",
            "ORCH_PRESET": "demo",
            "ORCH_DATASET": "digits",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            **settings,
        }

    # ---- commands

    def start(self, *words: str) -> subprocess.Popen[str]:
        """`orch WORDS` in the background."""
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator.cli.main", *words],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str], code: int | None = 0, timeout: float = 200) -> str:
        """Its output once it has ended with that code (None: any)."""
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"not within {timeout} s; {self.story()}") from None
        assert TRACEBACK not in output, output
        assert code is None or process.returncode == code, f"ended with {process.returncode}: {output}{self.story()}"
        return output

    def orch(self, *words: str, code: int | None = 0, timeout: float = 200) -> str:
        """`orch WORDS`: what it printed."""
        return self.finish(self.start(*words), code, timeout)

    def submit(self, *words: str, code: int = 0) -> list[int]:
        """The jobs that `orch submit WORDS --json` made."""
        place = words.index("--") if "--" in words else len(words)
        reply = json.loads(self.orch("submit", *words[:place], "--json", *words[place:], code=code))
        return list(reply["created"])

    def wait(self, code: int = 0, timeout: float = 200) -> str:
        """Until nothing can move: `orch supervise --until-idle`, which follows a running supervisor."""
        return self.orch("supervise", "--until-idle", code=code, timeout=timeout)

    def status(self) -> dict[str, Any]:
        """`orch status --json`"""
        return dict(json.loads(self.orch("status", "--json")))

    def jobs(self) -> dict[int, dict[str, Any]]:
        """The jobs of `orch status --json` by id."""
        return {job["id"]: job for job in self.status()["jobs"]}

    # ---- the supervisor

    def supervisor(self) -> int | None:
        """The pid of the living supervisor."""
        found = self.query("SELECT pid FROM lease WHERE pid IS NOT NULL")
        if not found or not Path(f"/proc/{found[0][0]}").exists():
            return None
        return int(found[0][0])

    def kill_supervisor(self) -> None:
        """SIGKILL, also to one that is just starting."""
        me = str(self.layout.root).encode()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if b"orchestrator.supervision.process" in words and me in words:
                    os.kill(int(path.parent.name), signal.SIGKILL)

    def supervisor_log(self) -> str:
        path = self.layout.root / "supervisor.log"
        return path.read_text() if path.exists() else ""

    def power_cut(self, node: str) -> None:
        """The node and all on it die at once, and SLURM is told so, rather than noticing it after 15 s."""
        self.cluster.kill_node(node)
        self.cluster.set_node_down(node, "power cut")

    def power_back(self, node: str) -> None:
        """The node is up again, once nothing meant for its dead jobs is on its way: no real one is back so soon.

        What slurmctld's agents still have to tell the dead node would end the jobs that are started there next.
        """
        self.until(self._told_all, what="slurmctld to have told the dead node all it had to")
        self.cluster.start_node(node)
        self.cluster.resume_node(node)

    def _told_all(self) -> bool:
        words = self.cluster.run("sdiag").stdout.split("\n")
        agents = [
            line.split(":")[1].strip() for line in words if line.startswith(("Agent count:", "Agent queue size:"))
        ]
        assert len(agents) == 2, words
        return agents == ["0", "0"]

    # ---- looking, without the supervisor's help

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows straight from the database; none where it is not there yet."""
        with contextlib.closing(sqlite3.connect(self.layout.database, timeout=30)) as connection:
            return connection.execute(sql, values).fetchall()

    def states(self) -> Counter[str]:
        """Job state → number, straight from the database."""
        return Counter(row[0] for row in self.query("SELECT state FROM job"))

    def until(self, ready: Callable[[], Any], timeout: float = 60, what: str = "") -> Any:
        """The first true answer."""
        deadline = time.monotonic() + timeout
        while True:
            if found := ready():
                return found
            assert time.monotonic() < deadline, f"{what or ready} not within {timeout} s; {self.story()}"
            time.sleep(0.1)

    def runs(self, job: int) -> list[Run]:
        """All executions of a job by their files, oldest first."""
        found = []
        for attempt in self.layout.attempts(job):
            for folder in self.layout.executions(job, attempt):
                started = read_json(folder / "started.json", Started)
                if started is not None:
                    outcome = read_json(folder / "outcome.json", Outcome)
                    found.append(Run(folder=folder, started=started, outcome=outcome))
        return sorted(found, key=lambda run: run.started.at)

    def running(self, job: int, executions: int = 1, timeout: float = 60) -> Run:
        """Its newest execution, once there are so many."""
        return list(self.until(lambda: self.runs(job)[executions - 1 :], timeout, f"execution {executions}"))[-1]

    def accepted(self, job: int) -> str | None:
        """The folder name of the counted execution."""
        found = self.query(
            "SELECT e.name FROM result r JOIN execution e ON e.id = r.execution_id WHERE r.job_id = ?", job
        )
        return found[0][0] if found else None

    def epochs(self, job: int) -> list[int]:
        """The epochs of the counted metrics, in order."""
        found = self.query(
            "SELECT DISTINCT m.epoch FROM metric m JOIN result r ON r.execution_id = m.execution_id "
            "WHERE r.job_id = ? ORDER BY m.epoch",
            job,
        )
        return [row[0] for row in found]

    def metric_lines(self, run: Run) -> list[MetricLine]:
        """What that execution reported."""
        return list(read_lines(run.folder / "metrics.jsonl", MetricLine))

    def strikes(self) -> Counter[str]:
        """Node → strikes that nobody cleared."""
        found = self.query("SELECT node FROM node_health WHERE cleared_at IS NULL")
        return Counter(row[0] for row in found)

    def check_each_once(self, number: int) -> None:
        """So many jobs, each with exactly one result; nothing lives on, and nobody met a defect."""
        assert self.states() == {"succeeded": number}, self.story()
        assert self.query("SELECT count(*), count(DISTINCT job_id), count(DISTINCT execution_id) FROM result") == [
            (number, number, number)
        ]
        assert self.query("SELECT count(*) FROM attempt WHERE state != 'ended'") == [(0,)]
        assert self.query(
            "SELECT max(n) FROM (SELECT count(*) AS n FROM event WHERE after = 'succeeded' GROUP BY job_id)"
        ) == [(1,)]
        assert TRACEBACK not in self.supervisor_log(), self.supervisor_log()

    def story(self) -> str:
        """What a failed test should show."""
        parts = [f"supervisor.log:\n{self.supervisor_log()[-2000:]}"]
        with contextlib.suppress(sqlite3.Error):
            parts.append(f"states: {self.states()}")
            sql = "SELECT job_id, number, state, phase, node, cause, decision, evidence FROM attempt ORDER BY id DESC"
            parts += [str(row) for row in self.query(f"{sql} LIMIT 12")]
            sql = "SELECT job_id, name, node, ending, cause, superseded, error FROM execution ORDER BY id DESC LIMIT 12"
            parts += [str(row) for row in self.query(sql)]
            open_ones = self.query("SELECT id FROM job WHERE state != 'succeeded' ORDER BY id LIMIT 3")
            parts.append(stories(self.layout, f"jobs {[row[0] for row in open_ones]}" if open_ones else ""))
        with contextlib.suppress(Exception):
            parts.append(
                self.cluster.run("squeue", "-a", "-t", "all", "-o", "%i %t %N %r %j", timeout=5).stdout[-1500:]
            )
            parts.append(str(self.cluster.nodes()))
        return "\n".join(parts)

    def close(self) -> None:
        """Leave nothing behind that runs."""
        self.kill_supervisor()


@contextlib.contextmanager
def lab(folder: Path, cluster: Cluster, **settings: str) -> Iterator[Lab]:
    """A Lab whose supervisor ends with it."""
    made = Lab(folder, cluster, **settings)
    try:
        yield made
    finally:
        made.close()
