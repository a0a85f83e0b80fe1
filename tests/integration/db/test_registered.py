"""Rules that end studies: registered, looked by, replaced, stopped by hand, and the same after a rebuild."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from db import rebuild, registered
from db.entries import Drop, Entry, Keep, Retry
from db.registered import Registered
from db.stopping import BY_HAND, DECIDED, GOES_ON, REPLACED, Look, Rule, Side
from jobs.words import Cause, JobState
from tests.helpers.filled import Filled

METRIC = "test_accuracy"


def decide(filled: Filled, *entries: Entry) -> None:
    with filled.store.write() as writer:
        writer.decide(entries)


def newest(filled: Filled, study: str = "default") -> Registered:
    with filled.store.read() as connection:
        found = registered.in_force(connection, study)
    assert found is not None
    return found


def due(filled: Filled) -> list[str]:
    with filled.store.read() as connection:
        return [one.rule.study for one in registered.due(connection)]


def sides(filled: Filled, n: int = 6) -> tuple[list[int], list[int]]:
    """Two sides of n seeds, and a rule that looks after 6 and 8."""
    first = filled.submit(seeds=range(n))
    second = filled.submit(seeds=range(n), values={"lr": 0.2})
    names = Side("a", first[0]), Side("b", second[0])
    decide(
        filled,
        Rule(study="default", text="a > b", metric=METRIC, sides=names, at_most=8, looks=(6, 8), at=filled.tick()),
    )
    return first, second


def test_it_is_due_once_every_seed_has_its_number(filled: Filled) -> None:
    first, second = sides(filled)
    assert newest(filled).seeds == 6 and due(filled) == []
    for number, job in enumerate([*first, *second]):
        assert due(filled) == []
        filled.succeed(job, {METRIC: 90.0 + number})
    assert due(filled) == ["default"]
    with filled.store.read() as connection:
        found = registered.seeds(connection, newest(filled))
    assert [one.value for one in found] == [90.0 + number for number in range(12)]
    decide(filled, Look(study="default", n=6, verdict=GOES_ON, seeds=8, at=filled.tick()))
    assert newest(filled).seeds == 8 and due(filled) == [], "seeds 6 and 7 have no job"
    decide(filled, Look(study="default", n=8, verdict=DECIDED, p=0.01, bound=0.05, mean=1.0, at=filled.tick()))
    assert newest(filled).verdict == DECIDED and newest(filled).ended_at is not None and due(filled) == []


def test_a_failed_seed_or_one_without_a_finite_number_holds(filled: Filled) -> None:
    first, second = sides(filled)
    for job in first:
        filled.succeed(job, {METRIC: 90.0})
    for job in second[2:]:
        filled.succeed(job, {METRIC: 89.0})
    filled.succeed(second[1], {"other": 1.0})
    filled.dispatch(second[0])
    filled.end(second[0], Cause.ERROR, JobState.FAILED, error="E")
    assert due(filled) == []
    with filled.store.read() as connection:
        held = [one for one in registered.seeds(connection, newest(filled)) if one.value is None]
    assert [(one.seed, one.state) for one in held] == [(0, JobState.FAILED), (1, JobState.SUCCEEDED)]
    decide(filled, Retry(jobs=(second[0],), at=filled.tick()))
    assert newest(filled).verdict == GOES_ON


@pytest.mark.parametrize("ended", [False, True])
def test_a_drop_ends_it_and_keep_does_not_begin_it_again(filled: Filled, ended: bool) -> None:
    first, _ = sides(filled)
    other = filled.submit(seeds=[7, 99])
    decide(filled, Drop(jobs=tuple(other), because="not its seed", at=filled.tick()))
    assert newest(filled).verdict == GOES_ON
    if ended:
        decide(filled, Look(study="default", n=6, verdict=DECIDED, at=filled.tick()))
    decide(filled, Drop(jobs=(first[3],), because="odd", at=filled.tick()), Keep(jobs=(first[3],), at=filled.tick()))
    found = newest(filled)
    assert (found.verdict, found.why) == (BY_HAND, "seed 3 of a was dropped")
    assert (found.look is not None) == ended
    decide(filled, Look(study="default", n=6, verdict=DECIDED, at=filled.tick()))
    assert newest(filled).verdict == BY_HAND


def test_a_number_that_was_known_and_runs_again_ends_it(filled: Filled) -> None:
    first, _ = sides(filled)
    filled.succeed(first[1], {METRIC: 90.0})
    decide(filled, Retry(jobs=(first[1],), succeeded=True, at=filled.tick()))
    assert newest(filled).why == "seed 1 of a was run again after its number was known"


def test_another_rule_replaces_it_and_one_alone_is_open(filled: Filled) -> None:
    first, second = sides(filled)
    again = Rule(
        study="default",
        text="a > b again",
        metric=METRIC,
        sides=(Side("a", first[0]), Side("b", second[0])),
        at_most=10,
        looks=(10,),
        at=filled.tick(),
    )
    decide(filled, again)
    with filled.store.read() as connection:
        assert [one.verdict for one in registered.history(connection, "default")] == [REPLACED, GOES_ON]
    with pytest.raises(IntegrityError), filled.store.write() as writer:
        writer.connection.exec_driver_sql("UPDATE rule SET ended_at = NULL")


def test_a_rebuild_keeps_all_of_it(filled: Filled) -> None:
    first, second = sides(filled)
    for number, job in enumerate([*first, *second]):
        filled.succeed(job, {METRIC: 90.0 + number})
    decide(filled, Look(study="default", n=6, verdict=GOES_ON, p=0.2, seeds=8, at=filled.tick()))
    decide(filled, Drop(jobs=(second[2],), because="odd", at=filled.tick()))
    with filled.store.read() as connection:
        before = registered.history(connection, "default"), registered.seeds(connection, newest(filled))
    store = rebuild.rebuild(filled.store.root)
    with store.read() as connection:
        after = registered.history(connection, "default")
        assert (after, registered.seeds(connection, after[-1])) == before
