"""A server that never comes back: its jobs go on elsewhere, and its copies end when they see it, should it live."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from db.text import stamp
from jobs.files import now, read_json
from jobs.records import Outcome
from tests.helpers.cli import ORCH, Orch, until
from tests.helpers.pretend import PretendHost, allowed

Server = Callable[..., PretendHost]


@pytest.fixture
def server(orch: Orch) -> Iterator[Server]:
    """Makes pretend hosts that share the folder, and cuts their power at the end."""
    if not allowed():
        pytest.fail("this machine allows no namespaces (unshare), so no test of dead hosts can run")
    made: list[PretendHost] = []

    def make(name: str, *command: str) -> PretendHost:
        made.append(PretendHost(name, orch.folder, orch.environment, [*ORCH, *command]))
        return made[-1]

    yield make
    for one in made:
        one.cut()


def age(orch: Orch, seconds: float = 200.0) -> None:
    """As if so much time had passed since the last sign of life."""
    at = time.time() - seconds
    for path in orch.layout.runs.rglob("heartbeat"):
        os.utime(path, (at, at))
    with orch.store.write() as writer:
        renewed = stamp(now() - timedelta(seconds=seconds))
        writer.connection.exec_driver_sql("UPDATE lease SET renewed_at = ?", (renewed,))


def outcomes(orch: Orch, job: int, attempt: int) -> list[Outcome | None]:
    return [read_json(folder / "outcome.json", Outcome) for folder in orch.layout.executions(job, attempt)]


def refused(orch: Orch, *arguments: str) -> str:
    done = orch.call(*arguments)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1, done
    return done.stderr


GATE = ("submit", "command", "--seeds", "2", "--", sys.executable, "gate.py", "{seed}")


def test_a_host_that_is_declared_gone_and_comes_back_counts_once(orch: Orch, server: Server) -> None:
    usagi = server("usagi", *GATE)
    until(lambda: orch.starts(0) and orch.starts(1), "both programs")
    assert "lives: the heartbeat of job" in refused(orch, "nodes", "--gone", "usagi")
    assert "only usagi could be" in refused(orch, "nodes", "--gone", "kitsune")
    assert "this very host" in refused(orch, "nodes", "--gone", os.uname().nodename)
    (told,) = orch.json("nodes")["hosts"]
    assert (told["host"], told["jobs"], told["supervises"], told["silent"]) == ("usagi", [1, 2], True, False)

    usagi.freeze()
    age(orch)
    (told,) = orch.json("nodes")["hosts"]
    assert told["silent"] and told["silent_seconds"] >= 199
    sentence = "host usagi has been silent for 3 min"
    for command in (("status",), ("explain", "1"), ("nodes",)):
        assert sentence in " ".join(orch(*command).split()), command
    orch("report", "--out", "page")
    assert sentence in " ".join((orch.folder / "page" / "index.html").read_text().split())

    assert "2 jobs (1, 2)" in orch.call("nodes", "--gone", "usagi").stderr
    until(lambda: len(orch.starts(0)) == 2 and len(orch.starts(1)) == 2, "both programs once more, here")
    assert [orch.attempts(job)[0].cause for job in (1, 2)] == ["node_failure"] * 2
    assert all("usagi was declared gone at" in orch.attempts(job)[0].evidence[0] for job in (1, 2))

    usagi.thaw()
    copies = [until(lambda job=job: outcomes(orch, job, 1)[0], "the end of its copies") for job in (1, 2)]
    assert all(copy.superseded for copy in copies)
    usagi.cut()
    orch.open_gate()
    orch.finish()
    assert orch.states() == ["succeeded"] * 2
    assert [[one.number for one in orch.attempts(job)] for job in (1, 2)] == [[1, 2], [1, 2]]
    before = orch.json("status")["jobs"]
    orch.rebuild()
    assert [(one["id"], one["metrics"]) for one in orch.json("status")["jobs"]] == [
        (one["id"], one["metrics"]) for one in before
    ]


def test_what_a_dead_host_had_finished_counts_and_a_lease_by_a_wrong_clock_is_watched(
    orch: Orch, server: Server
) -> None:
    usagi = server("usagi", *GATE)
    until(lambda: orch.starts(0) and orch.starts(1), "both programs")
    orch.open_gate(0)
    until(lambda: outcomes(orch, 1, 1)[0] is not None, "the first outcome")
    usagi.cut()
    age(orch)
    with orch.store.write() as writer:  # its clock was an hour ahead
        renewed = stamp(now() + timedelta(hours=1))
        writer.connection.exec_driver_sql("UPDATE lease SET renewed_at = ?", (renewed,))
    done = orch.call("nodes", "--gone", "usagi")
    assert done.returncode == 0 and "watching usagi for" in done.stderr
    until(lambda: len(orch.starts(1)) == 2, "the second program once more, here")
    orch.open_gate()
    orch.finish()
    assert orch.states() == ["succeeded"] * 2
    assert [[one.number for one in orch.attempts(job)] for job in (1, 2)] == [[1], [1, 2]]
