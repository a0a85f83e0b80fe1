"""What time was good for: every microsecond of every execution in exactly one class, and the right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.usage import History, Run, Try
from jobs.usage import Sums, Usage
from jobs.words import Cause, JobState
from orchestrator.usage import spans
from orchestrator.usage.pieces import LeftOut, Piece, Use, pieces
from orchestrator.usage.sums import Total, by_class, total

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=2)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def used(
    seconds: float, *, resumed: int = -1, saved: int = -1, kept: float | None = None, due: float = 15.0, **more: Any
) -> Usage:
    """An execution that computed on one of two CPUs, and on its GPU half of the time."""

    def sums(span: float) -> Sums:
        return Sums(seconds=span, cpu_seconds=span, busy_seconds=span / 2, joules=100 * span)

    before = None if kept is None else sums(kept)
    return Usage(
        sums=sums(seconds), kept=before, resumed_step=resumed, saved_step=saved, gpus=1, due=due, at=START, **more
    )


def run(began: float, ended: float | None = None, cause: Cause | None = None, **more: Any) -> Run:
    given = {"name": f"e0-{int(began):06x}", "ready": True, "accepted": False, "superseded": False, "step": -1}
    given |= {"had_gpu": True, "usage": None, **more}
    return Run(started_at=at(began), ended_at=None if ended is None else at(ended), cause=cause, **given)


def tried(number: int, cause: Cause | None, ended: float | None, *runs: Run, generation: int = 1) -> Try:
    sent = min([(one.started_at - START).total_seconds() for one in runs], default=0.0) - 5
    return Try(
        number=number,
        generation=generation,
        created_at=at(sent),
        ended_at=None if ended is None else at(ended),
        cause=cause,
        slot=None,
        cpus=2,
        gpus=1,
        runs=runs,
    )


def history(state: JobState, *tries: Try, **more: Any) -> History:
    return History(job=1, state=state, tries=tries, **{"generation": 1, "dropped": False, "cause": None, **more})


def split(found: History) -> list[tuple[str, str, float]]:
    """(class, cause, seconds) in order of time."""
    return [(one.use.value, one.cause, one.spent.time / 1e6) for one in pieces(found, NOW) if isinstance(one, Piece)]


def test_work_up_to_the_last_checkpoint_is_useful_and_the_rest_was_repeated() -> None:
    found = history(
        JobState.SUCCEEDED,
        tried(1, Cause.PREEMPTED, 100, run(0, step=10, usage=used(95, saved=10, kept=60))),
        tried(2, Cause.KILLED, 300, run(200, step=10, usage=used(95, resumed=10))),
        tried(3, Cause.SUCCESS, 500, run(400, 500, Cause.SUCCESS, accepted=True, usage=used(100, resumed=10))),
    )
    assert split(found) == [
        ("useful", "", 60.0),
        ("repeated", "preempted", 40.0),
        ("repeated", "killed", 100.0),
        ("useful", "", 100.0),
    ]
    whole = by_class(one for one in pieces(found, NOW) if isinstance(one, Piece))[Use.REPEATED, "preempted"]
    assert (whole.cpu, whole.cpu_used, whole.busy, whole.energy) == (80e6, 35e6, 17.5e6, 3500e3)


def test_what_was_begun_anew_keeps_nothing() -> None:
    found = history(
        JobState.SUCCEEDED,
        tried(1, Cause.KILLED, 100, run(0, step=10, usage=used(95, saved=10, kept=60))),
        tried(2, Cause.SUCCESS, 300, run(200, 300, Cause.SUCCESS, accepted=True, usage=used(100))),
    )
    assert split(found) == [("repeated", "killed", 100.0), ("useful", "", 100.0)]


def test_a_torn_newest_checkpoint_leaves_unknown_how_much_an_older_one_kept() -> None:
    found = history(
        JobState.SUCCEEDED,
        tried(1, Cause.KILLED, 100, run(0, step=20, usage=used(95, saved=20, kept=60))),
        tried(2, Cause.SUCCESS, 300, run(200, 300, Cause.SUCCESS, accepted=True, usage=used(100, resumed=10))),
    )
    assert split(found)[:2] == [("unknown", "", 60.0), ("repeated", "killed", 40.0)]


def test_a_checkpoint_that_came_after_its_last_word_leaves_the_rest_unknown() -> None:
    found = history(
        JobState.SUCCEEDED,
        tried(1, Cause.KILLED, 100, run(0, step=20, usage=used(95, saved=10, kept=60))),
        tried(2, Cause.SUCCESS, 300, run(200, 300, Cause.SUCCESS, accepted=True, usage=used(100, resumed=20))),
    )
    assert split(found)[:2] == [("useful", "", 60.0), ("unknown", "", 40.0)]


@pytest.mark.parametrize(("step", "use"), [(-1, ("repeated", "killed")), (3, ("unknown", ""))])
def test_an_execution_of_an_earlier_orch_tells_no_time_of_its_checkpoints(step: int, use: tuple[str, str]) -> None:
    found = history(
        JobState.SUCCEEDED,
        tried(1, Cause.KILLED, 100, run(0, step=step)),
        tried(2, Cause.SUCCESS, 300, run(200, 300, Cause.SUCCESS, accepted=True)),
    )
    assert split(found) == [(*use, 100.0), ("useful", "", 100.0)]


def test_a_job_that_goes_on_has_nothing_useful_yet() -> None:
    first = tried(1, Cause.PREEMPTED, 100, run(0, step=10, usage=used(95, saved=10, kept=60)))
    waits = history(JobState.QUEUED, first)
    assert split(waits) == [("open", "", 60.0), ("repeated", "preempted", 40.0)]
    last = (NOW - START).total_seconds() - 50
    loads = tried(2, None, None, run(last, ready=False, usage=used(20)))
    assert split(history(JobState.RUNNING, first, loads)) == [*split(waits), ("open", "", 35.0)]
    works = tried(2, None, None, run(last, usage=used(50, resumed=10)))
    assert split(history(JobState.RUNNING, first, works)) == [*split(waits), ("open", "", 50.0)]


def test_requeued_by_slurm_without_an_outcome_ends_when_the_next_one_begins_or_when_it_fell_silent() -> None:
    one = run(0, usage=used(20, due=30))
    two = run(100, 200, Cause.SUCCESS, accepted=True, usage=used(100))
    found = history(JobState.SUCCEEDED, tried(1, Cause.SUCCESS, 210, one, two))
    assert split(found) == [("repeated", "requeued", 50.0), ("useful", "", 100.0)]
    silent = history(JobState.SUCCEEDED, tried(1, Cause.SUCCESS, 210, replace(one, usage=None), two))
    assert split(silent)[0] == ("repeated", "requeued", 100.0)
    assert spans.waited(found.tries[0], NOW) == (5 + 50) * 10**6, "before its start, and until it began again"


@pytest.mark.parametrize(
    ("state", "more", "use"),
    [
        (JobState.FAILED, {"cause": Cause.ERROR}, ("failed", "error")),
        (JobState.CANCELLED, {}, ("cancelled", "")),
        (JobState.QUEUED, {"generation": 2}, ("failed", "killed")),
        (JobState.QUEUED, {"generation": 2, "earlier": frozenset({1})}, ("superseded", "")),
        (JobState.SUCCEEDED, {"dropped": True}, ("dropped", "")),
    ],
)
def test_what_is_lost_as_a_whole(state: JobState, more: dict[str, Any], use: tuple[str, str]) -> None:
    found = history(state, tried(1, Cause.KILLED, 100, run(0, step=10, usage=used(95, saved=10, kept=60))), **more)
    assert split(found) == [(*use, 100.0)]


def test_a_copy_that_finished_too_is_superseded() -> None:
    found = history(
        JobState.SUCCEEDED,
        tried(1, Cause.LOST, 50, run(0, 90, Cause.SUCCESS, superseded=True, usage=used(90))),
        tried(2, Cause.SUCCESS, 200, run(100, 200, Cause.SUCCESS, accepted=True, usage=used(100))),
    )
    assert split(found) == [("superseded", "", 90.0), ("useful", "", 100.0)]


def test_a_gpu_that_four_share_counts_a_quarter_and_its_energy_is_unknown() -> None:
    one = tried(1, Cause.SUCCESS, 100, run(0, 100, Cause.SUCCESS, accepted=True, usage=used(100)))
    (piece,) = pieces(history(JobState.SUCCEEDED, replace(one, slot="gpu:GPU-1f:2/4")), NOW)
    assert isinstance(piece, Piece)
    assert (piece.spent.gpu, piece.spent.gpu_busy, piece.spent.energy) == (25e6, 12.5e6, None)


def test_an_execution_of_the_last_year_that_there_is_is_left_out_too() -> None:
    one = replace(run(0, usage=used(1e9, due=1e9)), started_at=datetime(9998, 12, 31, tzinfo=UTC))
    (left,) = pieces(history(JobState.RUNNING, tried(1, None, None, one)), NOW)
    assert isinstance(left, LeftOut) and "the future" in left.why


@pytest.mark.parametrize(
    ("began", "ended", "why"),
    [(0.0, -10.0, "before it began"), (0.0, 1e9, "the future"), (-1e9, 10.0, "before it was sent")],
)
def test_times_that_cannot_be_are_left_out_and_named(began: float, ended: float, why: str) -> None:
    one = replace(tried(1, Cause.ERROR, 20, run(began, ended, Cause.ERROR)), created_at=at(-1.0))
    (left,) = pieces(history(JobState.FAILED, one), NOW)
    assert isinstance(left, LeftOut) and why in left.why


# ---- whatever happened, the sums are exact

SECONDS = st.floats(0, 5000)


@st.composite
def usages(draw: st.DrawFn) -> Usage | None:
    if draw(st.booleans()):
        return None
    seconds = draw(SECONDS)
    saved = draw(st.integers(-1, 6))
    kept = draw(st.floats(0, seconds)) if saved >= 0 else None
    one = used(seconds, resumed=draw(st.integers(-1, 6)), saved=saved, kept=kept)
    untold = draw(st.sets(st.sampled_from(["cpu_seconds", "busy_seconds", "joules"])))

    def without(sums: Sums) -> Sums:
        values = {name: getattr(sums, name) for name in ("seconds", "cpu_seconds", "busy_seconds", "joules")}
        return Sums(**{name: None if name in untold else value for name, value in values.items()})

    return Usage(
        sums=without(one.sums),
        kept=None if one.kept is None else without(one.kept),
        resumed_step=one.resumed_step,
        saved_step=saved,
        gpus=draw(st.integers(1, 3)),
        due=15.0,
        at=START,
    )


@st.composite
def stories(draw: st.DrawFn) -> History:
    clock, tries = 0.0, list[Try]()
    generation, accepted = 1, False
    state = draw(st.sampled_from(list(JobState)))
    for number in range(1, draw(st.integers(0, 4)) + 1):
        generation += draw(st.integers(0, 1))
        runs = list[Run]()
        for _ in range(draw(st.integers(0, 3))):
            began = clock + draw(SECONDS)
            told = draw(st.booleans())
            cause = draw(st.sampled_from(list(Cause))) if told else None
            wins = not accepted and state is JobState.SUCCEEDED and cause is Cause.SUCCESS and draw(st.booleans())
            accepted |= wins
            clock = began + draw(SECONDS)
            runs.append(
                run(
                    began,
                    clock if told else None,
                    cause,
                    accepted=wins,
                    superseded=not wins and draw(st.booleans()),
                    step=draw(st.integers(-1, 6)),
                    ready=draw(st.booleans()),
                    had_gpu=draw(st.booleans()),
                    usage=draw(usages()),
                    name=f"e{len(runs)}-{number:06x}",
                )
            )
        over = draw(st.booleans())
        clock += draw(SECONDS)
        slot = draw(st.sampled_from([None, "gpu:0:0", "gpu:0:1/3", "cpu:0/2"]))
        cause = draw(st.sampled_from(list(Cause))) if over else None
        one = tried(number, cause, clock if over else None, *runs, generation=generation)
        tries.append(replace(one, slot=slot, gpus=draw(st.integers(0, 2)), cpus=draw(st.integers(1, 5))))
    return history(
        state,
        *tries,
        generation=generation + draw(st.integers(0, 1)),
        dropped=draw(st.booleans()),
        cause=draw(st.none() | st.sampled_from(list(Cause))),
        earlier=frozenset(draw(st.sets(st.integers(1, 3)))),
    )


def joined(totals: Sequence[Total]) -> Total:
    found = Total()
    for one in totals:
        found.join(one)
    return found


@given(stories())
def test_every_microsecond_is_in_exactly_one_class_and_the_classes_add_up(found: History) -> None:
    told = list(pieces(found, NOW))
    counted = [one for one in told if isinstance(one, Piece)]
    expected = dict[tuple[int, int, str], spans.Spent]()
    for attempt in found.tries:
        for place, one in enumerate(attempt.runs):
            following = attempt.runs[place + 1] if place + 1 < len(attempt.runs) else None
            end = spans.until(one, attempt, following, NOW)
            expected[1, attempt.number, one.name] = spans.spent(one, attempt, end)
    seen = {one.run for one in told}
    assert seen == set(expected), "no execution is forgotten"
    assert not {one.run for one in counted} & {one.run for one in told if isinstance(one, LeftOut)}
    for name, spent in expected.items():
        parts = [one for one in counted if one.run == name]
        assert len(parts) <= 2 and len({(one.use, one.cause) for one in parts}) == len(parts)
        assert all(one.spent.time >= 0 and one.spent.cpu >= 0 and (one.spent.gpu or 0) >= 0 for one in parts)
        if not parts:
            continue
        assert sum(one.spent.time for one in parts) == spent.time
        assert sum(one.spent.cpu for one in parts) == spent.cpu
        for field in ("gpu", "cpu_used", "gpu_busy", "energy"):
            values = [getattr(one.spent, field) for one in parts]
            assert (
                values == [None] * len(parts) if getattr(spent, field) is None else sum(values) == getattr(spent, field)
            )
    whole, classes = total(counted), by_class(counted)
    assert joined(list(classes.values())) == whole
    assert whole.time == sum(expected[name].time for name in {one.run for one in counted})
