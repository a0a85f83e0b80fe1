"""What a job sees while it runs: its config and seed, its own folder, metrics, checkpoints, and whether to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jobs.records import Architecture, MetricLine, Outcome, Spawn, Terms
from jobs.rhythm import Rhythm

if TYPE_CHECKING:
    from jobs.node.checkpoints import Checkpoints
    from jobs.node.disks import Disks


class Interrupted(BaseException):
    """Raised at a step boundary after a stop was asked for and the checkpoint was saved.

    A BaseException, so that a job's own `except Exception` never swallows it.
    """


class Context(Protocol):
    """Given to a kind's `run`. Everything is in this execution's own folder; nothing here touches the database."""

    job: int
    seed: int
    config: Any
    """The kind's typed config."""
    folder: Path
    """This execution's folder."""
    device: str
    """'cpu' or 'cuda' as asked and given; `auto` is already resolved from what was given (GPUs or none)."""
    threads: int
    """CPU threads that belong to this job: set torch's to this."""
    gpus: int
    """GPUs of each of its nodes."""
    data_dir: Path | None
    cwd: Path
    options: Mapping[str, Any]
    inputs: Mapping[int, Outcome]
    """Accepted outcomes of the jobs this one needs (one that failed is absent)."""
    input_folders: Mapping[int, Path]
    """The executions that wrote them."""
    checkpoints: Checkpoints
    disks: Disks
    terms: Terms
    """How this attempt is run: its code and its environment."""
    store: Path
    """The store's folder."""
    rhythms: Sequence[Rhythm]
    """What was learnt of earlier executions of the same config."""

    def ready(self) -> None:
        """Say once that the data is loaded and the first step is done."""

    def report(self, epoch: int, epochs: int, values: Mapping[str, float | None]) -> None:
        """Append the numbers of one finished epoch (1-based)."""

    def report_lines(self, lines: Sequence[MetricLine]) -> None:
        """Append many lines at once, which no checkpoint is to carry. Raises OSError, and nothing was written then."""

    def report_later(self, epoch: int, rest: Callable[[], None]) -> None:
        """`rest` reports more lines, the last one of `epoch`; it is called once the outcome is written."""

    def history(self) -> Sequence[MetricLine]:
        """The whole metric history of this execution, restored lines included: what a checkpoint carries."""

    def restore(self, history: Sequence[MetricLine]) -> None:
        """Begin with the history of the checkpoint that was resumed."""

    def stop_requested(self) -> bool:
        """Whether to save a checkpoint at this step boundary and raise `Interrupted` (cheap; ask every step)."""

    def keep_architecture(self, architecture: Architecture, *, epoch: int | None = None) -> None:
        """The architecture of the outcome; with `epoch`, one of several read-outs."""

    def keep_state(self, state: Mapping[str, Any]) -> None:
        """JSON data that a later job reads from `inputs[...].state`."""

    def keep_flag(self, name: str, text: str) -> None:
        """A remark that tables show as a footnote."""

    def keep_versions(self, versions: Mapping[str, str], device_name: str) -> None:
        """What the work ran on (torch's version, the GPU's name)."""

    def keep_rhythm(self, rhythm: Rhythm | None) -> None:
        """How often it gave a sign of life."""

    def spawn(self, jobs: Sequence[Spawn]) -> None:
        """Ask for further jobs, enqueued when this outcome is accepted."""
