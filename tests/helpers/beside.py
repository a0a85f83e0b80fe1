"""The store of a state machine, the model beside it, and what must hold of both after every step."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from db import attempts, jobs
from db.entries import Entry
from db.store import Store
from jobs.words import JobState
from tests.helpers.model import Model, empty_store, everything
from tests.helpers.story import tells

S = JobState


class Beside(RuleBasedStateMachine):
    """The store, the model beside it, and what must hold of both. The rules that change them are its subclass's."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="orch-machine-"))
        shutil.copytree(empty_store(), self.folder / ".orch")
        self.store = Store(self.folder / ".orch")
        self.jobs: dict[int, Model] = {}
        self.keys: dict[str, int] = {}
        self.at = datetime(2026, 1, 1, tzinfo=UTC)
        self.tokens = 0

    def teardown(self) -> None:
        self.rebuilt_is_the_same()
        shutil.rmtree(self.folder)

    def tick(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def decide(self, *entries: Entry) -> None:
        with self.store.write() as writer:
            writer.decide(entries)

    def one(self, data: st.DataObject, *states: JobState) -> int:
        found = [job for job, model in self.jobs.items() if not states or model.state in states]
        return data.draw(st.sampled_from(found), label="job")

    def any_in(self, *states: JobState) -> bool:
        return any(model.state in states for model in self.jobs.values())

    # ---- what must hold

    @invariant()
    @tells
    def the_store_is_the_model(self) -> None:
        with self.store.read() as connection:
            stored = {job.id: job for job in jobs.select(connection)}
            assert {job: (s.state, s.generation, s.attempts, s.needs) for job, s in stored.items()} == {
                job: (m.state, m.generation, len(m.tries), m.needs) for job, m in self.jobs.items()
            }
            tries: dict[int, list[tuple[int, bool, bool]]] = {job: [] for job in self.jobs}
            for attempt in attempts.everything(connection):
                tries[attempt.job].append((attempt.generation, attempt.state != "ended", attempt.doomed))
            assert tries == {
                job: [(one.generation, one.live, one.doomed) for one in model.tries] for job, model in self.jobs.items()
            }
            assert jobs.blocked(connection) == self.blocked()
            assert {job: s.dropped for job, s in stored.items()} == {job: m.dropped for job, m in self.jobs.items()}
            earlier = connection.exec_driver_sql("SELECT job_id, count(*) FROM earlier_result GROUP BY 1").all()
            assert dict(tuple(row) for row in earlier) == {job: m.earlier for job, m in self.jobs.items() if m.earlier}

    def blocked(self) -> dict[int, list[int]]:
        """Waiting job → the failed or cancelled jobs at the end of its chains."""

        def roots(job: int) -> set[int]:
            found: set[int] = set()
            for need in self.jobs[job].needs:
                state = self.jobs[need].state
                if state is S.CANCELLED or (state is S.FAILED and not self.jobs[job].tolerant):
                    found.add(need)
                elif state is S.WAITING:
                    found |= roots(need)
            return found

        return {j: sorted(r) for j, m in sorted(self.jobs.items()) if m.state is S.WAITING and (r := roots(j))}

    @invariant()
    @tells
    def one_result_and_one_live_attempt(self) -> None:
        with self.store.read() as connection:
            results = connection.exec_driver_sql(
                "SELECT r.job_id, a.number, e.name FROM result r LEFT JOIN execution e ON e.id = r.execution_id "
                "LEFT JOIN attempt a ON a.id = e.attempt_id"
            ).all()
            assert {row[0]: (row[1], row[2]) for row in results} == {
                job: model.accepted or (None, None) for job, model in self.jobs.items() if model.state is S.SUCCEEDED
            }
            live = connection.exec_driver_sql("SELECT job_id FROM attempt WHERE state != 'ended'").scalars().all()
            assert sorted(live) == sorted(j for j, m in self.jobs.items() if m.state in (S.SUBMITTED, S.RUNNING))

    @invariant()
    @tells
    def kept_counts_equal_counted_ones(self) -> None:
        with self.store.read() as connection:
            kept = connection.exec_driver_sql("SELECT * FROM job_count WHERE n != 0 ORDER BY 1, 2, 3").all()
            counted = connection.exec_driver_sql(
                "SELECT study_id, kind, state, count(*) FROM job GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            ).all()
            assert kept == counted

    @invariant()
    @tells
    def every_change_has_its_event(self) -> None:
        with self.store.read() as connection:
            told: dict[int, str | None] = {}
            for job, before, after in connection.exec_driver_sql("SELECT job_id, before, after FROM event ORDER BY id"):
                assert told.get(job) == before
                told[job] = after
            assert told == {job: model.state.value for job, model in self.jobs.items()}

    @tells
    def rebuilt_is_the_same(self) -> None:
        """From the journal alone. What only the machines say (submitted or running) is learnt from them again."""
        other = self.folder / "other"
        shutil.copytree(empty_store(), other)
        shutil.copytree(self.store.layout.journal, other / "runs" / "journal", dirs_exist_ok=True)
        rebuilt = Store(other)
        rebuilt.catch_up()
        with self.store.read() as before, rebuilt.read() as after:
            assert everything(before) == everything(after)
