"""A context for tests: a job's world in one plain folder, without a store, a worker or signals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.files import now
from jobs.node.checkpoints import Checkpoints
from jobs.node.disks import of_job
from jobs.records import Architecture, MetricLine, Outcome, Spawn, Terms
from jobs.rhythm import Rhythm


@dataclass
class MemoryContext:
    """Keeps in memory what a worker would write. `stop` is asked at every step boundary."""

    config: Any
    folder: Path
    seed: int = 0
    job: int = 1
    device: str = "cpu"
    threads: int = 1
    gpus: int = 0
    data_dir: Path | None = None
    cwd: Path = field(default_factory=Path.cwd)
    options: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[int, Outcome] = field(default_factory=dict)
    input_folders: Mapping[int, Path] = field(default_factory=dict)
    earlier: Sequence[Path] = ()
    """The `checkpoints/` folders of earlier executions."""
    stop: Callable[[], bool] = lambda: False
    every: float = 60.0
    """Seconds between checkpoints at epoch ends; 0 saves at every epoch."""

    lines: list[MetricLine] = field(default_factory=list)
    readies: int = 0
    architecture: Architecture | None = None
    architectures: dict[str, Architecture] = field(default_factory=dict)
    flags: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    rhythms: Sequence[Rhythm] = ()
    rhythm: Rhythm | None = None
    device_name: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    spawned: list[Spawn] = field(default_factory=list)

    terms: Terms = field(default_factory=Terms)

    @property
    def store(self) -> Path:
        return self.folder / ".orch"

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.checkpoints = Checkpoints(self.folder / "checkpoints", self.earlier, every=self.every)
        self.disks = of_job(self.folder, self.cwd)

    def ready(self) -> None:
        self.readies += 1

    def report(self, epoch: int, epochs: int, values: Mapping[str, float | None]) -> None:
        self.lines.append(MetricLine(epoch=epoch, epochs=epochs, at=now(), values=dict(values)))

    def report_lines(self, lines: Sequence[MetricLine]) -> None:
        self.lines.extend(lines)

    def report_later(self, epoch: int, rest: Callable[[], None]) -> None:
        rest()

    def history(self) -> Sequence[MetricLine]:
        return list(self.lines)

    def restore(self, history: Sequence[MetricLine]) -> None:
        self.lines = list(history)

    def keep_rhythm(self, rhythm: Rhythm | None) -> None:
        self.rhythm = rhythm

    def stop_requested(self) -> bool:
        return self.stop()

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

    def spawn(self, jobs: Sequence[Spawn]) -> None:
        self.spawned.extend(jobs)
