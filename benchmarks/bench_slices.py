"""`make bench-slices`: ten seeds in slices against one piece each, on two pretend clusters with the same seeded load.

Both clusters run side by side and get the same jobs of others at the same seconds, some of them before the study. The
program holds a seal: it is rehearsed first. Writes benchmarks/out/slices.json and prints a table; about half an hour,
nearly all of it waiting.
"""

from __future__ import annotations

import json
import random
import sqlite3
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.bench_slurm import Bed, until
from benchmarks.measure import OUT, Row
from slurm.testcluster import Cluster

NODES, CPUS = 4, 2
PIECE_MINUTES, WHOLE_MINUTES = 2, 5
EPOCHS, EPOCH_SECONDS = 50, 4.0
"""200 seconds of work: more than a piece, and well below the limit of one in one piece."""
PROGRAM = """
import json, os, pathlib, sys, time
folder = pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"])
state, pace = folder / "state.json", float(os.environ["PACE"])
seed, epochs = int(sys.argv[1]), int(sys.argv[3])
epoch, value = json.loads(state.read_text()) if state.exists() else [0, seed]
while epoch < epochs:
    time.sleep(pace)
    epoch, value = epoch + 1, (value * 1103515245 + 12345) % 2**31
    with open(os.environ["ORCH_METRICS"], "a") as lines:
        lines.write(json.dumps({"epoch": epoch, "epochs": epochs, "value": value}) + "\\n")
    (folder / "draft").write_text(json.dumps([epoch, value]))
    (folder / "draft").rename(state)
pathlib.Path(os.environ["ORCH_RESULT"]).write_text(json.dumps({"value": value}))
"""
WORDS = ("python3", "train.py", "{seed}", "--epochs", str(EPOCHS))


@dataclass(frozen=True, kw_only=True)
class Other:
    """Somebody else's job: whole nodes, sent so many seconds after the study (those before it: 0)."""

    at: float
    nodes: int
    seconds: int
    minutes: int


def others(seed: int, waiting: int, later: int) -> list[Other]:
    """`waiting` of them before the study and `later` in the first ten minutes after it. Half take several nodes.

    They run for 1 to 4 minutes, and ask for up to a minute more. Pure.
    """
    chance = random.Random(seed)
    found = []
    for number in range(waiting + later):
        seconds = chance.randint(60, 240)
        found.append(
            Other(
                at=0.0 if number < waiting else chance.uniform(0.0, 600.0),
                nodes=chance.choice([1, 1, 1, 2, 3, 4]),
                seconds=seconds,
                minutes=-(-seconds // 60) + chance.randint(0, 1),
            )
        )
    return sorted(found, key=lambda other: other.at)


def value_of(seed: int) -> int:
    """What the program comes to when nobody disturbs it."""
    value = seed
    for _ in range(EPOCHS):
        value = (value * 1103515245 + 12345) % 2**31
    return value


def send(cluster: Cluster, other: Other) -> None:
    asked = (f"--nodes={other.nodes}", "--exclusive", "--mem=100M", f"--time={other.minutes}", "--output=/dev/null")
    cluster.run("sbatch", *asked, "--job-name=other", "--wrap", f"sleep {other.seconds}")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """How the study went in one of the two ways."""

    seconds: float
    """From the submit to the last result."""
    mean_seconds: float
    """From the submit to a result, of all of them."""
    values: dict[int, int]
    """Seed → the number that the program came to."""
    executions: int
    ran_seconds: float
    """Of all executions together."""


def seal(bed: Bed) -> None:
    """The program, and its rehearsal: shorter epochs than in the study, else the same line."""
    (bed.folder / "train.py").write_text(PROGRAM)
    (bed.folder / ".orchignore").write_text("calls\nbin\n")  # what this benchmark counts is no code
    short = ("--epochs-flag=--epochs=8", "--env", "PACE=0.3", "--backend", "local")
    bed.orch("rehearse", "--kills", "2", "--only", "kill,term", *short, "--", *WORDS)


def study(bed: Bed, how: tuple[str, ...], load: list[Other], seeds: int, gate: threading.Barrier) -> Arm:
    """The study on one cluster, under that load; both begin at the gate."""
    for other in load:
        if not other.at:
            send(bed.cluster, other)
    gate.wait()
    began = time.monotonic()
    terms = ("--cpus", str(CPUS), "--mem", "100M", "--time", str(WHOLE_MINUTES), "--no-canary", *how)
    bed.orch("submit", "command", "--seeds", str(seeds), "--env", f"PACE={EPOCH_SECONDS}", *terms, "--", *WORDS)
    left = [other for other in load if other.at]
    came: list[float] = []

    def over() -> bool:
        at = time.monotonic() - began
        while left and left[0].at <= at:
            send(bed.cluster, left.pop(0))
        came.extend([at] * (bed.count("SELECT count(*) FROM result") - len(came)))
        return len(came) == seeds

    until(over, 7200, every=1.0)
    rows = read(bed, "SELECT j.seed, r.metrics FROM result r JOIN job j ON j.id = r.job_id")
    until(lambda: bed.count("SELECT count(*) FROM execution WHERE ended_at IS NULL") == 0, 60)
    [(executions, ran)] = read(bed, "SELECT count(*), sum(wall_seconds) FROM execution")
    bed.supervisor().kill()
    return Arm(
        seconds=came[-1],
        mean_seconds=sum(came) / seeds,
        values={seed: int(json.loads(text)["value"]) for seed, text in rows},
        executions=executions,
        ran_seconds=ran,
    )


def read(bed: Bed, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the database, read without orch."""
    connection = sqlite3.connect(f"file:{bed.root / 'orch.db'}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def compared(whole: Arm, sliced: Arm, seeds: int) -> list[Row]:
    """The figures, and whether both came to the numbers that the program comes to undisturbed."""
    ratio = sliced.seconds / whole.seconds
    right = {seed: value_of(seed) for seed in range(seeds)}
    rows = []
    for name, arm in (("one piece each", whole), ("slices", sliced)):
        note = f"{arm.executions} executions, {arm.ran_seconds:.0f} s in all"
        rows += [
            Row(what=f"{name}: makespan", value=arm.seconds, unit="s", limit="", ok=True, note=note),
            Row(what=f"{name}: from submit to a result, mean", value=arm.mean_seconds, unit="s", limit="", ok=True),
            Row(
                what=f"{name}: results with the right bits",
                value=sum(arm.values.get(seed) == value for seed, value in right.items()),
                unit="",
                limit=f"= {seeds}",
                ok=arm.values == right,
            ),
        ]
    mean = sliced.mean_seconds / whole.mean_seconds
    return [
        *rows,
        Row(what="makespan, slices / one piece", value=ratio, unit="x", limit="", ok=True),
        Row(what="mean time to a result, slices / one piece", value=mean, unit="x", limit="", ok=True),
    ]


@click.command()
@click.option("--seeds", type=int, default=10, show_default=True, help="Jobs of the study.")
@click.option("--load", type=int, default=1, show_default=True, help="The seed of the background load.")
@click.option("--waiting", type=int, default=12, show_default=True, help="Others' jobs that wait before the study.")
@click.option("--later", type=int, default=12, show_default=True, help="Others' jobs of the ten minutes after it.")
def main(seeds: int, load: int, waiting: int, later: int) -> None:
    """Measure slices on a SLURM of four nodes (see docs/slices.md)."""
    jobs = others(load, waiting, later)
    ways = {"whole": (), "sliced": ("--slices", f"{PIECE_MINUTES}m")}
    gate = threading.Barrier(len(ways))
    with tempfile.TemporaryDirectory(prefix="orch-slices-", dir="/tmp") as name:
        places = {way: Path(name) / way[0] for way in ways}
        clusters = {
            way: Cluster(place / "c", nodes=NODES, cpus=CPUS, accounting=False) for way, place in places.items()
        }
        with clusters["whole"], clusters["sliced"], ThreadPoolExecutor(len(ways)) as pool:
            beds = {way: Bed(places[way] / "w", cluster) for way, cluster in clusters.items()}
            for way, bed in beds.items():
                click.echo(f"… rehearsing ({way})", err=True)
                seal(bed)
            click.echo("… both studies", err=True)
            runs = {way: pool.submit(study, beds[way], how, jobs, seeds, gate) for way, how in ways.items()}
            arms = {way: one.result() for way, one in runs.items()}
    rows = compared(arms["whole"], arms["sliced"], seeds)
    OUT.mkdir(exist_ok=True)
    (OUT / "slices.json").write_text(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False) + "\n")
    for row in rows:
        mark = "ok  " if row.ok else "MISS"
        click.echo(f"{mark} {row.what:<44} {row.value:>8.2f} {row.unit:<3} {row.limit:<6} {row.note}")


if __name__ == "__main__":
    main()
