"""What is kept from one look at the queue to the next only saves work: looks that keep it say what fresh ones say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from jobs.layout import Layout
from slurm.backend import LiveAttempt
from slurm.cluster import squeue
from slurm.cluster.backend import SlurmBackend
from slurm.cluster.commands import Commands
from slurm.cluster.looks import Looks
from slurm.cluster.queue import Queue
from slurm.cluster.requeues import Requeues

STATES = (
    "PENDING|0|0||Priority",
    "PENDING|0|0||Resources",
    "PENDING|0|1||BeginTime",
    "PENDING|0|0||JobHeldUser",
    "RUNNING|0|0|n1|None",
    "RUNNING|0|1|n2|None",
    "COMPLETING|0|0|n1|None",
    "CANCELLED|0|0||None",
    "NODE_FAIL|0|0|n1|None",
    "REQUEUE_HOLD|0|1||launch failed requeued held",
)
"""state, exit code, restarts, node, reason."""


class Said(Commands):
    """squeue says what a test wants; sacct and sinfo say nothing."""

    text = ""

    def ask(self, arguments: Sequence[str]) -> str:
        self.counts[arguments[0]] += 1
        return self.text if arguments[0] == "squeue" else ""


def attempt(job: int) -> LiveAttempt:
    at, native = datetime(2026, 1, 1, tzinfo=UTC), f"{10 + job % 3}"
    return LiveAttempt(job=job, attempt=1, token=f"orch-{job % 3:016x}", index=job, size=40, native_id=native,
                       slot=None, running=False, submitted_at=at)  # fmt: skip


def lines(states: dict[int, str]) -> str:
    return "".join(f"{10 + job % 3}|{job}|{state}|orch-{job % 3:016x}\n" for job, state in states.items())


def backend(root: Path) -> SlurmBackend:
    return SlurmBackend(Layout(root), commands=Said(timeout_s=1.0), requeues=Requeues(lambda: 0.0))


@pytest.mark.parametrize("seed", range(12))
def test_a_backend_that_remembers_sees_what_one_without_a_memory_sees(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    keeps, forgets = backend(tmp_path), backend(tmp_path)
    live = [attempt(job) for job in range(20)]
    states = {one.job: STATES[0] for one in live}
    for _ in range(40):
        for job in random.sample(range(22), random.choice((0, 0, 1, 1, 4))):
            states[job] = random.choice(STATES)
        if random.random() < 0.2:
            states.pop(random.randrange(20), None)
        if random.random() < 0.3:
            place = random.randrange(20)
            live[place] = replace(live[place], running=not live[place].running)
        keeps.commands.text = forgets.commands.text = lines(states)  # type: ignore[attr-defined]
        forgets._looks, forgets._seen, forgets._others, forgets._alone = Looks(forgets.commands), None, None, {}
        assert keeps.observe(live) == forgets.observe([replace(one) for one in live])
        assert keeps.others(live) == forgets.others(live)
        assert (
            keeps._looks.newest is not None
            and forgets._looks.newest is not None
            and keeps._looks.newest.rows == forgets._looks.newest.rows
        )
        waiting, delayed, held = keeps.changes._waiting(keeps._looks.newest, live)
        forgets.changes._looked = None
        assert (waiting, delayed, held) == forgets.changes._waiting(forgets._looks.newest, live)


def test_a_line_that_is_the_same_is_the_same_row_and_others_leave() -> None:
    kept: dict[str, object] = {}
    before = squeue.parse(lines({1: STATES[0], 2: STATES[4]}), kept)  # type: ignore[arg-type]
    after = squeue.parse(lines({1: STATES[0], 2: STATES[6]}), kept)  # type: ignore[arg-type]
    assert after[0] is before[0] and after[1].state == "COMPLETING" and len(kept) == 2
    assert after == squeue.parse(lines({1: STATES[0], 2: STATES[6]}))


def test_an_unchanged_queue_is_parsed_once_and_asked_once_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = backend(tmp_path)
    live = [attempt(job) for job in range(5)]
    one.commands.text = lines(dict.fromkeys(range(5), STATES[0]))  # type: ignore[attr-defined]
    first = one.observe(live)
    made = Queue.__init__
    monkeypatch.setattr(Queue, "__init__", lambda *given: pytest.fail("the same text was taken in again"))
    assert one.observe(live) == first and one.others(live) == []
    assert one.commands.counts["squeue"] == 2
    monkeypatch.setattr(Queue, "__init__", made)
    one.commands.text = lines(dict.fromkeys(range(5), STATES[4]))  # type: ignore[attr-defined]
    assert one.observe(live) != first
