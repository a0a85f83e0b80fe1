"""`orch export --to mlflow-files`: MLflow's file store, by mlflow's own code; `mlflow ui` and its client read it."""

from __future__ import annotations

import hashlib
import importlib
import math
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from orchestrator.tracking.runs import Run, result_name
from orchestrator.tracking.wording import path_names, shown

T = TypeVar("T")

WRITER = "mlflow-files 1"
NEEDED = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""The file store is kept, and no longer grows: mlflow asks for a word that one means it."""
AT_ONCE = 500
LONGEST_NAME, LONGEST_PARAM, LONGEST_TAG = 200, 500, 5000
"""mlflow's limits, of its older versions too."""
ODD = re.compile(r"[^\w\-./ ]")


class MlflowStore:
    """An experiment for each study; `folder`: where the whole store will lie, for the addresses in it."""

    def __init__(self, folder: Path) -> None:
        os.environ.update(NEEDED)
        self._files: Any = importlib.import_module("mlflow.store.tracking.file_store")
        self._entities: Any = importlib.import_module("mlflow.entities")
        self._folder = folder.resolve()
        self._store: Any = None

    def path(self, run: Run) -> str:
        return f"{_experiment(run)}/{_run_id(run)}"

    def write(self, run: Run, folder: Path) -> Path:
        """Raises OSError."""
        root = folder / "mlruns"
        with self._fixed(run, run.accepted_at):
            if self._store is None:
                self._store = self._files.FileStore(str(root), self._folder.as_uri())
            if not (root / _experiment(run)).is_dir():
                tag = self._entities.ExperimentTag("orch.study", run.study[:LONGEST_TAG])
                self._store._create_experiment_with_id(run.study, _experiment(run), None, [tag])
            self._write(run)
        place = self._folder / _experiment(run)
        if not place.exists():
            runs = [_run_id(run)]
            copy = shutil.copytree(root / _experiment(run), folder / "experiment", ignore=lambda *_: runs)
            copy.rename(place)
        return root / _experiment(run) / _run_id(run)

    def _write(self, run: Run) -> None:
        entities, store = self._entities, self._store
        at, began = (int(one.timestamp() * 1000) for one in (run.accepted_at, run.started_at))
        curves, results = run.curves(), {result_name(name, run.curves()): name for name in run.results}
        metrics = path_names([*curves, *results], ODD, LONGEST_NAME)
        params = path_names([*run.params, "seed"], ODD, LONGEST_NAME)
        store.create_run(_experiment(run), "orch", began, [], run.name)
        values = [
            entities.Metric(metrics[name], _number(value), at, epoch)
            for name, points in curves.items()
            for epoch, value in points
        ] + [entities.Metric(metrics[name], _number(run.results[own]), at, run.last) for name, own in results.items()]
        told = {"seed": run.seed, **run.params}
        tags = {f"orch.{name}": value for name, value in run.tags.items()}
        tags |= {f"orch.unit.{metrics[name]}": unit for name, unit in run.units().items() if name in metrics}
        tags |= {f"orch.name.{written}": name for name, written in {**metrics, **params}.items() if name != written}
        given = [entities.Param(params[name], _cut(str(shown(value)), LONGEST_PARAM)) for name, value in told.items()]
        keys = path_names(tags, ODD, LONGEST_NAME)
        marks = [entities.RunTag(keys[name], _cut(value, LONGEST_TAG)) for name, value in tags.items()]
        for some in _pieces(values, AT_ONCE):
            store.log_batch(_run_id(run), some, [], [])
        for some in _pieces(given, 100):
            store.log_batch(_run_id(run), [], some, [])
        for some in _pieces(marks, 100):
            store.log_batch(_run_id(run), [], [], some)
        store.update_run_info(_run_id(run), entities.RunStatus.FINISHED, at, run.name)

    @contextmanager
    def _fixed(self, run: Run, at: datetime) -> Iterator[None]:
        """mlflow draws ids and asks the clock; here both follow from the result, so that an export can be repeated."""
        files = self._files
        before = files.uuid, files.get_current_time_millis
        files.uuid = SimpleNamespace(uuid4=lambda: SimpleNamespace(hex=_run_id(run)))
        files.get_current_time_millis = lambda: int(at.timestamp() * 1000)
        try:
            yield
        finally:
            files.uuid, files.get_current_time_millis = before

    def close(self) -> None:
        """Nothing is left open."""


def _run_id(run: Run) -> str:
    return hashlib.sha256(run.id().encode()).hexdigest()[:32]


def _experiment(run: Run) -> str:
    """mlflow's own are eighteen digits."""
    return str(int(hashlib.sha256(f"{run.store} {run.study}".encode()).hexdigest()[:16], 16)).zfill(18)[-18:]


def _pieces(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _number(value: float | None) -> float:
    return math.nan if value is None else value
