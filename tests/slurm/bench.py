"""A store's folder with `command` jobs on a real cluster, and the backend that runs them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.files import now, read_json, write_json
from jobs.layout import Layout
from jobs.records import JobFile, Manifest, Outcome, Task
from jobs.resources import Resources
from slurm.backend import (
    Batch,
    LiveAttempt,
    Observation,
    Phase,
    QueuedJob,
    Submission,
)
from slurm.cluster.backend import SlurmBackend
from slurm.cluster.sbatch import LaunchSettings
from tests.helpers.launching import native_id

SMALL = Resources(cpus=1, memory_mb=400, gpus=0, minutes=5)


class Bench:
    """A store's folder with `command` jobs, and the backend that runs them."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.backend = SlurmBackend(self.layout, settings=LaunchSettings(sbatch_timeout_s=30))
        self.jobs = 0
        self.tokens = 0

    def submission(
        self, count: int, script: str, resources: Resources = SMALL, checkpoints: bool = True, **options: Any
    ) -> Submission:
        self.tokens += 1
        token = f"o-{os.getpid()}-{self.tokens}-{time.monotonic_ns()}"
        tasks = []
        for _ in range(count):
            self.jobs += 1
            folder = self.layout.job(self.jobs)
            folder.mkdir(parents=True)
            job = JobFile(
                id=self.jobs,
                study="default",
                kind="command",
                kind_version=1,
                seed=self.jobs,
                config={"argv": ["sh", "-c", script]},
                preset="demo",
                key=str(self.jobs),
                resources=resources,
                created_at=now(),
            )
            write_json(folder / "job.json", job)
            tasks.append(Task(job=self.jobs, attempt=1, generation=1, resources=resources))
        manifest = Manifest(token=token, backend="slurm", tasks=tuple(tasks), created_at=now())
        folder = self.layout.submission(token)
        folder.mkdir(parents=True)
        write_json(folder / "manifest.json", manifest)
        queued = tuple(
            QueuedJob(job=task.job, resources=resources, checkpoints=checkpoints, options=options) for task in tasks
        )
        return Submission(token=token, folder=folder, manifest=manifest, batch=Batch(jobs=queued))

    def live(self, submission: Submission, native: str | None, **more: Any) -> list[LiveAttempt]:
        tasks = submission.manifest.tasks
        values: dict[str, Any] = {
            "running": False,
            "slot": None,
            "submitted_at": submission.manifest.created_at,
            **more,
        }
        return [
            LiveAttempt(
                job=task.job,
                attempt=1,
                token=submission.token,
                index=index,
                size=len(tasks),
                native_id=native,
                **values,
            )
            for index, task in enumerate(tasks)
        ]

    def start(self, count: int, script: str, **more: Any) -> list[LiveAttempt]:
        submission = self.submission(count, script, **more)
        return self.live(submission, native_id(self.backend.launch(submission)))

    def watch(
        self, live: list[LiveAttempt], until: Callable[[list[Observation]], bool], timeout: float = 60
    ) -> list[Observation]:
        """Observe until it is so; the observations of that moment, in the order of `live`."""
        deadline = time.monotonic() + timeout
        while True:
            found = self.backend.observe(live)
            seen = [found[attempt.key] for attempt in live if attempt.key in found]
            if len(seen) == len(live) and until(seen):
                return seen
            assert time.monotonic() < deadline, f"not within {timeout} s; at last: {seen}"
            time.sleep(0.2)

    def outcome(self, job: int) -> Outcome:
        for folder in self.layout.executions(job, 1)[::-1]:
            if outcome := read_json(folder / "outcome.json", Outcome):
                return outcome
        raise AssertionError(f"job {job} has no outcome")

    def wait_started(self, live: list[LiveAttempt], executions: int = 1) -> None:
        """Until the worker of each has begun, so often."""
        deadline = time.monotonic() + 60
        while any(
            len([path for path in self.layout.executions(item.job, 1) if (path / "started.json").exists()]) < executions
            for item in live
        ):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def all_in(*phases: Phase) -> Callable[[list[Observation]], bool]:
    return lambda seen: all(item.phase in phases for item in seen)


ENDED, RUNNING, PENDING = all_in(Phase.ENDED), all_in(Phase.RUNNING), all_in(Phase.PENDING)
