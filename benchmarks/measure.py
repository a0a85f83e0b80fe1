"""What all steps of `make bench` share: a figure beside its limit, stop watches, and stores of very many jobs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "out"
ORCH = str(Path(sys.executable).parent / "orch")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured figure beside its limit."""

    what: str
    value: float
    unit: str
    limit: str
    ok: bool
    note: str = ""


def wall(command: list[str], runs: int, **options: Any) -> float:
    """Median wall seconds of a whole process, after one warm-up."""
    times = []
    for number in range(runs + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, **options)
        if number:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Wall seconds of a call, and what it returned."""
    began = time.perf_counter()
    value = function()
    return time.perf_counter() - began, value


def filled(root: Path, jobs: int, *, results: bool = False, configs: int = 1) -> Any:
    """A store with so many jobs (queued, or with a result each), made by its own journal entries."""
    from db.entries import Import, ImportedResult, NewJob, Submit
    from db.launching import Template
    from db.store import Store
    from jobs.files import now

    store = Store(root, create=True)
    templates = tuple(
        Template(kind="command", kind_version=1, preset="report", config={"argv": ["true"], "name": str(c)})
        for c in range(configs)
    )
    step = 100_000
    for start in range(0, jobs, step):
        ids = range(start + 1, min(start + step, jobs) + 1)
        with store.write() as writer:
            if results:
                rows = tuple(
                    ImportedResult(i, i % configs, i, f"k{i}", {"test_accuracy": 90 + (i * 7919 % 1000) / 250})
                    for i in ids
                )
                entry: Any = Import(study="default", source="bench", templates=templates, results=rows, at=now())
            else:
                new = tuple(NewJob(i, i % configs, i, f"k{i}") for i in ids)
                entry = Submit(study="default", templates=templates, jobs=new, at=now())
            writer.decide([entry])
    return store


def cpu(words: Sequence[str], folder: Path, runs: int = 1) -> tuple[float, float]:
    """(CPU seconds, MB at most) of a command of orch as a user types it in a folder, its start included; the least."""
    seconds, largest = [], 0.0
    for _ in range(runs):
        given = {**os.environ, "COLUMNS": "120"}
        begun = subprocess.Popen(
            [ORCH, *words], cwd=folder, env=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, used = os.wait4(begun.pid, 0)
        begun.returncode = os.waitstatus_to_exitcode(status)
        if begun.returncode:
            raise SystemExit(f"orch {' '.join(words)} ended with {begun.returncode} in {folder}")
        seconds.append(used.ru_utime + used.ru_stime)
        largest = max(largest, used.ru_maxrss / 1024)
    return min(seconds), largest
