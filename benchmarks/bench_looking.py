"""`python -m benchmarks.bench_looking [JOBS]`: what `orch status` and `orch usage` cost at 10,000 jobs that ran.

CPU seconds beyond those of the same command in a store of one job. A job of two attempts (one killed, one accepted) is
made as everything is, and its rows are copied under other ids.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from db import usage
from db.launching import Launching
from jobs.layout import Layout
from jobs.resources import Resources
from jobs.usage import Sums, Usage
from jobs.words import Cause, JobState
from tests.helpers.filled import Filled

ORCH = str(Path(sys.executable).parent / "orch")
MOST_SECONDS = 1.0
COMMANDS = (
    ("status",),
    ("status", "--json"),
    ("usage",),
    ("usage", "--by", "cause"),
    ("usage", "--by", "seed"),
    ("table",),
)


def ran(filled: Filled) -> int:
    """A job that was killed after half of its epochs and went on to its end: its id."""
    launching = Launching(backend="local", resources=Resources(cpus=2, gpus=1), device="cuda")
    (job,) = filled.submit(launching=launching)
    told = Usage(
        sums=Sums(seconds=20.0, cpu_seconds=5.0),
        kept=Sums(seconds=10.0, cpu_seconds=2.0),
        saved_step=5,
        gpus=1,
        due=15.0,
        at=filled.at,
    )
    filled.dispatch(job, slot="gpu:0:0/2")
    folder = filled.start(job)
    filled.epochs(folder, [{"loss": 1.0 / epoch} for epoch in range(1, 11)])
    with filled.store.write() as writer:
        usage.keep(writer.connection, filled.row(writer.connection, folder), told)
    filled.end(job, Cause.KILLED, JobState.QUEUED)
    filled.succeed(job, {"test_accuracy": 90.0})
    return job


COPIED = {
    "job": {"id": "id + n", "seed": "seed + n", "key": "key || '-' || n"},
    "submission": {"token": "token || '-' || n"},
    "attempt": {"id": "id + n * 10", "job_id": "job_id + n", "token": "token || '-' || n"},
    "execution": {"id": "id + n * 10", "job_id": "job_id + n", "attempt_id": "attempt_id + n * 10"},
    "result": {"job_id": "job_id + n", "execution_id": "execution_id + n * 10"},
    "metric": {"execution_id": "execution_id + n * 10"},
    "event": {"id": "id + n * 100", "job_id": "job_id + n"},
}
"""Table → what is another thing in the n-th copy."""


def copied(database: Path, jobs: int) -> None:
    """So many jobs like the one that there is. Beside the rules of the database, which let no job begin at its end."""
    with closing(sqlite3.connect(database)) as connection, connection:
        rules = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in rules:
            connection.execute(f"DROP TRIGGER {name}")
        for table, changed in COPIED.items():
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(changed.get(name, name) for name in names)
            connection.execute(
                f"INSERT INTO {table} ({', '.join(names)}) WITH RECURSIVE copy(n) AS (SELECT 1 UNION ALL SELECT n + 1 "
                f"FROM copy WHERE n < ?) SELECT {values} FROM (SELECT * FROM {table}), copy",
                (jobs - 1,),
            )
        connection.execute("UPDATE job_count SET n = n * ?", (jobs,))
        for _, sql in rules:
            connection.execute(sql)


def cpu(words: Sequence[str], root: Path) -> float:
    """CPU seconds of a command, the least of three."""
    found = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        given = {**os.environ, "COLUMNS": "120"}
        subprocess.run([ORCH, *words, "--store", str(root)], check=True, capture_output=True, env=given)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def main(jobs: int) -> int:
    """1 where a command takes more than a second beyond its start."""
    bad = 0
    with tempfile.TemporaryDirectory(prefix="orch-bench-") as name:
        roots = [Path(name) / one / ".orch" for one in ("one", "many")]
        for root in roots:
            root.parent.mkdir()
            ran(Filled.make(root))
        copied(Layout(roots[1]).database, jobs)
        for words in COMMANDS:
            start, all_of_it = (cpu(words, root) for root in roots)
            more = all_of_it - start
            bad += more > MOST_SECONDS
            print(f"orch {' '.join(words):<20} {jobs:,} jobs: {more:.2f} s beyond {start:.2f} s", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
