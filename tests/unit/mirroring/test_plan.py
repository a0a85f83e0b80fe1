"""What a round copies of an attempt, decided from what lies in its folders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from db.mirrored import MirroredAttempt
from orchestrator.mirroring.plan import Listed, Plan, add, kept, resumable, settled

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def attempt(
    number: int = 1,
    *,
    kind: str = "search",
    ended: datetime | None = None,
    goes_on: bool = True,
    accepted: str | None = None,
    needed: bool = False,
) -> MirroredAttempt:
    return MirroredAttempt(
        job=7,
        kind=kind,
        number=number,
        token=f"orch-{number}",
        ended_at=ended,
        goes_on=goes_on,
        accepted=accepted,
        needed=needed,
    )


def listed(name: str, *files: str, steps: tuple[int, ...] = (), reached: int = -1) -> Listed:
    return Listed(name=name, files=frozenset(files), steps=steps, reached=reached)


def test_records_are_copied_and_nothing_that_was_printed() -> None:
    plan = Plan()
    there = listed("e0-aaaaaa", "started.json", "metrics.jsonl", "outcome.json", "stdout", "stderr", "heartbeat", "out")
    add(plan, attempt(goes_on=False), "runs/0/7/1", [there])
    assert plan.records == [
        f"runs/0/7/1/e0-aaaaaa/{name}" for name in ("started.json", "metrics.jsonl", "outcome.json")
    ]
    assert plan.folders == []


def test_what_a_needed_job_left_is_copied_of_the_accepted_execution_alone() -> None:
    plan = Plan()
    both = [listed("e0-aaaaaa", "out", "checkpoints"), listed("e1-bbbbbb", "out")]
    add(plan, attempt(goes_on=False, accepted="e1-bbbbbb", needed=True), "runs/0/7/1", both)
    assert plan.folders == ["runs/0/7/1/e1-bbbbbb/out/"]


def test_the_newest_checkpoint_is_of_the_highest_step_over_all_attempts() -> None:
    early = (attempt(1), "runs/0/7/1", [listed("e0-aaaaaa", steps=(3, 40))])
    late = (attempt(2), "runs/0/7/2", [listed("e0-bbbbbb", steps=(7,)), listed("e1-cccccc")])
    folder = "runs/0/7/1/e0-aaaaaa/checkpoints/"
    assert resumable([early, late]) == [f"{folder}step-00000040.pt", f"{folder}step-00000040.json"]
    assert resumable([late]) == [f"runs/0/7/2/e0-bbbbbb/checkpoints/step-00000007{end}" for end in (".pt", ".json")]
    assert resumable([(attempt(1), "runs/0/7/1", [listed("e0-aaaaaa")])]) == []


def test_of_a_program_the_whole_folder_that_came_furthest_is_copied() -> None:
    early = (attempt(1, kind="command"), "runs/0/7/1", [listed("e0-aaaaaa", reached=5)])
    late = (attempt(2, kind="command"), "runs/0/7/2", [listed("e0-bbbbbb", reached=2)])
    assert resumable([early, late]) == ["runs/0/7/1/e0-aaaaaa/checkpoints/"]


def test_only_what_ended_long_before_a_round_and_is_needed_by_nobody_is_left_out() -> None:
    old = NOON - timedelta(hours=2)
    assert settled(attempt(ended=old, goes_on=False), NOON)
    assert not settled(attempt(ended=old, goes_on=False), None)
    assert not settled(attempt(ended=old, goes_on=False, needed=True), NOON)
    assert not settled(attempt(ended=old, goes_on=True), NOON)
    assert not settled(attempt(ended=NOON - timedelta(minutes=1), goes_on=False), NOON)
    assert not settled(attempt(goes_on=False), NOON)


def test_an_older_checkpoint_stays_until_a_newer_one_is_there_or_its_job_is_over() -> None:
    before = {f"runs/0/{job}/1/e0-aaaaaa/checkpoints/step-00000001.pt" for job in (7, 8, 9)}
    now = {"runs/0/7/1/e0-aaaaaa/checkpoints/step-00000002.pt"}
    assert kept(before, now, {7, 8}) == {"runs/0/8/1/e0-aaaaaa/checkpoints/step-00000001.pt"}
