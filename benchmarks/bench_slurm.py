"""`make bench-slurm`: orch on a real SLURM test cluster, against submitit and a raw sbatch array of the same run.

Writes benchmarks/out/slurm.json and prints a table; about ten minutes on two cores, --jobs and --large shrink it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click
import psutil

from benchmarks.measure import ORCH, OUT, Row
from slurm.testcluster import Cluster

COMMANDS = ("squeue", "sacct", "sinfo", "sbatch", "scontrol", "scancel")
SMALL = ("--mem", "100M", "--time", "60")
MEASURED_SECONDS = 30.0


class Bed:
    """A user's folder; every call of a SLURM command by orch leaves a line in `calls`."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder = folder
        self.cluster = cluster
        self.root = folder / ".orch"
        self.calls = folder / "calls"
        own = folder / "bin"
        own.mkdir(parents=True)
        for name in COMMANDS:
            (own / name).write_text(f'#!/bin/sh\necho {name} >> "{self.calls}"\nPATH=${{PATH#*:}} exec {name} "$@"\n')
            (own / name).chmod(0o755)
        inherited = {name: text for name, text in cluster.env().items() if not name.startswith("ORCH_")}
        self.env = {
            **inherited,
            "PATH": f"{own}:{os.environ['PATH']}",
            "ORCH_POLL_SECONDS": "1",
            "ORCH_IDLE_MINUTES": "0.05",
            "ORCH_BACKEND": "slurm",
            "OMP_NUM_THREADS": "1",
        }
        (folder / "orch.toml").write_text("[supervisor]\npoll_most_seconds = 1.0\n")

    def orch(self, *words: str) -> str:
        done = subprocess.run([ORCH, *words], cwd=self.folder, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise click.ClickException(f"orch {' '.join(words)} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def count(self, sql: str) -> int:
        """One number from the database, read without orch."""
        import sqlite3

        connection = sqlite3.connect(f"file:{self.root / 'orch.db'}?mode=ro", uri=True, timeout=30)
        try:
            return int(connection.execute(sql).fetchone()[0])
        finally:
            connection.close()

    def supervisor(self) -> psutil.Process:
        return psutil.Process(self.count("SELECT pid FROM lease"))

    def asked(self) -> Counter[str]:
        return Counter(self.calls.read_text().split()) if self.calls.exists() else Counter()

    def stop(self) -> None:
        """Cancel what is left and end the supervisor."""
        self.orch("cancel", "--all")
        until(lambda: self.count("SELECT count(*) FROM attempt WHERE state != 'ended' OR doomed = 1") == 0, 300)
        self.supervisor().kill()


def until(ready: Callable[[], bool], timeout: float, every: float = 0.1) -> None:
    """Wait for it. Raises ClickException."""
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > deadline:
            raise click.ClickException(f"a benchmark's step took longer than {timeout:.0f} s")
        time.sleep(every)


def gone(cluster: Cluster) -> bool:
    """Whether the queue is empty."""
    return not cluster.run("squeue", "-h").stdout.strip()


def raw_array(cluster: Cluster, folder: Path, jobs: int) -> float:
    """Seconds of `sbatch --array` of no-ops."""
    began = time.monotonic()
    cluster.run("sbatch", f"--array=0-{jobs - 1}", "--mem=100M", "--output=/dev/null", "--wrap", "true")
    until(lambda: gone(cluster), 1200, every=0.25)
    return time.monotonic() - began


def submitit_array(cluster: Cluster, folder: Path, jobs: int, *, srun: bool) -> float:
    """Seconds of one submitit array of a function that returns at once."""
    code = (
        "import operator, sys, submitit\n"
        "executor = submitit.SlurmExecutor(sys.argv[1])\n"
        f"executor.update_parameters(time=60, mem='100M', array_parallelism={jobs}, use_srun={srun})\n"
        f"executor.map_array(operator.neg, range({jobs}))\n"
    )
    began = time.monotonic()
    command = [sys.executable, "-c", code, str(folder / f"submitit-{srun}")]
    subprocess.run(command, check=True, env=cluster.env(), capture_output=True)
    until(lambda: gone(cluster), 1200, every=0.25)
    return time.monotonic() - began


def orch_jobs(bed: Bed, jobs: int, *more: str) -> float:
    """Seconds of as many no-op jobs through orch, until the last result is in the database."""
    began = time.monotonic()
    bed.orch("submit", "command", "--seeds", str(jobs), *SMALL, *more, "--no-canary", "--", "true")
    until(lambda: bed.count("SELECT count(*) FROM result") == jobs, 1200, every=0.25)
    return time.monotonic() - began


def throughput(cluster: Cluster, folder: Path, jobs: int) -> list[Row]:
    """The same number of no-ops in four ways."""
    raw = raw_array(cluster, folder, jobs)
    with_step = submitit_array(cluster, folder, jobs, srun=True)
    without = submitit_array(cluster, folder, jobs, srun=False)
    bed = Bed(folder / "throughput", cluster)
    ours = orch_jobs(bed, jobs)
    bed.supervisor().kill()
    many = f"{jobs:,} no-op jobs"
    return [
        Row(what=f"{many}, raw sbatch array", value=raw, unit="s", limit="", ok=True),
        Row(what=f"{many}, one submitit array", value=with_step, unit="s", limit="", ok=True, note="its default: srun"),
        Row(what=f"{many}, one submitit array without srun", value=without, unit="s", limit="", ok=True),
        Row(what=f"{many}, orch", value=ours, unit="s", limit="", ok=True, note="command jobs: srun, a child each"),
        ratio(f"{many}, orch / submitit", ours / with_step),
    ]


def bundles(cluster: Cluster, folder: Path, jobs: int) -> list[Row]:
    """The same no-ops, eight at a time in each of four tasks."""
    raw = raw_array(cluster, folder, jobs)
    bed = Bed(folder / "bundles", cluster)
    ours = orch_jobs(bed, jobs, "--bundle", "8")
    bed.supervisor().kill()
    many = f"{jobs:,} no-op jobs"
    return [
        Row(what=f"{many}, raw sbatch array", value=raw, unit="s", limit="", ok=True),
        Row(what=f"{many}, orch --bundle 8", value=ours, unit="s", limit="", ok=True, note="four tasks"),
        ratio(f"{many}, orch --bundle 8 / raw array", ours / raw, most=2.0),
    ]


def ratio(what: str, value: float, most: float = 1.15) -> Row:
    return Row(what=what, value=value, unit="x", limit=f"<= {most:g}", ok=value <= most)


def waiting(cluster: Cluster, folder: Path, jobs: int) -> list[Row]:
    """What a supervisor asks SLURM, and what it costs, while so many jobs wait in the queue; at a poll of 1 s."""
    bed = Bed(folder / f"waiting-{jobs}", cluster)
    later = ("--no-canary", "--sbatch", "begin=now+7200")
    bed.orch("submit", "command", "--seeds", str(jobs), *SMALL, *later, "--", "true")
    until(lambda: bed.count("SELECT count(*) FROM attempt WHERE phase = 'pending'") == jobs, 300)
    time.sleep(5)
    process, before = bed.supervisor(), bed.asked()
    began, used = time.monotonic(), process.cpu_times()
    time.sleep(MEASURED_SECONDS)
    seconds, now, asked = time.monotonic() - began, process.cpu_times(), bed.asked() - before
    busy = 100 * (now.user + now.system - used.user - used.system) / seconds
    memory = process.memory_info().rss / 2**20
    bed.stop()
    others = sum(asked.values()) - asked["squeue"]
    squeues = 60 * asked["squeue"] / seconds
    total = f"{jobs:,} jobs waiting"
    return [
        Row(
            what=f"{total}: squeue calls a minute",
            value=squeues,
            unit="/min",
            limit="<= 60",
            ok=squeues <= 61,
            note=f"one a cycle of 1 s; {others} other calls in {seconds:.0f} s",
        ),
        Row(what=f"{total}: supervisor's CPU", value=busy, unit="%", limit="", ok=True, note="of one core, poll 1 s"),
        Row(what=f"{total}: supervisor's memory", value=memory, unit="MiB", limit="", ok=True),
    ]


def elsewhere(cluster: Cluster, folder: Path, times: int) -> list[Row]:
    """Seconds from SLURM's knowing of a dead node to the job's next start on another one."""
    from jobs.layout import Layout

    bed = Bed(folder / "elsewhere", cluster)
    layout = Layout(bed.root)
    found = []
    for number in range(1, times + 1):
        bed.orch("submit", "command", "--seed-list", str(number), *SMALL, "--", "sleep", "300")
        until(lambda job=number: any(read_node(path) for path in layout.executions(job, 1)), 60)
        time.sleep(1.5)
        node = read_node(layout.executions(number, 1)[0])
        cluster.kill_node(node)
        began = time.monotonic()
        cluster.set_node_down(node, "benchmark")
        until(lambda job=number: sum(bool(read_node(path)) for path in layout.executions(job, 1)) == 2, 60, every=0.02)
        found.append(time.monotonic() - began)
        bed.orch("cancel", str(number))
        cluster.start_node(node)
        cluster.resume_node(node)
        until(lambda: gone(cluster), 60)
    bed.supervisor().kill()
    middle = statistics.median(found)
    note = f"median of {times}, worst {max(found):.1f} s"
    return [
        Row(what="node death to running elsewhere", value=middle, unit="s", limit="<= 3", ok=middle <= 3, note=note)
    ]


def read_node(execution: Path) -> str:
    """The node of an execution that has begun, else ''."""
    path = execution / "started.json"
    return str(json.loads(path.read_text())["node"]) if path.exists() else ""


@click.command()
@click.option("--jobs", type=int, default=1000, show_default=True, help="No-op jobs of the throughput.")
@click.option("--large", type=int, default=5000, show_default=True, help="Most jobs that wait.")
@click.option("--times", type=int, default=5, show_default=True, help="Nodes that die.")
@click.option("--only", type=click.Choice(["throughput", "bundles", "waiting", "elsewhere"]), help="One part alone.")
def main(jobs: int, large: int, times: int, only: str | None) -> None:
    """Measure orch on a SLURM of four nodes with eight CPUs (see docs/benchmarks.md)."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="orch-bench-", dir="/tmp") as name, Cluster(Path(name) / "c") as cluster:
        folder = Path(name)
        sizes = [size for size in (10, 1000) if size < large] + [large]
        parts: dict[str, Callable[[], list[Row]]] = {
            "elsewhere": lambda: elsewhere(cluster, folder, times),
            "waiting": lambda: [row for size in sizes for row in waiting(cluster, folder, size)],
            "bundles": lambda: bundles(cluster, folder, jobs),
            "throughput": lambda: throughput(cluster, folder, jobs),
        }
        for part, measure in parts.items():
            if only in (None, part):
                click.echo(f"… {part}", err=True)
                cluster.reset()
                rows += measure()
    OUT.mkdir(exist_ok=True)
    (OUT / "slurm.json").write_text(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False) + "\n")
    for row in rows:
        mark = "ok  " if row.ok else "MISS"
        click.echo(f"{mark} {row.what:<52} {row.value:>8.2f} {row.unit:<5} {row.limit:<8} {row.note}")


if __name__ == "__main__":
    main()
