"""`make bench`: start-up, the store and local dispatch, as ratios against a peer or a limit of the same run.

Writes benchmarks/out/bench.json and prints a table. Takes about four minutes on two cores; --quick shrinks it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks import typed
from benchmarks.measure import ORCH, OUT, Row, filled, timed, wall
from benchmarks.programs import history, local, snapshot


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


STEPS = ("start", "enqueue", "large", "claims", "local", "lines", "snapshot", "typed")


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of the sizes.")
@click.option(
    "--only", type=click.Choice(["start", "enqueue", "large", "claims", "local", "lines", "snapshot", "typed"])
)
@click.option("--million", is_flag=True, help="Commands as they are typed at 1,000,000 results too.")
def main(quick: bool, only: str | None, million: bool) -> None:
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
            "typed": lambda: typed.growth(folder, 100_000 // part, million),
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
