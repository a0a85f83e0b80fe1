"""`orch export --to tensorboard`: one folder of event files for each run, by tensorboard's own writer."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

from orchestrator.tracking.runs import Run, result_name
from orchestrator.tracking.wording import safe, shown

WRITER = "tensorboard 1"
"""Changed where the files change, so that what lies there is written anew."""
SESSION = "_hparams_/session_start_info"


class EventFiles:
    """Scalars by name, results as `result/NAME`, parameters and tags for the HParams page."""

    def path(self, run: Run) -> str:
        return f"{safe(run.study)}/job-{run.job}-seed-{run.seed}"

    def write(self, run: Run, folder: Path) -> Path:
        """Raises OSError."""
        records = importlib.import_module("tensorboard.summary.writer.record_writer")
        events = importlib.import_module("tensorboard.compat.proto.event_pb2")
        made = folder / "run"
        made.mkdir()
        at = run.accepted_at.timestamp()
        name = f"events.out.tfevents.{int(at):010d}.orch.{run.job}.{run.generation}"
        with (made / name).open("wb") as handle:
            writer = records.RecordWriter(handle)

            def add(**content: Any) -> None:
                writer.write(events.Event(wall_time=at, **content).SerializeToString(deterministic=True))

            add(file_version="brain.Event:2")
            add(summary=_session(run))
            curves = run.curves()
            for metric in sorted(curves):
                for epoch, value in curves[metric]:
                    add(step=epoch, summary=_scalar(metric, value, run.said(metric)))
            for metric, value in sorted(run.results.items()):
                add(step=run.last, summary=_scalar(result_name(metric, curves), value, run.said(metric)))
        return made

    def close(self) -> None:
        """Nothing is left open."""


def _scalar(name: str, value: float | None, said: str) -> Any:
    summaries = importlib.import_module("tensorboard.compat.proto.summary_pb2")
    plugin = importlib.import_module("tensorboard.plugins.scalar.metadata")
    metadata = plugin.create_summary_metadata(display_name="", description=said)
    number = math.nan if value is None else value
    return summaries.Summary(value=[summaries.Summary.Value(tag=name, simple_value=number, metadata=metadata)])


def _session(run: Run) -> Any:
    """What the HParams page groups and sorts by: parameters and the seed as they are, tags behind `orch.`."""
    summary = importlib.import_module("tensorboard.plugins.hparams.summary_v2")
    found: dict[str, Any] = {f"orch.{name}": value for name, value in run.tags.items() if name != "seed"}
    found |= {f"orch.unit.{name}": unit for name, unit in run.units().items()}
    found |= {"seed": run.seed, **{name: shown(value) for name, value in run.params.items()}}
    return summary.hparams_pb(found, trial_id=run.id(), start_time_secs=run.started_at.timestamp())
