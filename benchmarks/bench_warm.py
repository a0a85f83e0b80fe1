"""Demo trainings two at a time in one bundle: workers that are forks with torch, against new interpreters.

`python -m benchmarks.bench_warm --jobs 100`; the results of both are compared, too. Writes benchmarks/out/warm.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import click
import msgspec

from benchmarks.measure import OUT, Row
from jobs.files import make_folder, now, read_json, write_json
from jobs.kind import kind_named
from jobs.layout import Layout
from jobs.records import JobFile, Manifest, Outcome, Task, Terms
from jobs.resources import Resources

KIND = "random-baseline"
RUN = "import sys; from jobs.node.worker import Task; Task(sys.argv[1])()"
TARGET = 0.65


def trained(folder: Path, jobs: int, *, cold: bool) -> tuple[float, list[float | None]]:
    """Seconds of so many trainings, seeds 0 on, and their accuracies."""
    layout = Layout(folder / ".orch")
    kind = kind_named(KIND)
    config = msgspec.to_builtins(kind.configure({"dataset": "digits"}, "demo"))
    for job in range(1, jobs + 1):
        make_folder(layout.job(job))
        record = JobFile(
            id=job, study="default", kind=KIND, kind_version=kind.version, seed=job - 1, config=config, preset="demo",
            key="k", created_at=now(),
        )  # fmt: skip
        write_json(layout.job(job) / "job.json", record)
    tasks = tuple(
        Task(job=job, attempt=1, generation=1, resources=Resources(minutes=600, memory_mb=4000), terms=0)
        for job in range(1, jobs + 1)
    )
    terms = Terms(device="cpu", cwd=str(folder), options={"cold": cold})
    token = "orch-0000000000000001"
    make_folder(layout.submission(token))
    manifest = Manifest(
        token=token, backend="slurm", tasks=tasks, terms=(terms,), created_at=now(), bundle=jobs, at_once=2
    )
    write_json(layout.manifest(token), manifest)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", RUN, str(layout.submission(token))], env=environment, check=True)
    seconds = time.monotonic() - began
    found = []
    for job in range(1, jobs + 1):
        outcome = read_json(layout.executions(job, 1)[0] / "outcome.json", Outcome)
        if outcome is None or outcome.ending != "success":
            raise click.ClickException(f"training {job} ended with {outcome and outcome.error}")
        found.append(outcome.result["test_accuracy"])
    return seconds, found


@click.command()
@click.option("--jobs", type=int, default=100, show_default=True, help="Demo trainings, each way.")
def main(jobs: int) -> None:
    """Measure warm against cold starts."""
    with tempfile.TemporaryDirectory(prefix="orch-bench-") as name:
        root = Path(name)
        warm, ours = trained(root / "warm", jobs, cold=False)
        cold, theirs = trained(root / "cold", jobs, cold=True)
    if ours != theirs:
        raise click.ClickException("the two ways came to other accuracies")
    many, ratio = f"{jobs} demo trainings, two at a time", warm / cold
    rows = [
        Row(what=f"{many}, warm", value=warm, unit="s", limit="", ok=True),
        Row(what=f"{many}, cold", value=cold, unit="s", limit="", ok=True, note="the same accuracies"),
        Row(what="warm / cold", value=ratio, unit="x", limit=f"<= {TARGET}", ok=ratio <= TARGET),
    ]
    OUT.mkdir(exist_ok=True)
    (OUT / "warm.json").write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    for row in rows:
        click.echo(
            f"{'ok  ' if row.ok else 'MISS'} {row.what:<45} {row.value:>8.2f} {row.unit:<3} {row.limit:<8} {row.note}"
        )


if __name__ == "__main__":
    main()
