"""Made-up rows, curves and spans for tests of tables and figures: no number here was measured.

Everything is in the study `synthetic`; means and stds are the report's where a table is compared to its Table 2.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from random import Random
from typing import Any

from db.rows import Curve, ResultRow, Span
from jobs.architectures import extra_parameters
from jobs.shortcuts.discretise import gates
from jobs.shortcuts.matching import draw
from jobs.words import JobState
from orchestrator.tables.statistics import deviation, mean

STUDY = "synthetic"
VGG19 = 20_040_522
PUBLISHED: dict[str, Any] = json.loads(files("orchestrator.tables").joinpath("published.json").read_text("utf-8"))


def values_with(centre: float, std: float, n: int, seed: int) -> list[float]:
    """`n` values whose mean and sample std are exactly these (to rounding)."""
    random = Random(seed)
    raw = [random.gauss(0.0, 1.0) for _ in range(n)]
    middle, spread = mean(raw), deviation(raw)
    assert spread is not None
    return [centre + std * (value - middle) / spread for value in raw]


def row(job: int, *, accuracy: float | None = 93.0, **values: Any) -> ResultRow:
    """One job; finished where it has an accuracy."""
    metrics = dict(values.pop("metrics", {}))
    if accuracy is not None:
        metrics = {"test_accuracy": accuracy, "params": float(VGG19), "shortcuts": 0.0, **metrics}
    given: dict[str, Any] = {
        "study": STUDY,
        "kind": "evaluate",
        "preset": "report",
        "dataset": "cifar10",
        "seed": 0,
        "state": JobState.SUCCEEDED if accuracy is not None else JobState.QUEUED,
        "config": {},
        "metrics": metrics,
    }
    return ResultRow(job=job, **{**given, **values})


def published_rows(n: int = 10) -> list[ResultRow]:
    """Imported per-seed rows that have the means and stds of the report's Table 2."""
    found: list[ResultRow] = []

    def add(kind: str, config: dict[str, Any], wanted: dict[str, dict[str, float | None]]) -> None:
        columns = {
            name: [value["mean"]] * n
            if value["std"] is None
            else values_with(value["mean"] or 0.0, value["std"], n, len(found) + len(name))
            for name, value in wanted.items()
        }
        for seed in range(n):
            metrics = {
                "test_accuracy": columns["test_accuracy"][seed],
                "params": float(VGG19) if config.get("architecture") else columns["params_m"][seed] * 1e6,
                "shortcuts": columns["shortcuts"][seed],
            }
            job = len(found) + 1
            found.append(
                row(job, kind=kind, seed=seed, config=config, metrics=metrics, imported=True, architecture=f"own-{job}")
            )

    for one in PUBLISHED["rows"]:
        numbers = {name: one[name] for name in ("test_accuracy", "params_m", "shortcuts")}
        if one["architecture"] == "vgg19":
            add("evaluate", {"architecture": "vgg19"}, numbers)
            continue
        config = {"method": one["architecture"], "search_epoch": one["epoch"]}
        add("evaluate", config, numbers)
        if one["random_accuracy"] is not None:
            add("random-baseline", config, {**numbers, "test_accuracy": one["random_accuracy"]})
    return found


def study_rows(n: int = 8) -> list[ResultRow]:
    """A whole study with architectures: searches, evaluations, matched random ones, the baseline."""
    found: list[ResultRow] = []
    for method, sizes in (("A", {50: 12, 100: 18, 150: 19}), ("B", {50: 6, 100: 10, 150: 11})):
        searches = []
        for seed in range(n):
            searches.append(len(found) + 1)
            found.append(_trained(len(found) + 1, "search", seed, {"method": method}, None, 90.0, 5200.0))
        for epoch, size in sizes.items():
            for kind in ("evaluate", "random-baseline"):
                for seed in range(n):
                    random = Random(f"{method}{epoch}{kind}{seed}")
                    count = max(0, min(14, size + random.randint(-1, 1)))
                    edges = draw(count, "A" if method == "A" else "B", random)
                    accuracy = 93.3 + 0.04 * count + 0.05 * (kind == "evaluate") + random.gauss(0.0, 0.12)
                    config = {"method": method, "search_epoch": epoch, "search": searches[seed]}
                    found.append(_trained(len(found) + 1, kind, seed, config, edges, accuracy, 130.0))
    for seed in range(n):
        accuracy = 93.03 + Random(f"vgg{seed}").gauss(0.0, 0.1)
        found.append(_trained(len(found) + 1, "evaluate", seed, {"architecture": "vgg19"}, (), accuracy, 120.0))
    return found


def curves(rows: Sequence[ResultRow], epochs: int = 30) -> list[Curve]:
    """Learning curves that end near each row's accuracy; pretrained searches start high."""
    found = []
    for one in rows:
        random = Random(f"curve{one.job}")
        end = one.metrics.get("test_accuracy") or 90.0
        start = 82.0 if one.config.get("pretrained") else 35.0
        points = tuple(
            (
                epoch,
                {
                    "test_accuracy": end - (end - start) * 0.86**epoch + random.gauss(0.0, 0.3),
                    "train_loss": 2.3 * 0.9**epoch + 0.01,
                },
            )
            for epoch in range(1, epochs + 1)
        )
        found.append(Curve(job=one.job, kind=one.kind, seed=one.seed, config=one.config, points=points))
    return found


def spans(rows: Sequence[ResultRow]) -> list[Span]:
    """Attempts on four nodes, some of which failed and were tried again."""
    causes = ("node_failure", "killed", "timeout", "preempted", "gpu_fault")
    start = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    free = dict.fromkeys(("node-a", "node-b", "node-c", "node-d"), start)
    found = []
    for index, one in enumerate(rows):
        attempts = 2 if index % 7 == 3 else 1
        for attempt in range(1, attempts + 1):
            node = min(free, key=lambda name: free[name])
            begun = free[node]
            failed = attempt < attempts
            ended: datetime | None = begun + timedelta(minutes=7 if failed else 20 + index % 5)
            running = index == len(rows) - 1
            found.append(
                Span(
                    job=one.job,
                    kind=one.kind,
                    seed=one.seed,
                    attempt=attempt,
                    execution=f"e0-{one.job:06x}",
                    node=node,
                    started_at=begun,
                    ended_at=None if running else ended,
                    cause=None if running else causes[index // 7 % len(causes)] if failed else "success",
                )
            )
            free[node] = (ended or begun) + timedelta(minutes=1)
    return found


def alpha(method: str, seed: int, strength: float = 1.0) -> list[list[float]]:
    """Gate values (16×16) of a made-up α that prefers some targets."""
    random = Random(f"alpha{method}{seed}")
    raw = [[0.0] * 16 for _ in range(16)]
    for target in range(2, 16):
        for source in range(target - 1):
            raw[source][target] = strength * (random.gauss(0.0, 1.0) + (target - 8) / 6)
    return gates(raw, "A" if method == "A" else "B")


def _trained(
    job: int,
    kind: str,
    seed: int,
    config: dict[str, Any],
    edges: tuple[tuple[int, int], ...] | None,
    accuracy: float,
    seconds: float,
) -> ResultRow:
    metrics = {"params": float(VGG19 + extra_parameters(edges or ())), "shortcuts": float(len(edges or ()))}
    return row(
        job,
        kind=kind,
        seed=seed,
        config=config,
        accuracy=accuracy,
        metrics=metrics,
        edges=edges,
        architecture=None if edges is None else f"{hash(edges) & 0xFFFFFFFF:08x}",
        device_name="made-up GPU",
        code="0.1.0",
        gpu_seconds=seconds,
    )
