"""What a piece finds out by itself: its number, whether anything is left to do, and whether pieces help at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.files import make_folder, write_bytes, write_json
from jobs.layout import Layout
from jobs.node import pieces
from jobs.node.endings import CommandFailed
from jobs.node.progress import Progress
from jobs.records import Accepted, Outcome, Started, Task
from jobs.resources import Resources
from jobs.words import Cause

DAWN = datetime(2026, 1, 1, tzinfo=UTC)
TASK = Task(job=1, attempt=1, generation=2, resources=Resources(minutes=10), pieces=9)


def execution(layout: Layout, turn: int, outcome: Outcome | None = None, *, step: int = -1, **more: int) -> Path:
    path = layout.attempt(1, more.get("attempt", 1)) / f"e{turn}-00000{turn}"
    make_folder(path)
    started = Started(
        job=1, attempt=1, generation=more.get("generation", 2), token="o-a", index=0, restart=turn, node="n", host="n",
        pid=9, process_start=1.0, boot_id="b", at=DAWN,
    )  # fmt: skip
    write_json(path / "started.json", started)
    write_json(path / "progress.json", Progress(step=step))
    write_bytes(path / "heartbeat", b"%d\n" % (more.get("seconds", 0) // 5))
    if outcome is not None:
        write_json(path / "outcome.json", outcome)
    return path


INTERRUPTED = Outcome(ending="interrupted", cause=Cause.TIMEOUT, at=DAWN)


def test_numbers_are_given_once_whoever_asks_at_once(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: pieces.turn(layout, TASK), range(40)))
    assert sorted(found) == list(range(40))
    assert layout.executions(1, 1) == [], "a number is no execution"


@pytest.mark.parametrize(
    ("outcome", "over"),
    [
        (None, False),
        (INTERRUPTED, False),
        (Outcome(ending="success", cause=Cause.SUCCESS, at=DAWN), True),
        (Outcome(ending="failure", cause=Cause.ERROR, error="e", at=DAWN), True),
    ],
)
def test_a_piece_after_a_success_or_a_final_failure_has_nothing_to_do(
    tmp_path: Path, outcome: Outcome | None, over: bool
) -> None:
    layout = Layout(tmp_path)
    assert pieces.needless(layout, TASK) is None
    execution(layout, 0, outcome)
    assert (pieces.needless(layout, TASK) is not None) is over


def test_nor_has_one_behind_a_later_attempt_or_an_accepted_result(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    old = execution(layout, 0)
    accepted = Accepted(attempt=1, execution=old.name, generation=1, at=DAWN)
    write_json(layout.job(1) / "accepted.json", accepted)
    assert pieces.needless(layout, TASK) is None, "a result of an earlier generation stops nobody"
    write_json(layout.job(1) / "accepted.json", Accepted(attempt=1, execution=old.name, generation=2, at=DAWN))
    assert "result" in (pieces.needless(layout, TASK) or "")
    (layout.job(1) / "accepted.json").unlink()
    execution(layout, 0, attempt=2)
    assert "attempt 2" in (pieces.needless(layout, TASK) or "")


def test_three_killed_without_progress_are_enough(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    own = layout.attempt(1, 1) / "e9-000009"
    execution(layout, 0, INTERRUPTED, step=4)
    for turn in (1, 2):
        execution(layout, turn, step=4)
    pieces.check_progress(layout, TASK, own)
    execution(layout, 3, step=4)
    with pytest.raises(CommandFailed, match="killed without progress") as found:
        pieces.check_progress(layout, TASK, own)
    assert found.value.cause is Cause.LOST
    execution(layout, 4, step=5)
    pieces.check_progress(layout, TASK, own)


def test_three_that_lasted_to_their_limits_say_that_slices_are_too_short(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for turn in range(3):
        execution(layout, turn, seconds=590)
    with pytest.raises(CommandFailed, match=r"no progress in a whole slice \(10 minutes\)") as found:
        pieces.check_progress(layout, TASK, layout.attempt(1, 1) / "e9-000009")
    assert found.value.cause is Cause.TIMEOUT
