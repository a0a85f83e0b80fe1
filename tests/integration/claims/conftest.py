"""A study with results, as a person would claim it: nothing here was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from db.entries import Retry
from jobs.words import Cause, JobState
from orchestrator.claims import anchors, records
from orchestrator.claims.making import make
from orchestrator.claims.records import Claim
from orchestrator.claims.verdict import Verdict, judge
from tests.helpers.filled import Filled

BAD = 3
"""The seed that somebody would rather not have."""


@dataclass
class Lab:
    """A store, and what a lab mate sees of it."""

    filled: Filled
    folder: Path

    def run(self, seeds: Sequence[int] = range(5), study: str = "default") -> list[int]:
        """Jobs that have succeeded; the bad seed's number is low."""
        ids = self.filled.submit(seeds=seeds, study=study)
        for job, seed in zip(ids, seeds, strict=True):
            self.succeed(job, seed)
        return ids

    def succeed(self, job: int, seed: int, better: float = 0.0) -> Path:
        accuracy = (71.5 if seed == BAD else 90.25 + seed) + better
        folder = self.filled.succeed(job, {"test_accuracy": accuracy, "params": 1e6, "shortcuts": 7.0})
        self.filled.epochs(folder, [{"test_accuracy": accuracy - 1}, {"test_accuracy": accuracy}], of=2)
        return folder

    def running(self, job: int, accuracy: float) -> Path:
        """It runs, and is at epoch 290 of 300."""
        self.filled.dispatch(job)
        folder = self.filled.start(job)
        self.filled.epochs(folder, [{"test_accuracy": accuracy}] * 290, of=300, seconds=0.01)
        return folder

    def resubmitted(self, job: int) -> None:
        self.filled.dispatch(job)
        self.filled.start(job)
        self.filled.end(job, Cause.NODE_FAILURE, JobState.QUEUED)

    def retry(self, job: int) -> None:
        with self.filled.store.write() as writer:
            writer.decide([Retry(jobs=(job,), succeeded=True, at=self.filled.tick())])

    def claim(self, study: str = "default", name: str = "t.claim") -> Path:
        path = self.folder / name
        path.write_bytes(records.pack(records.encode(make(self.filled.store, study))))
        return path

    def verdict(self, study: str = "default", against: str | None = None) -> Verdict:
        """Of a claim that is made now, by its file alone."""
        claim, data = records.load(self.claim(study))
        found = judge(claim, data)
        if against is not None:
            found.findings += anchors.compare(claim, anchors.read(against))
        return found

    def loaded(self, study: str = "default") -> Claim:
        return records.load(self.claim(study))[0]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Filled.make(tmp_path / ".orch"), tmp_path)
