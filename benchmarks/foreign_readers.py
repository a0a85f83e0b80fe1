"""`make foreign-readers`: what MLflow's client and wandb's DataStore read of `orch export --to`, against the store.

    python -m benchmarks.foreign_readers WRITERS READER

WRITERS: a virtual environment with mlflow-skinny and wandb, READER: one with a wandb that still has DataStore.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from db.entries import Drop
from tests.helpers.filled import Filled

ORCH = ["-m", "orchestrator.cli.main"]
ODD = {"val/acc": 91.5, "MAP@5": 0.25, "α β": 3.0, "loss": 1.0, "loss/sub": 2.0, "_odd": 4.0}
MLFLOW = """
import json, sys
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1])
found = []
for experiment in client.search_experiments():
    for run in client.search_runs([experiment.experiment_id]):
        history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
        curves = {name: [(one.step, one.value) for one in points] for name, points in history.items()}
        found.append({"experiment": experiment.name, "curves": curves, "params": run.data.params, "tags": run.data.tags,
                      "metrics": run.data.metrics, "status": run.info.status})
print(json.dumps(found))
"""
WANDB = """
import glob, json, sys
from wandb.proto import wandb_internal_pb2
from wandb.sdk.internal.datastore import DataStore
def items(given):
    return {one.key or one.nested_key[0]: json.loads(one.value_json) for one in given}
found = []
for path in sorted(glob.glob(sys.argv[1] + "/wandb/offline-run-*/run-*.wandb")):
    run = {"history": [], "summary": {}, "config": {}}
    store = DataStore()
    store.open_for_scan(path)
    while (data := store.scan_data()) is not None:
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run |= {"project": record.run.project, "tags": list(record.run.tags), "id": record.run.run_id}
            run["config"] = items(record.run.config.update)
        if kind == "history":
            run["history"].append(items(record.history.item))
        if kind == "summary":
            run["summary"] |= items(record.summary.update)
    found.append(run)
print(json.dumps(found))
"""


def study(root: Path) -> Filled:
    """Jobs 1 and 2 with curves of 1500 epochs, and one that still waits."""
    filled = Filled.make(root)
    ids = filled.submit("random-baseline", range(3))
    for job in ids[:2]:
        folder = filled.succeed(job, {**ODD, "only": 1.5})
        lines = [{**ODD, "val/acc": math.nan if epoch == 2 else epoch + 0.5} for epoch in range(1, 1501)]
        filled.epochs(folder, lines)
    return filled


def export(writers: Path, filled: Filled, to: str, folder: Path) -> str:
    """As a person types it; what it says."""
    packages = next((writers / "lib").glob("python3*")) / "site-packages"
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parents[1]}:{packages}"}
    words = [sys.executable, *ORCH, "export", "--to", to, str(folder), "--store", str(filled.store.root)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[0]


def read(reader: Path, program: str, folder: Path) -> list[dict[str, Any]]:
    environment = {**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true", "PYTHONPATH": ""}
    words = [str(reader / "bin" / "python"), "-W", "ignore", "-c", program, str(folder)]
    found: list[dict[str, Any]] = json.loads(
        subprocess.run(words, env=environment, capture_output=True, check=True).stdout
    )
    return found


def check_mlflow(runs: list[dict[str, Any]], n: int) -> int:
    """How many points came back; AssertionError for a wrong one."""
    assert len(runs) == n, len(runs)
    points = 0
    for run in runs:
        written = {
            tag.removeprefix("orch.name."): name for tag, name in run["tags"].items() if tag.startswith("orch.name.")
        }
        curves = {written.get(name, name): curve for name, curve in run["curves"].items()}
        assert run["experiment"] == run["tags"]["orch.study"] == "default" and run["status"] == "FINISHED"
        assert run["tags"]["orch.generation"] == "1" and run["params"]["seed"] == run["tags"]["orch.seed"]
        for name, value in {**ODD, "only": 1.5}.items():
            assert curves.pop(f"result/{name}") == [[1500, value]], name
        assert curves.pop("only") == [[1500, 1.5]]
        accuracy = curves.pop("val/acc")
        assert math.isnan(accuracy[1][1]) and accuracy[2:] == [[epoch, epoch + 0.5] for epoch in range(3, 1501)]
        for name in ODD.keys() - {"val/acc"}:
            assert curves[name] == [[epoch, ODD[name]] for epoch in range(1, 1501)], name
        assert curves.keys() == ODD.keys() - {"val/acc"}
        points += 1500 * len(ODD)
    return points


def check_wandb(runs: list[dict[str, Any]], n: int) -> int:
    """The same."""
    assert len(runs) == n and len({run["id"] for run in runs}) == n, len(runs)
    for run in runs:
        assert run["project"] == "default" and {"study:default", "generation:1"} <= set(run["tags"])
        assert str(run["config"]["seed"]) == run["config"]["orch"]["seed"]
        for name, value in {**ODD, "only": 1.5}.items():
            assert run["summary"][f"metric{name}" if name == "_odd" else name] == value, name
            assert run["summary"][f"result/{name}"] == value, name
        assert [line["epoch"] for line in run["history"]] == list(range(1, 1501))
        for line in run["history"]:
            accuracy, epoch = line["val/acc"], line["epoch"]
            assert math.isnan(accuracy) if epoch == 2 else accuracy == epoch + 0.5, line
            assert all(
                line[f"metric{name}" if name == "_odd" else name] == ODD[name] for name in ODD if name != "val/acc"
            )
    return sum(len(run["history"]) * len(ODD) for run in runs)


def main(writers: Path, reader: Path) -> None:
    """Export twice, read, drop one, export and read again."""
    with tempfile.TemporaryDirectory() as made:
        filled = study(Path(made) / ".orch")
        places = {"mlflow-files": (writers, MLFLOW, check_mlflow), "wandb-offline": (reader, WANDB, check_wandb)}
        for to, (by, program, check) in places.items():
            folder = Path(made) / to
            said = [export(writers, filled, to, folder) for _ in range(2)]
            assert said[0].startswith("wrote 2 runs") and said[1].startswith("wrote 0 runs, 2 were there already"), said
            print(f"{to}: {check(read(by, program, folder), 2)} points in 2 runs read back, all right", flush=True)
        with filled.store.write() as writer:
            writer.decide([Drop(jobs=(1,), because="odd", at=filled.tick())])
        for to, (by, program, check) in places.items():
            said = [export(writers, filled, to, Path(made) / to)]
            assert "1 run taken away" in said[0], said
            check(read(by, program, Path(made) / to), 1)
            print(f"{to}: the dropped one is gone", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
