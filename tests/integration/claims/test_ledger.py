"""The claim's ledger and the store's rows are two readings of one journal: whatever happened, they agree."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import jobs, journal, results
from db.entries import Correct, CorrectedResult, Drop, Ended, Entry, Keep, Retry
from jobs.metrics import RULE
from jobs.words import Cause, JobState
from orchestrator.claims.ledger import END, fold, stands
from tests.helpers.filled import Filled

STUDIES = ("a", "b")
ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
Step = tuple[str, int, int]


class History:
    """A store to which anything happens that can happen by its rules."""

    def __init__(self, folder: Path) -> None:
        self.filled = Filled.make(folder / ".orch")
        self.asked: dict[tuple[str, int, int], int] = {}
        """(study, epochs, seed) that was ever asked for → its job."""

    def step(self, what: str, which: int, seed: int) -> None:
        getattr(self, f"_{what}")(which, seed)

    def _one(self, which: int, states: tuple[JobState, ...]) -> jobs.StoredJob | None:
        with self.filled.store.read() as connection:
            found = [job for job in jobs.select(connection) if job.state in states]
        return found[which % len(found)] if found else None

    def _decide(self, make: Callable[[int], Entry], which: int, states: tuple[JobState, ...]) -> None:
        job = self._one(which, states)
        if job is not None:
            with self.filled.store.write() as writer:
                writer.decide([make(job.id)])

    def _submit(self, which: int, seed: int) -> None:
        study, epochs = STUDIES[which % 2], 5 + which % 3
        (job,) = self.filled.submit(seeds=[seed], study=study, values={"epochs": epochs})
        assert self.asked.setdefault((study, epochs, seed), job) == job

    def _succeed(self, which: int, seed: int) -> None:
        job = self._one(which, (JobState.QUEUED,))
        if job is not None:
            self.filled.succeed(job.id, {"test_accuracy": 50.0 + seed, "params": 1e6})

    def _node_failure(self, which: int, seed: int) -> None:
        self._ends(which, Cause.NODE_FAILURE, JobState.QUEUED)

    def _error(self, which: int, seed: int) -> None:
        self._ends(which, Cause.ERROR, JobState.FAILED)

    def _ends(self, which: int, cause: Cause, then: JobState) -> None:
        job = self._one(which, (JobState.QUEUED,))
        if job is not None:
            self.filled.dispatch(job.id)
            self.filled.start(job.id)
            self.filled.end(job.id, cause, then, error="boom" if then is JobState.FAILED else None)

    def _cancel(self, which: int, seed: int) -> None:
        job = self._one(which, (JobState.QUEUED,))
        if job is not None:
            if seed % 2:  # while it runs
                self.filled.dispatch(job.id)
                self.filled.start(job.id)
            self.filled.cancel(job.id)
            if seed % 2:
                self._late(job.id)

    def _late(self, job: int) -> None:
        """Its attempt is told to have ended, after it was cancelled."""
        at = self.filled.tick()
        ended = Ended(job=job, attempt=self._attempts(job), cause=Cause.CANCELLED, then="cancelled", at=at)
        with self.filled.store.write() as writer:
            writer.decide([ended])
            self.filled._gone(writer.connection, job)

    def _attempts(self, job: int) -> int:
        with self.filled.store.read() as connection:
            return jobs.get(connection, job).attempts

    def _retry(self, which: int, seed: int) -> None:
        at, succeeded = self.filled.tick(), bool(seed % 2)
        self._decide(
            lambda job: Retry(jobs=(job,), succeeded=succeeded, at=at), which, ENDED if succeeded else ENDED[1:]
        )

    def _drop(self, which: int, seed: int) -> None:
        at = self.filled.tick()
        self._decide(lambda job: Drop(jobs=(job,), because=f"reason {seed}", at=at), which, ENDED)

    def _keep(self, which: int, seed: int) -> None:
        at = self.filled.tick()
        self._decide(lambda job: Keep(jobs=(job,), at=at), which, ENDED)

    def _correct(self, which: int, seed: int) -> None:
        at, numbers = self.filled.tick(), {"test_accuracy": 10.0 + seed, "params": 1e6}
        entry = lambda job: Correct(results=(CorrectedResult(job, numbers, {}),), rule=RULE, at=at)  # noqa: E731
        self._decide(entry, which, (JobState.SUCCEEDED,))

    def agree(self) -> None:
        folder = self.filled.store.layout.journal
        entries = [(n, one) for n in journal.numbers(folder)[0] for one in journal.read(journal.path_of(folder, n))]
        ledger = fold(entries)
        found = {}
        with self.filled.store.read() as connection:
            for study in STUDIES:
                for row in results.rows(connection, study, cancelled=True, dropped=True):
                    found[row.job] = row
        assert set(ledger.jobs) == set(found) == set(self.asked.values())
        for (study, epochs, seed), job in self.asked.items():
            mine, row = ledger.jobs[job], found[job]
            assert (mine.study, mine.seed, mine.config["epochs"]) == (study, seed, epochs) == (
                row.study, row.seed, row.config["epochs"],
            )  # fmt: skip
            assert mine.state == stands(row.state), (job, mine.events)
            assert dict(mine.metrics or {}) == dict(row.metrics), (job, mine.events)
            assert mine.dropped == row.dropped
            if row.state in ENDED[1:]:
                assert mine.events, "what has no number has an entry that says why"
            assert (row.superseded is not None) <= any(one.what == "superseded" for one in mine.events)
        assert set(END) == {str(state) for state in ENDED}


STEPS = (
    "submit",
    "submit",
    "succeed",
    "succeed",
    "node_failure",
    "error",
    "cancel",
    "retry",
    "drop",
    "keep",
    "correct",
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5), st.integers(0, 3)), min_size=4, max_size=30))
def test_the_ledger_of_every_seed_ever_asked_for_agrees_with_the_store(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory(prefix="ledger-", dir="/dev/shm") as folder:
        history = History(Path(folder))
        for step in [("submit", 0, 0), *steps]:
            history.step(*step)
        history.agree()
