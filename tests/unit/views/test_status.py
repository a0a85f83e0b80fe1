"""What `orch status` shows, in which order, and that every line fits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from jobs.records import MetricLine
from jobs.words import JobState
from orchestrator.views import show_status
from orchestrator.views.progress import progress
from orchestrator.views.status import (
    ORDER,
    JobLine,
    Section,
    StatusView,
    SupervisorView,
    allocate,
    blocked_note,
    fitting,
    near_study,
    supervisor_note,
)
from orchestrator.views.tables import columns
from orchestrator.views.words import duration, one_line, short

NOW = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def job(state: JobState, number: int = 1, **values: object) -> JobLine:
    given = {"id": number, "kind": "random-baseline", "seed": number, "state": state}
    return JobLine(**{**given, **values})  # type: ignore[arg-type]


def view_of(*jobs: JobLine, more: int = 0, notes: tuple[str, ...] = (), dense: bool = False) -> StatusView:
    counts = {state: sum(one.state is state for one in jobs) for state in JobState}
    sections = [
        Section(state=s, lines=tuple(one for one in jobs if one.state is s), n=counts[s] + more)
        for s in ORDER
        if counts[s]
    ]
    return StatusView(
        study="default",
        counts=counts,
        kinds={"random-baseline": {s: n for s, n in counts.items() if n}},
        sections=tuple(sections),
        supervisor=None,
        notes=notes,
        now=NOW,
        dense=dense,
    )


EVERY = [
    job(JobState.FAILED, 1, cause="error", error="ValueError: [bold]no[/bold]\nsecond line " + "x" * 300, node="n1"),
    job(JobState.RUNNING, 2, node="n2", metrics={"test_accuracy": 91.25}, attempts=3, executions=4, code_changed=True),
    job(JobState.SUBMITTED, 3, phase="pending", reason="jobs of higher priority come first (Priority)"),
    job(JobState.QUEUED, 4, not_before=at(90), cause="killed", attempts=1),
    job(JobState.WAITING, 5, blocked_by=(1,)),
    job(JobState.SUCCEEDED, 6, metrics={"test_accuracy": 93.7, "params": 21_060_000.0, "shortcuts": 12.0}),
    job(JobState.CANCELLED, 7),
]


@given(st.dictionaries(st.sampled_from(JobState), st.integers(0, 500)), st.integers(1, 200))
def test_shown_jobs_fit_and_the_failing_come_first(sizes: dict[JobState, int], lines: int) -> None:
    given = allocate(sizes, lines)
    assert sum(given.values()) == min(lines, sum(sizes.values()))
    assert all(0 <= given[state] <= sizes.get(state, 0) for state in ORDER)
    there = [state for state in ORDER if sizes.get(state)]
    if lines >= len(there):
        assert all(given[state] for state in there), "every state is seen where there is room for it"
    elif there:
        assert given[there[0]] == 1 and given[there[-1]] == 0


def test_a_crowd_of_failures_leaves_room_for_the_running() -> None:
    given = allocate({JobState.FAILED: 500, JobState.RUNNING: 40, JobState.QUEUED: 900}, 30)
    assert given[JobState.FAILED] == 10 and given[JobState.RUNNING] == 10


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (40, 24), (100, 39)])
def test_everything_fits_in_the_terminal(width: int, height: int) -> None:
    notes = ("no supervisor runs: 6 jobs wait for one; 'orch supervise' starts it here", "2 waiting jobs are blocked")
    many = [replace(one, id=one.id * 1000 + i, seed=i) for one in EVERY for i in range(300)]
    counts = dict.fromkeys(JobState, 300)
    shown = allocate(counts, fitting((width, height), ["random-baseline"], counts, notes))
    chosen = [one for state in ORDER for one in [j for j in many if j.state is state][: shown[state]]]
    view = view_of(*chosen, more=100, notes=notes, dense=height < 40)
    text = show_status.status(view, width).plain
    lines = [line for line in text.split("\n") if not line.startswith("! ")]
    assert all(cell_len(line) <= width for line in lines)
    used = len(lines) + sum(-(-cell_len(line) // width) for line in text.split("\n") if line.startswith("! "))
    assert used < height


def test_each_state_says_what_matters() -> None:
    text = show_status.status(view_of(*EVERY), 200).plain
    order = [text.index(f"\n{state} (") for state in ORDER]
    assert order == sorted(order), "the failing and the running first"
    assert "ValueError: [bold]no[/bold] second line" in text, "no markup is read in an error"
    assert "91.25" in text and "3/4" in text and "code changed" in text
    assert "jobs of higher priority come first (Priority)" in text
    assert "next retry in 1m30 (12:01:30 UTC) after killed" in text
    assert "blocked by 1 job: 1" in text
    assert "93.70" in text and "21.06" in text


def test_more_is_said() -> None:
    assert "… and 25 more" in show_status.status(view_of(EVERY[0], more=25), 80).plain
    assert "… and 25 more" in show_status.status(view_of(EVERY[0], more=25, dense=True), 80).plain


def test_who_waits_for_a_supervisor() -> None:
    counts = {JobState.RUNNING: 2, JobState.QUEUED: 3, JobState.WAITING: 2, JobState.SUCCEEDED: 9}
    gone = SupervisorView(host="login", pid=12, alive=False)
    told = supervisor_note(counts, 1, gone)
    assert told is not None and "6 jobs wait" in told and "'orch supervise'" in told and "pid 12 on login" in told
    assert supervisor_note(counts, 1, replace(gone, alive=True)) is None
    assert supervisor_note({JobState.SUCCEEDED: 9}, 0, None) is None


def test_who_blocks() -> None:
    told = blocked_note({8: [3], 9: [3, 4]})
    assert told == "2 waiting jobs are blocked by jobs 3, 4: mend the cause, then 'orch retry 3'"
    assert blocked_note({}) is None


def test_an_unknown_study_is_named_with_the_nearest() -> None:
    assert near_study("tabel2", ["default", "table2"]) == "there is no study 'tabel2': did you mean 'table2'?"
    assert "default" in near_study("zzz", ["default"])


def lines(*ends: float, epochs: int = 10, first: int = 1) -> list[MetricLine]:
    return [MetricLine(epoch=first + i, epochs=epochs, at=at(end), values={}) for i, end in enumerate(ends)]


def test_rate_and_time_left() -> None:
    found = progress(lines(10, 12, 14, 16), at(0), at(17))
    assert found is not None
    assert (found.epoch, found.epochs, found.epoch_seconds, found.left_seconds) == (4, 10, 2.0, 11.0)


def test_restored_epochs_do_not_count_for_the_rate() -> None:
    found = progress([*lines(-1000, -999), *lines(60, 70, first=3)], at(50), at(70))
    assert found is not None and found.epoch_seconds == 10.0
    only_old = progress(lines(-1000, -999), at(50), at(60))
    assert only_old is not None and only_old.epoch == 2 and only_old.epoch_seconds is None


def test_one_epoch_is_measured_from_readiness() -> None:
    found = progress(lines(30), at(10), at(31))
    assert found is not None and found.epoch_seconds == 20.0 and found.left_seconds == 179.0
    assert progress([], at(0), at(5)) is None


def test_a_stuck_job_is_told_from_a_slow_one() -> None:
    stuck = progress(lines(10, 12), at(0), at(500))
    slow = progress(lines(10, 310), at(0), at(500))
    assert stuck is not None and stuck.late
    assert slow is not None and not slow.late
    text = show_status.status(view_of(job(JobState.RUNNING, progress=stuck)), 120).plain
    assert "no epoch for 8m08" in text


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["C"]), max_size=30), min_size=3, max_size=3), max_size=5
    ),
    st.integers(10, 120),
)
def test_no_line_is_too_long(rows: list[list[str]], width: int) -> None:
    for line in columns(["job", "kind", "why"], rows, width=width, right=(0,), stretch=2, drop=(1,), indent=2):
        assert cell_len(line.plain) <= width


@pytest.mark.parametrize(
    ("seconds", "long", "narrow"),
    [
        (-1, "0 s", "0s"),
        (0.44, "0.4 s", "0s"),
        (59.6, "1 min 00 s", "1m00"),
        (3599.7, "1 h 00 min", "1h00"),
        (7620, "2 h 07 min", "2h07"),
        (273_600, "3 d 04 h", "3d04"),
    ],
)
def test_durations(seconds: float, long: str, narrow: str) -> None:
    assert duration(seconds) == long and short(seconds) == narrow


def test_control_signs_never_reach_the_terminal() -> None:
    assert one_line("a\x1b[31mred\x1b[0m\r\n\tb") == "a [31mred [0m b"
