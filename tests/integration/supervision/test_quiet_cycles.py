"""A cycle costs what changed: attempts that wait unchanged are not read, judged or written, and nothing is missed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from benchmarks.bench_cycle import Queue, fill, supervisor_of
from db import attempts
from db.entries import Cancel
from db.store import Store
from orchestrator.supervision import tenure as tenures
from orchestrator.supervision.process import SILENT_SECONDS, Pace
from orchestrator.supervision.supervisor import Supervisor
from slurm.cluster.commands import CommandFailed
from tests.helpers.filled import Filled

LIMITED = "slurm_load_jobs error: Rate limit exceeded, please retry momentarily"


class Limited(Queue):
    """Refuses to answer while `refusing`, as slurmctld with rl_enable does."""

    refusing = False

    def ask(self, arguments: Sequence[str]) -> str:
        if self.refusing:
            self.asked[arguments[0]] += 1
            raise CommandFailed(arguments[0], LIMITED, 1)
        return super().ask(arguments)


def room(folder: Path, waiting: int = 30, running: int = 4) -> tuple[Filled, Limited, Supervisor]:
    filled, queue = fill(folder, waiting, running)
    limited = Limited(queue.lines)
    return filled, limited, supervisor_of(filled, limited)


def states(filled: Filled) -> list[tuple[object, ...]]:
    with filled.store.read() as connection:
        return [
            (a.job, a.state, a.phase, a.reason, a.node, a.doomed, a.absent) for a in attempts.everything(connection)
        ]


def test_what_is_live_is_read_again_only_where_somebody_changed_it(tmp_path: Path) -> None:
    filled, _, supervisor = room(tmp_path)
    tenure = supervisor.tenure
    for _ in range(2):
        supervisor.cycle()
    with filled.store.read() as connection:
        first = tenure.live(connection)
        assert tenure.live(connection) is first and first == attempts.live(connection)
    other = Store(filled.store.root)  # a person, elsewhere
    with other.write() as writer:
        writer.decide([Cancel(jobs=(20,), at=filled.tick())])
    with filled.store.read() as connection:
        second = tenure.live(connection)
        assert second == attempts.live(connection) and second != first
        assert second[5] is first[5], "what did not change is the same object"
    with tenure.write() as writer:
        attempts.observed(writer.connection, [(7, "pending", "Resources", None, 0)])
    with filled.store.read() as connection:
        assert tenure.live(connection) == attempts.live(connection) != second


@pytest.mark.parametrize("seed", range(4))
def test_the_store_is_the_same_with_and_without_what_is_remembered(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stores, one story: rows that change, leave and come back, and a person who cancels."""
    (here, one, keeps), (there, two, forgets) = room(tmp_path / "a"), room(tmp_path / "b")
    plain = tenures.Tenure.live
    random = Random(seed)
    for step in range(12):
        for place in random.sample(range(34), random.choice((0, 1, 1, 3))):
            head, index, _, token = one.lines[place].split("|")[0], place, None, one.lines[place].rpartition("|")[2]
            state = random.choice(
                ("PENDING|0|0||Priority", "PENDING|0|0||Resources", "RUNNING|0|0|n3|None", "PENDING|0|1||BeginTime")
            )
            one.lines[place] = two.lines[place] = f"{head}|{index}|{state}|{token}"
        if step == 6:
            for filled in (here, there):
                with Store(filled.store.root).write() as writer:
                    writer.decide([Cancel(jobs=(30, 31), at=filled.at)])
        keeps.cycle()
        with monkeypatch.context() as patched:
            patched.setattr(tenures.Tenure, "live", lambda self, connection: attempts.live(connection))
            patched.setattr("orchestrator.supervision.reading.awake", lambda live, observations: live)
            backend = forgets.backends["slurm"]  # type: ignore[index]
            backend._seen, backend._others, backend._alone, backend._looks.newest = None, None, {}, None  # type: ignore[attr-defined]
            forgets.cycle()
        assert tenures.Tenure.live is plain
        assert states(here) == states(there)


def test_a_controller_that_limits_its_rate_is_waited_for(tmp_path: Path) -> None:
    filled, queue, supervisor = room(tmp_path)
    supervisor.cycle()
    before = states(filled)
    queue.refusing = True
    for _ in range(5):
        cycle = supervisor.cycle()
        assert "Rate limit exceeded" in cycle.silent["slurm"]
    assert states(filled) == before, "nobody is lost, failed or sent again"
    queue.refusing = False
    queue.lines[10] = queue.lines[10].replace("|Priority|", "|Resources|")
    assert "slurm" not in supervisor.cycle().silent and states(filled) != before


def test_it_is_asked_less_often_the_longer_it_refuses() -> None:
    pace, at, asked = Pace(1.0, 1.0), 0.0, 0
    while at < 120.0:
        pace.asked(at, changed=True, silent=True)
        at, asked = pace.due, asked + 1
    assert asked < 20 and pace.wait == SILENT_SECONDS
    pace.asked(at, changed=True)
    assert pace.wait == 1.0
