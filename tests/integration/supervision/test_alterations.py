"""Other terms for what was sent: during a launch, during an unclear one, in a queue that does or does not take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from db import attempts, details
from db.attempts import StoredAttempt
from db.changes import Change
from jobs.files import read_json, read_lines
from jobs.node.terms import as_it_stands
from jobs.records import Manifest, QueueChange
from jobs.resources import Asked, InQueue
from jobs.words import Cause, JobState
from orchestrator.submitting.changing import Selection, set_terms
from orchestrator.views.sent import job_as_sent
from slurm.backend import AttemptKey, LaunchRefused, LaunchUncertain, LiveAttempt, Observation, Phase, Standing
from tests.helpers.filled import Filled
from tests.integration.supervision.test_launches import Moved, Slow, Tower, begin


@dataclass
class Queue(Slow):
    """A queue of waiting tasks. `deaf_to`: jobs whose change it does not take; `begins`: those that begin by it."""

    phase: Phase = Phase.PENDING
    has: dict[int, InQueue] = field(default_factory=dict)
    told: list[tuple[int, InQueue]] = field(default_factory=list)
    deaf_to: set[int] = field(default_factory=set)
    begins: set[int] = field(default_factory=set)
    running: set[int] = field(default_factory=set)

    def observe(self, live: Sequence[LiveAttempt]) -> dict[AttemptKey, Observation]:
        found = super().observe(live)
        return {key: replace(one, phase=Phase.RUNNING) if key[0] in self.running else one for key, one in found.items()}

    def standing(self, live: Sequence[LiveAttempt]) -> dict[AttemptKey, Standing]:
        return {
            one.key: Standing(
                waits=one.job not in self.running, terms=self.has.setdefault(one.job, InQueue(minutes=60, nice=0))
            )
            for one in live
            if one.native_id is not None
        }

    def alter(self, wanted: Sequence[tuple[LiveAttempt, InQueue]]) -> None:
        for attempt, change in wanted:
            self.told.append((attempt.job, change))
            if attempt.job not in self.deaf_to:
                self.has[attempt.job] = InQueue(**{**self.has[attempt.job].given(), **change.given()})  # type: ignore[arg-type]
            self.running |= {attempt.job} & self.begins


@dataclass
class Sent(Tower):
    """One supervisor whose jobs go to that queue."""

    backend: Queue

    def submit(self, count: int, **more: Any) -> None:
        self.filled.submit(seeds=range(count), backend="slurm", **more)

    def send(self, count: int) -> None:
        """So many jobs, launched and seen to wait."""
        self.submit(count)
        self.cycle()
        for job in range(1, count + 1):
            self.backend.flying[job] = str(job)
            self.supervisor.launches.go_on()
        self.cycle()

    def set(self, *jobs: int, at_once: bool = False, **more: Any) -> None:
        change = Change(
            asked=Asked(**{key: more.pop(key) for key in [*more] if key in Asked.__struct_fields__}), **more
        )
        set_terms(self.filled.store, Selection(ids=jobs), change, at_once=at_once)

    def attempts(self, job: int) -> list[StoredAttempt]:
        with self.filled.store.read() as connection:
            return attempts.of_job(connection, job)

    def ended(self, job: int) -> list[Cause | None]:
        return [one.cause for one in self.attempts(job)]


@pytest.fixture
def sent(tmp_path: Path) -> Iterator[Sent]:
    filled = Filled.make(tmp_path / ".orch")
    clock, backend = Moved(), Queue()
    yield Sent(filled, clock, backend, begin(filled, backend, clock))


def test_what_waits_is_changed_and_its_worker_reads_it(sent: Sent) -> None:
    sent.send(2)
    sent.set(1, minutes=90, cpus=3)
    sent.cycle()
    (one,) = sent.attempts(1)
    assert one.altered == InQueue(minutes=90, cpus=3) and sent.backend.told == [(1, InQueue(minutes=90, cpus=3))]
    layout = sent.filled.store.layout
    manifest = read_json(layout.manifest(one.token), Manifest)
    assert manifest is not None and manifest.tasks[0].resources.minutes != 90, "the manifest is never rewritten"
    assert [line.change for line in read_lines(layout.changes(one.token), QueueChange)] == [one.altered]
    stands = as_it_stands(layout, one.token, manifest.tasks[0]).resources
    assert (stands.minutes, stands.cpus) == (90, 3)
    with sent.filled.store.read() as connection:
        detail = details.get(connection, 1)
    assert job_as_sent(layout, detail).launching.resources == stands, "diff and show say the same"
    sent.cycle()
    assert len(sent.backend.told) == 1 and sent.attempts(2)[0].altered is None


def test_a_change_during_a_launch_holds_once_it_is_over(sent: Sent) -> None:
    sent.submit(1)
    sent.cycle()
    sent.set(1, minutes=90)
    sent.cycle(15.0)
    assert sent.backend.told == [] and sent.ended(1) == [None]
    sent.backend.flying[1] = LaunchUncertain("killed")
    sent.cycle(15.0)
    assert sent.ended(1) == [None], "nobody knows yet whether it is there"
    sent.backend.there = {1}
    sent.cycle(60.0)
    sent.cycle()
    assert sent.attempts(1)[0].altered == InQueue(minutes=90)


def test_what_the_queue_cannot_change_is_taken_back_also_during_a_launch(sent: Sent) -> None:
    sent.submit(1)
    sent.cycle()
    sent.set(1, gpus=1)
    sent.cycle()
    assert sent.ended(1) == [Cause.CANCELLED] and sent.state(1)[0] is JobState.QUEUED
    sent.backend.flying[1] = "11"
    sent.cycle(15.0)
    assert sent.backend.cancelled[-1] == (1, 1) and len(sent.attempts(1)) == 1, "two of them would share its files"
    sent.backend.phase = Phase.ENDED
    sent.cycle(15.0)
    sent.cycle(15.0)
    assert sent.attempts(1)[-1].number == 2 and sent.ended(1)[0] is Cause.CANCELLED


def test_what_was_refused_under_the_old_terms_is_sent_under_the_new_ones(sent: Sent) -> None:
    sent.submit(1)
    sent.cycle()
    sent.set(1, slurm={"account": "right"})
    sent.backend.flying[1] = LaunchRefused("Invalid account")
    sent.supervisor.launches.go_on()
    assert sent.state(1)[0] is JobState.QUEUED
    sent.cycle()
    (task,) = [one for one in sent.attempts(1) if one.number == 2]
    manifest = read_json(sent.filled.store.layout.manifest(task.token), Manifest)
    assert manifest is not None and manifest.terms[0].options["slurm"] == {"account": "right"}


def test_a_change_that_the_queue_does_not_show_is_taken_back(sent: Sent) -> None:
    sent.send(2)
    sent.backend.deaf_to, sent.backend.begins = {1, 2}, {2}
    sent.set(1, 2, minutes=90)
    sent.cycle()
    assert sent.ended(1) == [Cause.CANCELLED], "sent again"
    assert sent.ended(2) == [None] and sent.attempts(2)[0].altered is None, "it began before it was changed"
    told = len(sent.backend.told)
    sent.cycle()
    sent.cycle()
    assert len(sent.backend.told) == told


def test_a_change_between_a_look_at_the_queue_and_the_intent_is_not_missed(sent: Sent) -> None:
    sent.submit(1)
    plan = sent.backend.plan
    sent.backend.plan = lambda *given: (sent.set(1, minutes=90), plan(*given))[1]  # type: ignore[method-assign]
    sent.cycle()
    sent.backend.plan = plan  # type: ignore[method-assign]
    assert sent.attempts(1) == []
    sent.cycle()
    manifest = read_json(sent.filled.store.layout.manifest(sent.attempts(1)[0].token), Manifest)
    assert manifest is not None and manifest.tasks[0].resources.minutes == 90


def test_others_step_back_behind_the_highest_priority_that_waits(sent: Sent) -> None:
    sent.send(3)
    sent.set(2, priority=2)
    sent.set(3, priority=-1)
    sent.cycle()
    assert [sent.attempts(job)[0].nice for job in (1, 2, 3)] == [200, 0, 300]
    assert all(change.nice is not None and change.nice >= 0 for _, change in sent.backend.told)
    sent.filled.cancel(2)
    sent.cycle()
    assert [sent.attempts(job)[0].nice for job in (1, 3)] == [0, 100]
    sent.backend.deaf_to = {1}
    sent.set(3, priority=4)
    sent.cycle()
    told = len(sent.backend.told)
    sent.cycle()
    assert sent.ended(1) == [None] and len(sent.backend.told) == told, "a place in the queue is not given up for it"


def test_stopping_at_once_concerns_only_what_runs(sent: Sent) -> None:
    sent.send(2)
    sent.backend.running = {2}
    sent.cycle()
    sent.set(1, 2, minutes=90, at_once=True)
    sent.cycle()
    (first,), (second,) = sent.attempts(1), sent.attempts(2)
    assert first.altered == InQueue(minutes=90) and first.cause is None and not first.recall
    assert second.cause is Cause.CANCELLED and "set --now" in (second.decision or "")
    assert sent.state(2)[0] is JobState.QUEUED and sent.backend.cancelled == [(2, 1)]


def test_the_settings_are_read_when_a_job_is_sent(sent: Sent, tmp_path: Path) -> None:
    toml = tmp_path / "orch.toml"
    sent.submit(3)
    toml.write_text('[slurm]\nsetup = ["module load cuda"]\npartition = "gpu"\nsbatch = {mem = "7G"}\n')
    sent.cycle()
    manifest = read_json(sent.filled.store.layout.manifest(sent.attempts(1)[0].token), Manifest)
    assert manifest is not None
    options = manifest.terms[0].options
    assert options["setup"] == ["module load cuda"] and options["slurm"] == {"partition": "gpu"}
    assert manifest.tasks[0].resources.memory_mb == 7168
    toml.write_text("[slurm\n")
    sent.submit(1, values={"dataset": "digits"}, study="later")
    cycle = sent.supervisor.cycle()
    assert "orch.toml" in cycle.stopped and "cannot be read" in cycle.stopped["orch.toml"] and cycle.held == 1
    assert sent.attempts(4) == []
    toml.write_text("[slurm]\nsetup = []\n")
    sent.cycle()
    manifest = read_json(sent.filled.store.layout.manifest(sent.attempts(4)[0].token), Manifest)
    assert manifest is not None and not {"setup", "slurm"} & manifest.terms[0].options.keys()
