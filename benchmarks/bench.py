"""`make bench`: start-up, the store and local dispatch, as ratios against a peer or a limit of the same run.

Writes benchmarks/out/bench.json and prints a table. Takes about four minutes on two cores; --quick shrinks it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

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


def start_up(folder: Path, runs: int) -> list[Row]:
    """`--help` and `status` (10,000 jobs) against bare python."""
    bare = wall([sys.executable, "-S", "-c", "pass"], runs)
    python = wall([sys.executable, "-c", "pass"], runs)
    help_ = wall([ORCH, "--help"], runs)
    filled(folder / "s10k" / ".orch", 10_000)
    status = wall([ORCH, "status", "--store", str(folder / "s10k" / ".orch")], runs)
    return [
        Row(what="python -c pass", value=python * 1e3, unit="ms", limit="–", ok=True, note=f"-S: {bare * 1e3:.0f} ms"),
        Row(what="orch --help / bare python", value=help_ / python, unit="×", limit="≤ 6", ok=help_ <= 6 * python),
        Row(what="orch status, 10,000 jobs", value=status * 1e3, unit="ms", limit="≤ 320", ok=status <= 0.32),
    ]


def enqueue(folder: Path, large: int) -> list[Row]:
    """Making sure of 1,000 and of many jobs in one call, beyond start-up."""
    from db.store import Store
    from jobs.files import now
    from jobs.kind import kind_named
    from orchestrator.submitting.graph import ensure
    from orchestrator.submitting.planning import Launch, Order

    kind = kind_named("command")
    rows = []
    for count, limit in ((1_000, 0.05), (large, 5.0)):
        store = Store(folder / f"e{count}" / ".orch", create=True)

        def submit(seeds: range, store: Store = store) -> None:
            order = Order(kind=kind, config=kind.configure({"argv": ["true"]}), seeds=seeds)
            with store.write() as writer:
                ensure(writer, "default", [order], Launch(backend="local"), now())

        submit(range(1))  # the first connection and imports are start-up
        began = time.perf_counter()
        submit(range(1, count + 1))
        seconds = time.perf_counter() - began
        submit(range(1, count + 1))
        again = time.perf_counter() - began - seconds
        rows.append(
            Row(
                what=f"enqueue {count:,} jobs",
                value=seconds * 1e3,
                unit="ms",
                limit=f"≤ {limit * 1e3:.0f}",
                ok=seconds <= limit,
                note=f"a repeat: {again * 1e3:.0f} ms",
            )
        )
    return rows


def large_store(folder: Path, jobs: int) -> list[Row]:
    """The status query and mean±std over very many rows."""
    from db import results
    from db.jobs import counts

    store = filled(folder / "large" / ".orch", jobs, results=True, configs=100)
    with store.read() as connection:
        query = statistics.median(timed(lambda: counts(connection, "default"))[0] for _ in range(5))
        table = statistics.median(timed(lambda: results.accuracy_by_config(connection))[0] for _ in range(3))
        groups = results.accuracy_by_config(connection)
    total = sum(group.n for group in groups)
    return [
        Row(what=f"status query, {jobs:,} jobs", value=query * 1e3, unit="ms", limit="≤ 50", ok=query <= 0.05),
        Row(
            what=f"mean±std over {total:,} results",
            value=table * 1e3,
            unit="ms",
            limit="≤ 500",
            ok=table <= 0.5,
            note=f"{len(groups)} groups, two passes",
        ),
    ]


CLAIM = 256  # as many as the supervisor looks at for local slots in one cycle


def _claim(root: Path, worker: int, quota: int) -> tuple[int, list[int]]:
    """Claim queued jobs as dispatch does, in batches, until the quota is met: (errors, jobs)."""
    import secrets

    from db.entries import Dispatch, DispatchedTask
    from db.store import Store
    from jobs.errors import StoreError
    from jobs.files import now

    store, claimed, errors = Store(root), [], 0
    while len(claimed) < quota:
        try:
            with store.write() as writer:
                found = writer.connection.exec_driver_sql(
                    "SELECT id FROM job WHERE state = 'queued' ORDER BY id LIMIT ?", (CLAIM,)
                ).all()
                if not found:
                    break
                tasks = tuple(DispatchedTask(row[0], 1, 1) for row in found)
                token = f"bench-{worker}-{secrets.token_hex(6)}"
                writer.decide([Dispatch(token=token, backend="local", tasks=tasks, at=now())])
                claimed += [row[0] for row in found]
        except StoreError:
            errors += 1
    return errors, claimed


def claims(folder: Path, jobs: int) -> list[Row]:
    """Eight processes claim jobs at once: every claim is journaled, none doubled, nothing 'locked'."""
    root = folder / "claims" / ".orch"
    filled(root, jobs)
    with multiprocessing.get_context("spawn").Pool(8) as pool:
        pool.starmap(_claim, [(root, worker, CLAIM) for worker in range(8)])  # warm: imports, first connections
        seconds, found = timed(lambda: pool.starmap(_claim, [(root, worker, jobs // 10) for worker in range(8)]))
    claimed = [job for _, part in found for job in part]
    errors = sum(count for count, _ in found)
    doubled = len(claimed) - len(set(claimed))
    rate = len(claimed) / seconds
    return [
        Row(
            what="claims by 8 processes",
            value=rate,
            unit="jobs/s",
            limit="≥ 4000",
            ok=rate >= 4000 and doubled == 0 and errors == 0,
            note=f"{CLAIM} a transaction, each journaled with fsync; {doubled} doubled, {errors} errors shown",
        )
    ]


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


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of the sizes.")
@click.option("--only", type=click.Choice(["start", "enqueue", "large", "claims", "local", "lines", "snapshot"]))
def main(quick: bool, only: str | None) -> None:
    """Measure orch against its peers and limits (see docs/benchmarks.md)."""
    part = 10 if quick else 1
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="orch-bench-") as name:
        folder = Path(name)
        steps: dict[str, Callable[[], list[Row]]] = {
            "start": lambda: start_up(folder, 3 if quick else 7),
            "enqueue": lambda: enqueue(folder, 100_000 // part),
            "large": lambda: large_store(folder, 1_000_000 // part),
            "claims": lambda: claims(folder, 40_000 // part),
            "local": lambda: local(folder, 100 // part, os.cpu_count() or 2),
            "lines": lambda: history(folder, 20_000 // part, 200_000 // part),
            "snapshot": lambda: snapshot(folder, 1_000, 3 if quick else 9),
        }
        for step, function in steps.items():
            if only in (None, step):
                click.echo(f"… {step}", err=True)
                rows += function()
    OUT.mkdir(exist_ok=True)
    (OUT / "bench.json").write_text(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False) + "\n")
    for row in rows:
        mark = "ok  " if row.ok else "MISS"
        click.echo(f"{mark} {row.what:<48} {row.value:>10.1f} {row.unit:<7} {row.limit:<9} {row.note}")


if __name__ == "__main__":
    main()
