"""A model of jobs beside the real store: whatever is decided, in whatever order, both say the same, rebuilt too."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from db import attempts, creation
from db.changes import Altered, Change
from db.creation import Wanted
from db.entries import (
    Accepted,
    Cancel,
    Dispatch,
    DispatchedTask,
    Drop,
    Ended,
    Import,
    ImportedResult,
    Keep,
    Retry,
    Set,
)
from db.launching import Launching, Template
from db.store import Store
from jobs.records import Architecture, Started
from jobs.resources import Asked, InQueue
from jobs.words import TRANSITIONS, Cause, JobState
from tests.helpers.beside import Beside
from tests.helpers.model import Model, Try

S = JobState
OPEN = (S.WAITING, S.QUEUED, S.SUBMITTED, S.RUNNING, S.FAILED)
FAILURES = [Cause.NODE_FAILURE, Cause.KILLED, Cause.LOST, Cause.ERROR, Cause.TIMEOUT]


class Machine(Beside):
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

    def hold_back(self) -> None:
        for model in self.jobs.values():
            if model.state is S.QUEUED and not self.met(model):
                model.state = S.WAITING

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
            found = creation.ensure(writer, "study", [template], wanted, self.tick())
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
            job = creation.next_id(connection)
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
        self.hold_back()
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
        self.hold_back()

    @precondition(lambda self: self.any_in(S.SUCCEEDED))
    @rule(data=st.data())
    def run_anew(self, data: st.DataObject) -> None:
        """A finished job's result is superseded, and its next generation begins."""
        job = self.one(data, S.SUCCEEDED)
        self.decide(Retry(jobs=(job,), succeeded=True, at=self.tick()))
        model = self.jobs[job]
        model.generation += 1
        model.accepted, model.imported = None, False
        model.earlier += 1
        model.state = S.QUEUED if self.met(model) else S.WAITING
        self.hold_back()

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), because=st.none() | st.just("diverged"))
    def drop_or_keep(self, data: st.DataObject, because: str | None) -> None:
        job = self.one(data)
        at = self.tick()
        self.decide(Drop(jobs=(job,), because=because, at=at) if because else Keep(jobs=(job,), at=at))
        self.jobs[job].dropped = because

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def set_terms(self, data: st.DataObject) -> None:
        """Nothing ends by it: what becomes of what was sent is said by entries of its own."""
        job = self.one(data)
        change = Change(asked=Asked(minutes=data.draw(st.integers(1, 3))), priority=data.draw(st.integers(0, 1)))
        self.decide(Set(jobs=(job,), change=change, in_place=True, now=data.draw(st.booleans()), at=self.tick()))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def alter(self, data: st.DataObject) -> None:
        job = self.one(data)
        change = InQueue(minutes=data.draw(st.integers(1, 3)), nice=data.draw(st.sampled_from([None, 0, 100])))
        keys = ((job, len(self.jobs[job].tries)),)
        self.decide(Altered(attempts=keys, change=change, settled=data.draw(st.booleans()), at=self.tick()))

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


TestStoreMachine = Machine.TestCase
TestStoreMachine.settings = settings(
    max_examples=50, stateful_step_count=35, deadline=None, suppress_health_check=list(HealthCheck)
)
