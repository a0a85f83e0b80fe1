"""A model of jobs beside the store: what each must be, whatever was decided."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from db.store import Store
from jobs.words import JobState


@dataclass
class Try:
    generation: int
    live: bool = True
    doomed: bool = False


@dataclass
class Model:
    """What a job must be."""

    state: JobState
    needs: tuple[int, ...] = ()
    tolerant: bool = False
    generation: int = 1
    tries: list[Try] = field(default_factory=list)
    accepted: tuple[int, str] | None = None
    imported: bool = False
    earlier: int = 0
    """How many of its results were set aside by `retry --succeeded`."""
    dropped: str | None = None

    def end(self, *, doomed: bool) -> None:
        """Its live attempt ends; `doomed`: the machines may still have it."""
        for one in self.tries:
            if one.live:
                one.live, one.doomed = False, doomed


@cache
def empty_store() -> Path:
    """Made once: a migration costs more than all that follows."""
    folder = Path(tempfile.mkdtemp(prefix="orch-machine-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    root = folder / ".orch"
    Store(root, create=True)
    return root


def everything(connection: Connection) -> dict[str, list[Any]]:
    """All that was decided, as rows without their own ids."""
    calm = "CASE state WHEN 'running' THEN 'submitted' ELSE state END"
    queries = {
        "job": f"SELECT id, study_id, kind, seed, key, {calm}, generation, attempts, resume, imported, tolerant, "
        "cause, error, not_before, memory_mb, rank, dropped, created_at, "
        "CASE WHEN state IN ('submitted', 'running') THEN '' ELSE updated_at END FROM job ORDER BY id",
        "config": "SELECT j.id, c.preset, c.dataset, c.text, l.text FROM job j JOIN config c ON c.id = j.config_id "
        "JOIN launch l ON l.id = j.launch_id ORDER BY j.id",
        "need": "SELECT * FROM job_dependency ORDER BY 1, 2",
        "submission": "SELECT token, backend, size, slot, created_at FROM submission ORDER BY 1",
        "attempt": f"SELECT job_id, number, generation, token, position, {calm}, doomed, cause, evidence, decision, "
        "checkpoint_step, created_at, ended_at, recall, nice, altered, "
        "(SELECT text FROM launch WHERE id = launch_id) FROM attempt ORDER BY 1, 2",
        "result": "SELECT r.job_id, r.generation, r.architecture, r.test_accuracy, r.metrics, r.flags, r.accepted_at, "
        "e.name FROM result r LEFT JOIN execution e ON e.id = r.execution_id ORDER BY 1",
        "earlier": "SELECT e.job_id, e.generation, e.architecture, e.metrics, e.accepted_at, e.superseded_at, x.name "
        "FROM earlier_result e LEFT JOIN execution x ON x.id = e.execution_id ORDER BY 1, 2",
        "event": "SELECT job_id, at, replace(before, 'running', 'submitted'), after, generation, attempt, cause "
        "FROM event WHERE NOT (coalesce(before, '') IN ('submitted', 'running') AND after IN ('submitted', 'running')) "
        "ORDER BY id",
        "count": "SELECT kind, replace(state, 'running', 'submitted') AS calm, sum(n) FROM job_count WHERE n != 0 "
        "GROUP BY 1, 2 ORDER BY 1, 2",
        "setting": "SELECT * FROM setting",
    }
    return {name: [tuple(row) for row in connection.exec_driver_sql(sql)] for name, sql in queries.items()}
