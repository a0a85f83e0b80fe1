"""The context of a real worker: what a job says of itself goes to its execution's folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from jobs.errors import DataError
from jobs.files import append_bytes, encode, now, write_bytes, write_json
from jobs.kind import JobKind, kind_named
from jobs.layout import Layout
from jobs.metrics import newest_place
from jobs.node.checkpoints import Checkpoints
from jobs.node.disks import of_job
from jobs.node.stopping import Stop
from jobs.numbers.source import place
from jobs.odd import from_text
from jobs.patience import may_pass, never, patiently, read_patiently, reading
from jobs.records import (
    NO_PLACE,
    Architecture,
    JobFile,
    Manifest,
    MetricLine,
    Outcome,
    Ready,
    Spawn,
    Started,
    Task,
    Terms,
)
from jobs.rhythm import Rhythm


def terms_of(manifest: Manifest, task: Task, job: JobFile) -> Terms:
    """How this attempt is run: as its manifest says, or, where 0.1.0 wrote it, as job.json does."""
    if task.terms is not None:
        return manifest.terms[task.terms]
    return Terms(
        device=job.device, cwd=job.cwd, data_dir=job.data_dir, fingerprint=job.fingerprint, options=job.options
    )


def working_folder(layout: Layout, job: JobFile, terms: Terms) -> Path:
    """Where the job was submitted; a program's folder moves with its project."""
    folder = job.config.get("folder", "") if job.kind == "command" and job.kind_version > 1 else None
    if folder is None:
        return Path(from_text(terms.cwd) or ".")
    return layout.root.parent.resolve() / from_text(str(folder))


class WorkerContext:
    """The real `jobs.node.context.Context`: everything goes to this execution's folder."""

    def __init__(self, layout: Layout, job: JobFile, task: Task, terms: Terms, folder: Path, stop: Stop) -> None:
        self.layout = layout
        self.task = task
        self.terms = terms
        self.store = layout.root
        self.stop = stop
        self.kind: JobKind = kind_named(job.kind)
        self.job = job.id
        self.seed = job.seed
        self.config: Any = msgspec.convert(job.config, self.kind.config)
        self.folder = folder
        none = os.environ.get("CUDA_VISIBLE_DEVICES") == ""  # a slot of a host without GPUs
        wanted = terms.device == "auto" and task.resources.gpus > 0 and not none
        self.device: str = "cuda" if terms.device == "cuda" or wanted else "cpu"
        self.threads = max(1, task.resources.cpus)
        self.gpus = task.resources.gpus
        self.data_dir = Path(from_text(terms.data_dir)) if terms.data_dir else None
        self.cwd = working_folder(layout, job, terms)
        self.options: Mapping[str, Any] = terms.options
        self.input_folders: Mapping[int, Path] = {int(job): layout.runs / path for job, path in task.inputs.items()}
        self.inputs: Mapping[int, Outcome] = self._inputs()
        self.checkpoints = Checkpoints(
            self.folder / "checkpoints",
            earlier_checkpoints(layout, task, folder, self.stop_requested),
            every=float(terms.options.get("checkpoint_every", 60)),
            unwanted=self.stop_requested,
        )
        self.disks = of_job(self.folder, self.cwd)
        self.epoch = -1
        self.device_name = ""
        self.versions: dict[str, str] = {}
        self.rhythms: Sequence[Rhythm] = task.rhythms
        self.rhythm: Rhythm | None = None
        self.flags: dict[str, str] = {}
        self.architecture: Architecture | None = None
        self.architectures: dict[str, Architecture] = {}
        self.state: dict[str, Any] = {}
        self.spawned: tuple[Spawn, ...] = ()
        self._history: list[MetricLine] = []
        self._is_ready = False
        self.rest: Callable[[], None] | None = None
        """Reports the metric lines that the outcome did not wait for."""

    def _inputs(self) -> dict[int, Outcome]:
        found = {}
        for job, folder in self.input_folders.items():
            outcome = read_patiently(folder / "outcome.json", Outcome, self.stop_requested)
            if outcome is None:
                raise DataError(f"the accepted outcome of job {job} is not readable in {self.layout.relative(folder)}")
            found[job] = outcome
        return found

    def ready(self) -> None:
        if not self._is_ready:
            self._is_ready = True
            ready = Ready(at=now(), checkpoint_step=self.checkpoints.resumed_step)
            self._patiently(lambda: write_json(self.folder / "ready.json", ready))

    def report(self, epoch: int, epochs: int, values: Mapping[str, float | None]) -> None:
        where, of = place(epoch), place(epochs)
        line = MetricLine(epoch=NO_PLACE if where is None else where, epochs=of or 0, at=now(), values=dict(values))
        self._history.append(line)
        self.epoch = newest_place([line], self.epoch)
        self._patiently(lambda: self._append([line]))

    def report_lines(self, lines: Sequence[MetricLine]) -> None:
        if lines:
            self._append(lines)
            self.epoch = newest_place(lines, self.epoch)

    def report_later(self, epoch: int, rest: Callable[[], None]) -> None:
        self.epoch = self.epoch if epoch == NO_PLACE else epoch
        earlier = self.rest

        def both() -> None:  # each goes on where it stood, should it be called again
            if earlier is not None:
                earlier()
            rest()

        self.rest = both

    def _append(self, lines: Sequence[MetricLine]) -> None:
        append_bytes(self.folder / "metrics.jsonl", b"".join([encode(line) + b"\n" for line in lines]))

    def _patiently(self, write: Callable[[], None]) -> None:
        """Write while the disk is full or failing, until a stop is asked for: then the job is to hear of that."""
        try:
            patiently(write, unwanted=self.stop_requested)
        except OSError as error:
            if not (may_pass(error) and self.stop_requested()):
                raise

    def history(self) -> Sequence[MetricLine]:
        return tuple(self._history)

    def restore(self, history: Sequence[MetricLine]) -> None:
        self._history = list(history)
        self.epoch = newest_place(history, NO_PLACE)
        text = b"".join(encode(line) + b"\n" for line in history)
        self._patiently(lambda: write_bytes(self.folder / "metrics.jsonl", text))

    def stop_requested(self) -> bool:
        return self.stop.reason is not None

    def keep_architecture(self, architecture: Architecture, *, epoch: int | None = None) -> None:
        if epoch is None:
            self.architecture = architecture
        else:
            self.architectures[str(epoch)] = architecture

    def keep_state(self, state: Mapping[str, Any]) -> None:
        self.state = dict(state)

    def keep_flag(self, name: str, text: str) -> None:
        self.flags[name] = text

    def keep_versions(self, versions: Mapping[str, str], device_name: str) -> None:
        self.versions = dict(versions)
        self.device_name = device_name

    def keep_rhythm(self, rhythm: Rhythm | None) -> None:
        self.rhythm = rhythm

    def spawn(self, jobs: Sequence[Spawn]) -> None:
        self.spawned = tuple(jobs)


def earlier_checkpoints(layout: Layout, task: Task, own: Path, unwanted: Callable[[], bool] = never) -> list[Path]:
    """Checkpoint folders of a job's other executions, of this generation only unless `resume` was asked for; none where
    each of them begins anew.

    Raises OSError where a failing disk hides them: without them the job would begin anew.
    """
    found: list[Path] = []
    if task.anew:
        return found
    for attempt in reading(lambda: layout.attempts(task.job), unwanted):
        for path in reading(partial(layout.executions, task.job, attempt), unwanted):
            if path == own:
                continue
            started = read_patiently(path / "started.json", Started, unwanted)
            same = started is not None and started.generation == task.generation
            if same or (task.resume and started is not None):
                found.append(path / "checkpoints")
    return found
