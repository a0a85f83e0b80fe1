"""The next seeds of a rule: asked for together with the look that asks for them, once, whenever somebody dies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from db import jobs, lease, registered
from db.changes import Change
from db.entries import Retry, Set
from db.registered import Registered
from db.stopping import BY_HAND, DECIDED, GOES_ON, UNDECIDED, Rule, Side
from db.store import Store
from db.writer import Writer
from jobs.words import Cause, JobState
from orchestrator.settings import Settings
from orchestrator.stopping.told import lines
from orchestrator.supervision.supervisor import Supervisor, is_idle
from tests.helpers.filled import Filled

METRIC = "test_accuracy"
LOOKS = (8, 9, 10)


class Bench:
    """A study under a rule, and a supervisor that sends nothing."""

    def __init__(self, root: Path) -> None:
        self.filled = Filled.make(root)
        self.first = self.filled.submit(seeds=range(LOOKS[0]))
        self.second = self.filled.submit(seeds=range(LOOKS[0]), values={"lr": 0.2})
        self.begin()
        rule = Rule(
            study="default",
            text="lr=0.1 > lr=0.2 on test_accuracy",
            metric=METRIC,
            sides=(Side("lr=0.1", self.first[0]), Side("lr=0.2", self.second[0])),
            at_most=LOOKS[-1],
            looks=LOOKS,
            at=self.filled.tick(),
        )
        with self.filled.store.write() as writer:
            writer.decide([rule])

    def begin(self) -> None:
        number = lease.take(self.filled.store)
        assert number is not None
        self.supervisor = Supervisor(self.filled.store, {}, Settings(), number)

    def cycle(self) -> bool:
        """A turn; whether it found nothing that can move."""
        return self.supervisor.cycle(observe=[], dispatch=False).idle

    def succeed(self, job: int, value: float) -> None:
        self.filled.succeed(job, {METRIC: value})

    def all(self, gain: float, spread: float = 1.0) -> None:
        """Every open job succeeds; the first side is better by about `gain`."""
        for job in self.jobs():
            if job.state is JobState.QUEUED:
                own = (job.seed * 7 % 5) * spread
                self.succeed(job.id, 90 + (gain + own if job.config.get("lr") != 0.2 else 0.0))

    def jobs(self) -> list[jobs.StoredJob]:
        with self.filled.store.read() as connection:
            return jobs.select(connection)

    def rule(self) -> Registered:
        with self.filled.store.read() as connection:
            found = registered.in_force(connection, "default")
        assert found is not None
        return found

    def said(self) -> str:
        with self.filled.store.read() as connection:
            return "; ".join(lines(connection, "default"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / ".orch")


def test_seeds_are_asked_for_until_it_is_decided(bench: Bench) -> None:
    bench.all(-2.0)  # differences from -2 to 2: nothing to be seen
    assert len(bench.jobs()) == 16 and not bench.cycle(), "it is not idle: more was asked for"
    assert bench.rule().verdict == GOES_ON and bench.rule().seeds == 9
    new = bench.jobs()[16:]
    assert [(job.seed, job.config.get("lr"), job.state) for job in new] == [
        (8, bench.jobs()[0].config.get("lr"), JobState.QUEUED),
        (8, 0.2, JobState.QUEUED),
    ]
    assert "not decided at n = 8, 8 of 9 pairs of seeds have numbers, looks at n = 9, 10 of at most 10" in bench.said()
    bench.all(-2.0)
    bench.cycle()
    bench.all(-2.0)
    assert bench.cycle()
    assert bench.rule().verdict == UNDECIDED and len(bench.jobs()) == 20
    assert "not decided at n = 10 of at most 10" in bench.said()


def test_it_is_decided_at_the_first_look_that_can(bench: Bench) -> None:
    bench.all(1.0)
    assert bench.cycle() and bench.rule().verdict == DECIDED and len(bench.jobs()) == 16
    assert "decided at n = 8 of at most 10: lr=0.1 > lr=0.2; difference " in bench.said()
    assert "adjusted for stopping" in bench.said()
    assert bench.cycle() and len(bench.jobs()) == 16, "nothing more is asked for"


def test_the_opposite_ends_it_too(bench: Bench) -> None:
    bench.all(-9.0)
    bench.cycle()
    assert "decided at n = 8 of at most 10, against what the rule names: lr=0.1 < lr=0.2" in bench.said()


def test_what_has_arrived_is_not_looked_at_before_every_earlier_seed_has(bench: Bench) -> None:
    for job in bench.first:
        bench.succeed(job, 99.0 + job / 100)
    for job in bench.second[1:]:
        bench.succeed(job, 90.0)
    assert not bench.cycle() and bench.rule().look is None
    bench.filled.dispatch(bench.second[0])
    bench.filled.end(bench.second[0], Cause.ERROR, JobState.FAILED, error="E")
    assert bench.cycle() and bench.rule().look is None
    assert f"undecided: seed 0 has no number (lr=0.2, job {bench.second[0]}, failed)" in bench.said()
    with bench.filled.store.write() as writer:
        writer.decide([Retry(jobs=(bench.second[0],), at=bench.filled.tick())])
    bench.succeed(bench.second[0], 90.5)
    bench.cycle()
    assert bench.rule().verdict == DECIDED


def test_a_metric_that_nobody_reports_is_named(bench: Bench) -> None:
    for job in [*bench.first, *bench.second]:
        bench.filled.succeed(job, {"accuracy": 90.0})
    assert bench.cycle()
    assert "reported no test_accuracy, but accuracy" in bench.said()


def test_new_seeds_are_as_the_first_one_is_now(bench: Bench) -> None:
    with bench.filled.store.write() as writer:
        change = Change(priority=7, backend="slurm")
        writer.decide([Set(jobs=(bench.first[0],), change=change, in_place=True, at=bench.filled.tick())])
    bench.all(-2.0)
    bench.cycle()
    assert [(job.priority, job.launching.backend) for job in bench.jobs()[16:]] == [(7, "slurm"), (0, "local")]


def test_seeds_that_are_there_already_are_taken(bench: Bench) -> None:
    (mine,) = bench.filled.submit(seeds=[8])
    bench.all(-2.0)
    bench.cycle()
    assert [job.seed for job in bench.jobs()[16:]] == [8, 8] and bench.jobs()[16].id == mine
    assert bench.rule().seeds == 9


class Killed(BaseException):
    """As kill -9: nothing catches it."""


@pytest.mark.parametrize("where", ["before the file", "after the file"])
def test_killed_in_the_transaction_it_is_asked_for_once(
    bench: Bench, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.all(-2.0)
    seal = Writer.seal

    def killed(writer: Writer) -> None:
        if where == "after the file":
            seal(writer)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "seal", killed)
        with pytest.raises(Killed):
            bench.cycle()
    bench.filled.store = Store(bench.filled.store.root)
    with bench.filled.store.write() as writer:
        lease.give_up(writer.connection)
    bench.begin()
    for _ in range(3):
        bench.cycle()
    found = bench.jobs()
    assert [job.seed for job in found[16:]] == [8, 8] and bench.rule().seeds == 9
    looks = sum(b'"type":"look"' in path.read_bytes() for path in bench.filled.store.layout.journal.rglob("*.json"))
    assert looks == 1


def test_a_decision_on_numbers_that_have_gone_meanwhile_is_not_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody drops a seed between the reading and the transaction."""
    from db.entries import Drop
    from orchestrator.stopping import deciding

    bench.all(1.0)
    decide = deciding.decide

    def slow(*given: Any) -> Any:
        with bench.filled.store.write() as writer:
            writer.decide([Drop(jobs=(bench.first[2],), because="odd", at=bench.filled.tick())])
        return decide(*given)

    monkeypatch.setattr(deciding, "decide", slow)
    bench.cycle()
    assert bench.rule().verdict == BY_HAND and bench.rule().look is None
    assert "stopped by hand: seed 2 of lr=0.1 was dropped" in bench.said()


def test_a_store_with_a_rule_that_is_due_is_not_idle(bench: Bench) -> None:
    bench.all(1.0)
    with bench.filled.store.read() as connection:
        assert not is_idle(connection)
    assert not bench.supervisor.leave()
    bench.cycle()
    assert bench.supervisor.leave()
