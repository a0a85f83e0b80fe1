"""`orch export --to wandb-offline`: runs as W&B keeps them offline, by wandb's own writer; `wandb sync` takes them."""

from __future__ import annotations

import importlib
import math
import os
import shutil
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from orchestrator.tracking.runs import Run, result_name
from orchestrator.tracking.wording import safe, shown

WRITER = "wandb-offline 1"
QUIET = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "WANDB_CONSOLE": "off"}
LONGEST_TAG = 64


class WandbRuns:
    """Curves as history, results as summary, parameters as config, tags as tags; the study is the project."""

    def __init__(self) -> None:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            del os.environ[name]  # a caller's run, folder or mode is none of this one's
        os.environ.update(QUIET)
        self._wandb = importlib.import_module("wandb")

    def path(self, run: Run) -> str:
        return f"wandb/offline-run-{run.accepted_at:%Y%m%d_%H%M%S}-{run.id()}"

    def write(self, run: Run, folder: Path) -> Path:
        """Raises OSError."""
        settings = self._wandb.Settings(
            mode="offline",
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            save_code=False,
            host="orch",
            x_disable_stats=True,
            x_disable_meta=True,
            x_save_requirements=False,
            x_start_time=run.started_at.timestamp(),
        )
        with ExitStack() as stack:
            stack.enter_context(redirect_stdout(StringIO()))
            stack.enter_context(redirect_stderr(StringIO()))
            made = self._wandb.init(
                project=safe(run.study),
                id=run.id(),
                name=run.name,
                group=run.cell[:128] or None,
                job_type=run.tags["experiment"] or run.kind,
                tags=_tags(run),
                notes="\n".join(f"{name}: {said}" for name in sorted(run.results) if (said := run.said(name))) or None,
                config=_config(run),
                dir=str(folder),
                settings=settings,
                reinit="create_new",
            )
            try:
                self._numbers(made, run)
            finally:
                made.finish()
        (found,) = (folder / "wandb").glob(f"offline-run-*-{run.id()}")
        for name in ("logs", "tmp"):  # of this machine, and nothing that is uploaded
            shutil.rmtree(found / name, ignore_errors=True)
        return found

    def _numbers(self, made: Any, run: Run) -> None:
        at = run.accepted_at.timestamp()
        made.define_metric("*", step_metric="epoch")
        for step, (epoch, numbers) in enumerate(_points(run)):
            named = {_name(name): _number(value) for name, value in numbers.items()}
            made.log({"epoch": epoch, "_timestamp": at, **named}, step=step, commit=True)
        taken = run.curves()
        for name, value in run.results.items():
            made.summary[_name(name)] = _number(value)
            made.summary[_name(result_name(name, taken))] = _number(value)

    def close(self) -> None:
        """End wandb's helper process."""
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            self._wandb.teardown()


def _points(run: Run) -> list[tuple[int, dict[str, float | None]]]:
    found: dict[int, dict[str, float | None]] = {}
    for name, points in run.curves().items():
        for epoch, value in points:
            found.setdefault(epoch, {})[name] = value
    return sorted(found.items())


def _config(run: Run) -> dict[str, Any]:
    tags: dict[str, Any] = dict(run.tags)
    units = run.units()
    return {**run.params, "seed": run.seed, "orch": {**tags, **({"units": units} if units else {})}}


def _tags(run: Run) -> list[str]:
    """W&B takes at most 64 signs."""
    told = [f"{name}:{run.tags[name]}" for name in ("study", "experiment", "cell", "generation") if run.tags[name]]
    return [shown(tag[:LONGEST_TAG]) for tag in told]  # type: ignore[misc]


def _name(metric: str) -> str:
    """Names that begin with '_', and epoch, are wandb's and ours."""
    return f"metric{metric}" if metric.startswith("_") else metric


def _number(value: float | None) -> float:
    return math.nan if value is None else value
