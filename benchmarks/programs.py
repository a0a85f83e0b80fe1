"""`make bench`: what programs cost: local no-op jobs, metric lines, the code and software that is kept of them."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.measure import ORCH, Row, timed

PLAIN = """
import sys, time
import submitit
from submitit.core import core
folder, count, slots, throttle = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
executor = submitit.LocalExecutor(folder)
executor.update_parameters(timeout_min=60)
if throttle == "off":
    submitit.core.core.Executor._throttle = lambda self: None
running, done, began = [], 0, time.perf_counter()
while done < count:
    while len(running) < slots and done + len(running) < count:
        running.append(executor.submit(int))
    time.sleep(0.005)
    left = [job for job in running if job._process.poll() is None]
    done += len(running) - len(left)
    running = left
print(time.perf_counter() - began)
"""


def local(folder: Path, jobs: int, slots: int) -> list[Row]:
    """No-op jobs through orch against plain submitit with the same number at once, and how soon an end is seen."""
    plain_folder = folder / "plain"
    command = [sys.executable, "-c", PLAIN, str(plain_folder), str(jobs), str(slots), "on"]
    plain = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / jobs
    here = folder / "local"
    here.mkdir()
    environment = {**os.environ, "ORCH_CPU_SLOTS": str(slots), "ORCH_LOCK_DIR": str(folder / "locks")}
    how = ["--backend", "local", "--no-canary", "--no-start"]
    submit = [ORCH, "submit", "command", "--seeds", str(jobs), *how, "--", "true"]
    subprocess.run(submit, check=True, capture_output=True, cwd=here, env=environment)
    began = time.perf_counter()
    done = subprocess.run(
        [ORCH, "supervise", "--until-idle"], capture_output=True, cwd=here, env=environment, text=True
    )
    if done.returncode:
        raise click.ClickException(f"orch supervise ended with {done.returncode}: {done.stderr}")
    mine = (time.perf_counter() - began) / jobs
    from db.store import Store

    with Store(here / ".orch").read() as connection:
        seen = [
            row[0] * 86400e3
            for row in connection.exec_driver_sql(
                "SELECT julianday(r.accepted_at) - julianday(e.ended_at) FROM result r "
                "JOIN execution e ON e.id = r.execution_id"
            )
        ]
    beyond = (mine - plain) * 1e3
    return [
        Row(
            what=f"plain submitit, {jobs} no-op jobs, {slots} at once",
            value=plain * 1e3,
            unit="ms/job",
            limit="–",
            ok=True,
        ),
        Row(
            what="orch, the same",
            value=mine * 1e3,
            unit="ms/job",
            limit=f"≤ {plain * 1e3 + 50:.0f}",
            ok=beyond <= 50,
            note=f"{beyond:+.0f} ms a job beyond submitit, start of the supervisor included",
        ),
        Row(
            what="end seen after it happened",
            value=statistics.median(seen),
            unit="ms",
            limit="≤ 100",
            ok=statistics.median(seen) <= 100,
            note=f"outcome written to result accepted; 95th percentile {sorted(seen)[int(len(seen) * 0.95)]:.0f} ms",
        ),
    ]


LINES = """
import os, sys
with open(os.environ["ORCH_METRICS"], "w") as metrics:
    for k in range(int(sys.argv[1])):
        metrics.write('{"step": %d, "loss": %f}\\n' % (k, 1 / (k + 1)))
"""


def history(folder: Path, fewer: int, more: int) -> list[Row]:
    """A program's metric lines from its file into the store: what each further line costs, and that it is linear."""
    seconds = {}
    for count in (fewer, more):
        here = folder / f"lines{count}"
        here.mkdir()
        environment = {**os.environ, "ORCH_CPU_SLOTS": "1", "ORCH_LOCK_DIR": str(folder / "locks")}
        options: dict[str, Any] = {"check": True, "capture_output": True, "cwd": here, "env": environment}
        program = [sys.executable, "-c", LINES, str(count)]
        subprocess.run([ORCH, "submit", "command", "--backend", "local", "--no-start", "--", *program], **options)
        begun, _ = timed(lambda o=options: subprocess.run([ORCH, "supervise", "--until-idle"], **o))  # type: ignore[misc]
        seconds[count] = begun
    each = (seconds[more] - seconds[fewer]) / (more - fewer)
    return [
        Row(
            what=f"metric lines, {fewer:,} to {more:,}",
            value=1 / each,
            unit="/s",
            limit="≥ 50000",
            ok=1 / each >= 50_000,
            note=f"{seconds[fewer]:.1f} s and {seconds[more]:.1f} s in all, the program and the start included",
        ),
        Row(
            what="the same, time over time",
            value=seconds[more] / seconds[fewer],
            unit="×",
            limit=f"≤ {more // fewer}",
            ok=seconds[more] <= more / fewer * seconds[fewer],
            note="linear or better",
        ),
    ]


def snapshot(folder: Path, files: int, runs: int) -> list[Row]:
    """What keeping code and software adds to an `orch submit` as it is typed: a project of unchanged files in git.

    Beside it, in the same run, the same submit of a project with one file and no Python program.
    """
    large, small = folder / "large-tree", folder / "small-tree"
    for number in range(files):
        path = large / f"package{number % 20}" / f"module{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"VALUE = {number}\n" + "# a line of code\n" * 100)
    small.mkdir()
    for here in (large, small):
        (here / "train.py").write_text("print(1)\n")
        (here / ".gitignore").write_text(".orch/\n")
    git = ["git", "-C", str(large), "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    time.sleep(2.5)  # a file that was changed a moment ago is read again, as git does
    seconds: dict[Path, list[float]] = {large: [], small: []}
    for number in range(-1, runs):
        for here, program in ((large, [sys.executable, "train.py"]), (small, ["true"])):
            command = [ORCH, "submit", "command", "--backend", "local", "--no-start", "--", *program, str(number)]
            begun, _ = timed(lambda c=command, h=here: subprocess.run(c, check=True, capture_output=True, cwd=h))  # type: ignore[misc]
            if number >= 0:  # the first ones take the snapshot and ask the interpreter
                seconds[here].append(begun)
    whole, bare = (statistics.median(seconds[here]) for here in (large, small))
    cost = statistics.median(one - other for one, other in zip(seconds[large], seconds[small], strict=True))
    return [
        Row(
            what=f"keeping {files:,} unchanged files and the software",
            value=cost * 1e3,
            unit="ms",
            limit="≤ 300",
            ok=cost <= 0.3,
            note=f"orch submit in all {whole * 1e3:.0f} ms; of one file and no Python {bare * 1e3:.0f} ms",
        )
    ]
