"""A store's run folders as a node sees them, and workers that are started there without a backend."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from jobs.files import now, read_json, write_json
from jobs.kind import kind_named
from jobs.layout import Layout
from jobs.records import JobFile, Manifest, Outcome, Started, Task, Terms
from jobs.resources import Resources
from tests.helpers.cli import until

PYTHON = sys.executable


RUN = "import sys; from jobs.node.worker import Task; Task(sys.argv[1])()"


class Node:
    """A store's run folders as a node sees them: no database."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root / ".orch")
        self.cwd = root
        self.layout.submissions.mkdir(parents=True)

    def job(self, argv: Sequence[str], *, job: int = 1, seed: int = 3, **more: Any) -> None:
        config = kind_named("command").configure({"argv": list(argv), **more.pop("config", {})}, "demo")
        record = JobFile(
            id=job,
            study="default",
            kind="command",
            kind_version=1,
            seed=seed,
            config=msgspec.to_builtins(config),
            preset="demo",
            key="k",
            cwd=str(self.cwd),
            created_at=now(),
            **more,
        )
        self.layout.job(job).mkdir(parents=True, exist_ok=True)
        write_json(self.layout.job(job) / "job.json", record)

    def submission(
        self, attempt: int = 1, *, jobs: Sequence[int] = (1,), terms: Terms | None = None, **more: Any
    ) -> Path:
        token = f"orch-{attempt:016x}"
        if terms is not None:
            more["terms"] = 0
        listed = {name: more.pop(name) for name in ("bundle", "at_once", "learnt_seconds") if name in more}
        tasks = tuple(
            Task(job=job, attempt=attempt, **{"generation": 1, "resources": Resources(), **more}) for job in jobs
        )
        folder = self.layout.submission(token)
        folder.mkdir()
        shared = () if terms is None else (terms,)
        manifest = Manifest(token=token, backend="local", tasks=tasks, terms=shared, created_at=now(), **listed)
        write_json(folder / "manifest.json", manifest)
        return folder

    def start(self, folder: Path, **environment: str) -> subprocess.Popen[bytes]:
        """The worker as a backend starts it, but for submitit."""
        given = {name: value for name, value in os.environ.items() if not name.startswith(("ORCH_", "SLURM_"))}
        given.update(PYTHONPATH=str(Path(__file__).parents[2]), PYTHONSAFEPATH="1", **environment)
        return subprocess.Popen([PYTHON, "-c", RUN, str(folder)], env=given, start_new_session=True)

    def run(self, folder: Path, **environment: str) -> Path:
        """Run it to its end: the execution's folder."""
        assert self.start(folder, **environment).wait(60) == 0
        return self.execution(int(folder.name[5:], 16))

    def execution(self, attempt: int = 1, job: int = 1) -> Path:
        return until(lambda: self.layout.executions(job, attempt), "an execution folder")[-1]

    def outcome(self, folder: Path) -> Outcome:
        found = read_json(folder / "outcome.json", Outcome)
        assert found is not None
        return found


def python(text: str) -> list[str]:
    return [PYTHON, "-c", text]


RESULT = "import json, os; open(os.environ['ORCH_RESULT'], 'w').write(json.dumps({'accuracy': 91.5, 'loss': 1}))"


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def started(node: Node, *, attempt: int = 1, restart: int = 0, minutes: float = 0.0) -> tuple[Path, Started]:
    """An execution's folder with its first file."""
    folder = node.layout.new_execution(1, attempt, restart)
    record = Started(
        job=1,
        attempt=attempt,
        generation=1,
        token="orch-1",
        index=0,
        restart=restart,
        node="n",
        host="n",
        pid=1,
        process_start=0.0,
        boot_id="b",
        at=now() + timedelta(minutes=minutes),
    )
    write_json(folder / "started.json", record)
    return folder, record
