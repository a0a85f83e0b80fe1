"""The queries behind `orch status` on real stores."""

from __future__ import annotations

from typing import Any

import msgspec

from db import status
from db.jobs import blocked, counts
from jobs.words import Cause, JobState
from orchestrator.views.status import as_json
from tests.helpers.filled import Filled


def test_one_row_a_job_with_its_counted_execution(filled: Filled) -> None:
    done, running, queued = filled.submit(seeds=range(3))
    filled.dispatch(done)
    lost = filled.start(done, node="bad")
    filled.epochs(lost, [{"test_accuracy": 10.0}] * 5)
    filled.end(done, Cause.NODE_FAILURE, JobState.QUEUED, node="bad")
    filled.succeed(done, {"test_accuracy": 91.5, "params": 100.0})
    filled.dispatch(running)
    folder = filled.start(running, node="n2", code_changed=True)
    filled.epochs(folder, [{"test_accuracy": 20.0}, {"test_accuracy": 30.0}], of=7)
    with filled.store.read() as connection:
        rows = {row.id: row for row in status.rows(connection, "default")}
    assert (rows[done].attempts, rows[done].executions, rows[done].node) == (2, 2, "node1")
    assert rows[done].metrics is not None and msgspec.json.decode(rows[done].metrics)["test_accuracy"] == 91.5
    assert rows[done].epoch is None, "of the accepted execution, not of the lost one"
    assert (rows[running].epoch, rows[running].epochs, rows[running].code_changed) == (2, 7, 1)
    assert rows[running].metrics is not None and msgspec.json.decode(rows[running].metrics)["test_accuracy"] == 30.0
    assert (rows[queued].attempts, rows[queued].executions, rows[queued].metrics) == (0, 0, None)


def test_a_retry_from_the_start_forgets_the_old_progress(filled: Filled) -> None:
    from db.entries import Retry

    (job,) = filled.submit()
    filled.dispatch(job)
    filled.epochs(filled.start(job), [{"test_accuracy": 50.0}] * 3)
    filled.end(job, Cause.ERROR, JobState.FAILED, error="ValueError: x")
    with filled.store.write() as writer:
        writer.decide([Retry(jobs=(job,), at=filled.tick())])
    with filled.store.read() as connection:
        (row,) = status.rows(connection, "default")
    assert (row.state, row.epoch, row.metrics, row.executions) == ("queued", None, None, 1)


def test_the_contract_of_a_job(filled: Filled) -> None:
    (needed,) = filled.submit()
    filled.dispatch(needed)
    filled.end(needed, Cause.ERROR, JobState.FAILED, error="ValueError: x")
    (behind,) = filled.submit("evaluate", values={"architecture": "vgg19"}, needs=[needed])
    with filled.store.read() as connection:
        found = [as_json(row, blocked(connection)) for row in status.rows(connection, "default")]
    plain: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(found))
    keys = ["id", "kind", "seed", "state", "blocked", "cause", "attempts", "executions", "node", "epoch", "epochs"]
    assert [*plain[0]][: len(keys) + 3] == [*keys, "metrics", "architecture", "error"]
    assert plain[0]["error"] == "ValueError: x" and plain[0]["cause"] == "error" and not plain[0]["blocked"]
    assert plain[1]["id"] == behind and plain[1]["state"] == "waiting" and plain[1]["blocked"]
    assert plain[1]["metrics"] == {} and plain[1]["architecture"] is None


def test_some_are_the_first_or_the_last_by_kind(filled: Filled) -> None:
    first = filled.submit(seeds=range(4))
    other = filled.submit("command", seeds=range(3), values={"argv": ["true"]}, preset="report")
    kinds = ["command", "random-baseline"]
    with filled.store.read() as connection:
        oldest = status.some(connection, "default", JobState.QUEUED, kinds, 5)
        newest = status.some(connection, "default", JobState.QUEUED, kinds, 4, newest=True)
        assert status.kind_counts(connection, "default") == {
            "command": {JobState.QUEUED: 3},
            "random-baseline": {JobState.QUEUED: 4},
        }
    assert [row.id for row in oldest] == [other[0], *first]
    assert [row.id for row in newest] == [*reversed(other), first[-1]]


def test_other_studies_stay_out(filled: Filled) -> None:
    filled.submit(seeds=range(2))
    filled.submit(seeds=range(5), study="other")
    with filled.store.read() as connection:
        assert len(status.rows(connection, "default")) == 2
        assert status.rows(connection, "nothing") == []
        assert status.study_counts(connection) == {"default": 2, "other": 5}
        assert counts(connection, "other")[JobState.QUEUED] == 5


def test_changed_code_is_counted_by_job(filled: Filled) -> None:
    jobs = filled.submit(seeds=range(4))
    for job in jobs[:3]:
        filled.dispatch(job)
        filled.start(job, code_changed=True)
    with filled.store.read() as connection:
        assert status.code_changed(connection, "default", 2) == (3, jobs[:2])
        assert status.code_changed(connection, "other", 2) == (0, [])


def test_only_what_may_have_news_is_looked_at(filled: Filled) -> None:
    job, other = filled.submit(seeds=range(2))
    filled.succeed(other, {"test_accuracy": 90.0})

    def news() -> bool:
        with filled.store.read() as connection:
            return status.may_have_news(connection)

    assert not news()
    filled.dispatch(job)
    assert news(), "a living attempt"
    filled.end(job, Cause.LOST, JobState.QUEUED)
    assert news(), "a lost one may still succeed"
    filled.succeed(job, {"test_accuracy": 90.0})
    assert not news()


def test_nothing_reads_all_jobs(filled: Filled) -> None:
    """The plans of the queries that every look makes: searches by index, whatever the store holds."""
    filled.submit(seeds=range(3))
    seen: list[str] = []
    with filled.store.read() as connection:
        ask = connection.exec_driver_sql

        def watched(sql: str, *values: Any) -> Any:
            plan = ask(f"EXPLAIN QUERY PLAN {sql}", *values)
            seen.extend(str(row[3]) for row in plan)
            return ask(sql, *values)

        connection.exec_driver_sql = watched  # type: ignore[method-assign, assignment]
        status.some(connection, "default", JobState.QUEUED, ["random-baseline"], 5, newest=True)
        status.code_changed(connection, "default", 5)
        status.kind_counts(connection, "default")
        status.may_have_news(connection)
    scans = [step for step in seen if step.startswith("SCAN") and "USING" not in step and "CONSTANT" not in step]
    assert seen and not scans, scans
