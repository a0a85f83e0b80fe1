"""A model of jobs beside the real store: whatever is decided, in whatever order, both say the same, rebuilt too."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from db import attempts, jobs
from db.entries import (
    Accepted,
    Cancel,
    Dispatch,
    DispatchedTask,
    Ended,
    Entry,
    Import,
    ImportedResult,
    Launching,
    Retry,
    Template,
)
from db.jobs import Wanted
from db.store import Store
from jobs.records import Architecture, Started
from jobs.words import TRANSITIONS, Cause, JobState

S = JobState
OPEN = (S.QUEUED, S.SUBMITTED, S.RUNNING, S.FAILED)
FAILURES = [Cause.NODE_FAILURE, Cause.KILLED, Cause.LOST, Cause.ERROR, Cause.TIMEOUT]


@dataclass
class Try:
    generation: int
    live: bool = True
    doomed: bool = False


@dataclass
class Model:
    """What a job must be."""

    state: JobState
    needs: tuple[int, ...] = ()
    tolerant: bool = False
    generation: int = 1
    tries: list[Try] = field(default_factory=list)
    accepted: tuple[int, str] | None = None
    imported: bool = False

    def end(self, *, doomed: bool) -> None:
        """Its live attempt ends; `doomed`: the machines may still have it."""
        for one in self.tries:
            if one.live:
                one.live, one.doomed = False, doomed


@cache
def empty_store() -> Path:
    """Made once: a migration costs more than all that follows."""
    folder = Path(tempfile.mkdtemp(prefix="orch-machine-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    root = folder / ".orch"
    Store(root, create=True)
    return root


class Machine(RuleBasedStateMachine):
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

    # ---- the model's own rules

    def met(self, model: Model) -> bool:
        return all(
            self.jobs[need].state is S.SUCCEEDED or (model.tolerant and self.jobs[need].state is S.FAILED)
            for need in model.needs
        )

    def release(self) -> None:
        for model in self.jobs.values():
            if model.state is S.WAITING and self.met(model):
                model.state = S.QUEUED

    # ---- what people and orch decide

    @rule(
        data=st.data(), seeds=st.sets(st.integers(0, 3), min_size=1), name=st.sampled_from("ab"), tolerant=st.booleans()
    )
    def submit(self, data: st.DataObject, seeds: set[int], name: str, tolerant: bool) -> None:
        needs = tuple(sorted(data.draw(st.sets(st.sampled_from(sorted(self.jobs)), max_size=2)))) if self.jobs else ()
        template = Template(kind="command", kind_version=1, preset="demo", config={"argv": ["x"], "name": name})
        wanted = [
            Wanted(template=0, seed=seed, key=f"{name}/{seed}", needs=needs, tolerant=tolerant)
            for seed in sorted(seeds)
        ]
        with self.store.write() as writer:
            found = jobs.ensure(writer, "study", [template], wanted, self.tick())
        for item, job in zip(wanted, found.ids, strict=True):
            assert (item.key in self.keys) == (job in found.existing)
            if item.key not in self.keys:
                model = Model(state=S.WAITING, needs=needs, tolerant=tolerant)
                self.jobs[job], self.keys[item.key] = model, job
                model.state = S.QUEUED if self.met(model) else S.WAITING
            assert self.keys[item.key] == job

    @rule(seed=st.integers(0, 3))
    def bring_in(self, seed: int) -> None:
        key = f"imported/{seed}"
        if key in self.keys:
            return
        with self.store.read() as connection:
            job = jobs.next_id(connection)
        template = Template(kind="evaluate", kind_version=1, preset="report", config={}, launching=Launching())
        result = ImportedResult(job, 0, seed, key, {"test_accuracy": 90.0 + seed}, Architecture(edges=((0, 2),)))
        self.decide(Import(study="study", source="f.csv", templates=(template,), results=(result,), at=self.tick()))
        self.jobs[job] = Model(state=S.SUCCEEDED, imported=True)
        self.keys[key] = job

    @precondition(lambda self: self.any_in(S.QUEUED))
    @rule(data=st.data())
    def dispatch(self, data: st.DataObject) -> None:
        """One to three jobs in one submission."""
        queued = [job for job, model in self.jobs.items() if model.state is S.QUEUED]
        chosen = data.draw(st.lists(st.sampled_from(queued), min_size=1, max_size=3, unique=True))
        tasks = tuple(DispatchedTask(j, len(self.jobs[j].tries) + 1, self.jobs[j].generation) for j in chosen)
        self.tokens += 1
        self.decide(Dispatch(token=f"orch-{self.tokens}", backend="local", tasks=tasks, at=self.tick()))
        for job in chosen:
            self.jobs[job].state = S.SUBMITTED
            self.jobs[job].tries.append(Try(self.jobs[job].generation))

    @precondition(lambda self: self.any_in(S.SUBMITTED, S.RUNNING))
    @rule(data=st.data(), running=st.booleans())
    def start_or_requeue(self, data: st.DataObject, running: bool) -> None:
        job = self.one(data, S.SUBMITTED, S.RUNNING)
        with self.store.write() as writer:
            row = attempts.of_job(writer.connection, job)[-1].id
            (attempts.set_running if running else attempts.set_submitted)(writer.connection, row, self.tick())
        self.jobs[job].state = S.RUNNING if running else S.SUBMITTED

    @precondition(lambda self: self.any_in(S.SUBMITTED, S.RUNNING))
    @rule(data=st.data(), cause=st.sampled_from(FAILURES), fails=st.booleans(), launched=st.booleans())
    def end(self, data: st.DataObject, cause: Cause, fails: bool, launched: bool) -> None:
        job = self.one(data, S.SUBMITTED, S.RUNNING)
        model = self.jobs[job]
        at = self.tick()
        self.decide(
            Ended(
                job=job,
                attempt=len(model.tries),
                cause=cause,
                then=(S.FAILED if fails else S.QUEUED).value,
                not_before=None if fails else at + timedelta(seconds=60),
                launched=launched,
                error="it went wrong" if fails else None,
                at=at,
            )
        )
        model.end(doomed=launched)
        model.state = S.FAILED if fails else S.QUEUED
        if fails:
            self.release()

    def accepted(self, job: int, number: int, generation: int) -> Accepted:
        self.tokens += 1
        started = Started(
            job=job,
            attempt=number,
            generation=generation,
            token="orch-x",
            index=0,
            restart=0,
            node="n",
            host="n",
            pid=1,
            process_start=0.0,
            boot_id="b",
            at=self.at,
        )
        return Accepted(
            job=job,
            attempt=number,
            execution=f"e0-{self.tokens:06x}",
            generation=generation,
            started=started,
            metrics={"test_accuracy": 80.0 + job},
            at=self.tick(),
        )

    @precondition(lambda self: any(model.tries for model in self.jobs.values()))
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        """Any attempt at all, the newest or an old one given up for lost, live or ended, of this generation or not."""
        job = data.draw(st.sampled_from([job for job, model in self.jobs.items() if model.tries]))
        model = self.jobs[job]
        number = data.draw(st.integers(1, len(model.tries)), label="attempt")
        entry = self.accepted(job, number, model.tries[number - 1].generation)
        if model.state not in OPEN or model.tries[number - 1].generation != model.generation:
            with pytest.raises(IntegrityError):
                self.decide(entry)
            return
        self.decide(entry)
        model.end(doomed=True)
        model.state, model.accepted = S.SUCCEEDED, (number, entry.execution)
        self.release()

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.jobs)), min_size=1, max_size=3, unique=True))
        self.decide(Cancel(jobs=tuple(chosen), at=self.tick()))
        for job in chosen:
            model = self.jobs[job]
            if model.state in (S.WAITING, S.QUEUED, S.SUBMITTED, S.RUNNING):
                model.state = S.CANCELLED
                model.end(doomed=True)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), resume=st.booleans())
    def retry(self, data: st.DataObject, resume: bool) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.jobs)), min_size=1, max_size=3, unique=True))
        self.decide(Retry(jobs=tuple(chosen), resume=resume, at=self.tick()))
        for job in chosen:
            model = self.jobs[job]
            if model.state in (S.FAILED, S.CANCELLED):
                model.generation += 1
                model.state = S.QUEUED if self.met(model) else S.WAITING

    # ---- what must be refused, and what may be cut off

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), after=st.sampled_from(list(JobState)))
    def wrong_transition(self, data: st.DataObject, after: JobState) -> None:
        """By plain SQL: even an allowed pair needs its attempt, its result or its generation."""
        job = self.one(data)
        before = self.jobs[job].state
        if before is after or {before, after} == {S.SUBMITTED, S.RUNNING}:
            return
        ends = after in (S.QUEUED, S.CANCELLED, S.FAILED) and not any(one.live for one in self.jobs[job].tries)
        if after in TRANSITIONS[before] and ends and before not in (S.FAILED, S.CANCELLED):
            return
        with pytest.raises(IntegrityError), self.store.write() as writer:
            writer.connection.exec_driver_sql("UPDATE job SET state = ? WHERE id = ?", (after.value, job))

    @precondition(lambda self: self.any_in(S.WAITING, S.SUBMITTED, S.RUNNING, S.SUCCEEDED, S.FAILED, S.CANCELLED))
    @rule(data=st.data())
    def wrong_dispatch(self, data: st.DataObject) -> None:
        job = self.one(data, *(set(S) - {S.QUEUED}))
        task = DispatchedTask(job, len(self.jobs[job].tries) + 1, self.jobs[job].generation)
        with pytest.raises(IntegrityError):
            self.decide(Dispatch(token="orch-wrong", backend="local", tasks=(task,), at=self.tick()))

    @precondition(lambda self: self.any_in(S.WAITING, S.QUEUED, S.SUBMITTED, S.RUNNING))
    @rule(data=st.data())
    def cancel_and_be_killed_before_the_commit(self, data: st.DataObject) -> None:
        """The journal has it: it is done as soon as anybody writes again."""
        job = self.one(data, S.WAITING, S.QUEUED, S.SUBMITTED, S.RUNNING)

        def killed(store: Store, connection: Connection) -> None:
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Store, "_commit", killed)
            patch.setattr(Store, "_take_back", lambda store, number: None)
            with pytest.raises(KeyboardInterrupt):
                self.decide(Cancel(jobs=(job,), at=self.tick()))
        self.store.catch_up()
        model = self.jobs[job]
        model.state = S.CANCELLED
        model.end(doomed=True)

    # ---- what must hold

    @invariant()
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
    def kept_counts_equal_counted_ones(self) -> None:
        with self.store.read() as connection:
            kept = connection.exec_driver_sql("SELECT * FROM job_count WHERE n != 0 ORDER BY 1, 2, 3").all()
            counted = connection.exec_driver_sql(
                "SELECT study_id, kind, state, count(*) FROM job GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            ).all()
            assert kept == counted

    @invariant()
    def every_change_has_its_event(self) -> None:
        with self.store.read() as connection:
            told: dict[int, str | None] = {}
            for job, before, after in connection.exec_driver_sql("SELECT job_id, before, after FROM event ORDER BY id"):
                assert told.get(job) == before
                told[job] = after
            assert told == {job: model.state.value for job, model in self.jobs.items()}

    def rebuilt_is_the_same(self) -> None:
        """From the journal alone. What only the machines say (submitted or running) is learnt from them again."""
        other = self.folder / "other"
        shutil.copytree(empty_store(), other)
        shutil.copytree(self.store.layout.journal, other / "runs" / "journal", dirs_exist_ok=True)
        rebuilt = Store(other)
        rebuilt.catch_up()
        with self.store.read() as before, rebuilt.read() as after:
            assert everything(before) == everything(after)


def everything(connection: Connection) -> dict[str, list[Any]]:
    """All that was decided, as rows without their own ids."""
    calm = "CASE state WHEN 'running' THEN 'submitted' ELSE state END"
    queries = {
        "job": f"SELECT id, study_id, kind, seed, key, {calm}, generation, attempts, resume, imported, tolerant, "
        "cause, error, not_before, memory_mb, created_at, "
        "CASE WHEN state IN ('submitted', 'running') THEN '' ELSE updated_at END FROM job ORDER BY id",
        "config": "SELECT j.id, c.preset, c.dataset, c.text, l.text FROM job j JOIN config c ON c.id = j.config_id "
        "JOIN launch l ON l.id = j.launch_id ORDER BY j.id",
        "need": "SELECT * FROM job_dependency ORDER BY 1, 2",
        "submission": "SELECT token, backend, size, slot, created_at FROM submission ORDER BY 1",
        "attempt": f"SELECT job_id, number, generation, token, position, {calm}, doomed, cause, evidence, decision, "
        "checkpoint_step, created_at, ended_at FROM attempt ORDER BY 1, 2",
        "result": "SELECT r.job_id, r.generation, r.architecture, r.test_accuracy, r.metrics, r.flags, r.accepted_at, "
        "e.name FROM result r LEFT JOIN execution e ON e.id = r.execution_id ORDER BY 1",
        "event": "SELECT job_id, at, replace(before, 'running', 'submitted'), after, generation, attempt, cause "
        "FROM event WHERE NOT (coalesce(before, '') IN ('submitted', 'running') AND after IN ('submitted', 'running')) "
        "ORDER BY id",
        "count": "SELECT kind, replace(state, 'running', 'submitted') AS calm, sum(n) FROM job_count WHERE n != 0 "
        "GROUP BY 1, 2 ORDER BY 1, 2",
        "setting": "SELECT * FROM setting",
    }
    return {name: [tuple(row) for row in connection.exec_driver_sql(sql)] for name, sql in queries.items()}


TestStoreMachine = Machine.TestCase
TestStoreMachine.settings = settings(
    max_examples=50, stateful_step_count=35, deadline=None, suppress_health_check=list(HealthCheck)
)
