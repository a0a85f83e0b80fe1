"""What the simulated SLURM keeps of a job or an array's task: where it is, what runs it, and its accounting records."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from jobs import bundles
from jobs.bundles import BundleLine, Step
from jobs.files import read_lines
from jobs.layout import Layout
from tests.simulation.runners import Runner
from tests.simulation.workers import Ledger, Worker


@dataclass(frozen=True)
class Said:
    """What the accounting says of one run from `since` on."""

    since: float
    state: str
    code: int = 0
    signal: int = 0
    node: str = ""
    who: str = ""


@dataclass
class Run:
    """One record of the accounting: a job's, or one run of a requeued one's."""

    said: list[Said] = field(default_factory=list)

    def at(self, seconds: float) -> Said | None:
        """What it says as of then."""
        return next((said for said in reversed(self.said) if said.since <= seconds), None)


@dataclass
class Task:
    """A job or one task of an array."""

    job: int
    index: int | None
    name: str
    submission: Path
    limit: float
    exclude: frozenset[str]
    layout: Layout
    ledger: Ledger
    state: str = "PENDING"
    reason: str = "None"
    node: str = ""
    code: int = 0
    signal: int = 0
    restarts: int = 0
    begin: float = 0.0
    ended: float | None = None
    in_queue: bool = True
    worker: Worker | Runner | None = None
    again: bool = False
    """It began again after its end."""
    asked: dict[str, str] = field(default_factory=dict)
    """What scontrol calls the rest of its request."""
    runs: list[Run] = field(default_factory=list)
    alone: bool = False
    """No other task of its array runs beside it (--array=0-9%1)."""
    bundle: int = 0
    """So many attempts are its list; 0: it is one attempt's."""

    @property
    def id(self) -> str:
        return str(self.job) if self.index is None else f"{self.job}_{self.index}"

    @property
    def place(self) -> int:
        """The position of its attempt in its submission."""
        return 0 if self.alone else self.index or 0

    def holds(self, position: int, job: int, attempt: int) -> bool:
        """Whether it runs the attempt at that position of its submission, or may yet: of a bundle, only what it was not
        told to leave, and what nobody sent another way."""
        if not self.bundle:
            return self.place == position
        if (self.index or 0) != position // self.bundle:
            return False
        if isinstance(self.worker, Runner) and (self.worker.manifest is not None or not self.worker.alive):
            return self.worker.may_run((job, attempt))
        mark = self.layout.cancel_mark(self.name, self.index or 0, job, attempt)
        if mark.exists() or max(self.layout.attempts(job), default=0) > attempt:
            return False
        files = self.layout.ledgers(self.name, self.index or 0)
        told = bundles.read((restart, list(read_lines(path, BundleLine))) for restart, path in files).standings
        return (job, attempt) not in told or told[job, attempt].step in (Step.STARTED, Step.STOPPED)

    @property
    def live(self) -> bool:
        """Whether the controller still has something to do for it."""
        return self.in_queue and self.ended is None
