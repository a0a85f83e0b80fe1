"""What a table says of jobs that have no number: pending only where one may still come."""

from __future__ import annotations

import pytest

from db.rows import ResultRow
from jobs.words import JobState
from orchestrator.tables import generic, grid
from tests.helpers.plausible import row


def cell(rows: list[ResultRow], metric: str, kind: str) -> str:
    """The last column of a kind's line."""
    text = grid.markdown(generic.to_grid(generic.group(rows, ["kind"], [metric])))
    line = next(line for line in text.splitlines() if line.startswith(f"| {kind} "))
    return line.strip("| ").split("|")[-1].strip()


def job(number: int, kind: str, state: JobState, metrics: dict[str, float] | None = None) -> ResultRow:
    return row(number, kind=kind, seed=number, accuracy=None, state=state, metrics=metrics or {})


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.WAITING])
def test_pending_is_only_what_a_kind_reports_and_a_job_may_still_bring(state: JobState) -> None:
    rows = [
        job(1, "command", JobState.SUCCEEDED, {"loss": 0.5}),
        job(2, "evaluate", state),
        job(3, "random-baseline", JobState.FAILED),
        job(4, "search", state),
    ]
    assert cell(rows, "loss", "command") == "0.5"
    assert cell(rows, "loss", "evaluate") == "-", "no evaluation reports a loss of that name"
    assert cell(rows, "test_accuracy", "evaluate") == "pending"
    assert cell(rows, "test_accuracy", "random-baseline") == "-", "it has failed"
    assert cell(rows, "test_accuracy", "command") == "-", "it has succeeded without one"
    more = [*rows, job(5, "command", state)]
    assert cell(more, "test_accuracy", "command") == "-", "no command here reports one"
    assert cell(rows, "gpu_hours", "search") == "pending" and cell(rows, "gpu_hours", "random-baseline") == "-"


def test_a_corrected_result_carries_its_remark() -> None:
    from dataclasses import replace

    one = replace(job(1, "command", JobState.SUCCEEDED, {"loss": 0.5}), flags={"unchecked": "its folder is gone"})
    assert "unchecked: its folder is gone (job 1)" in generic.group([one], ["kind"], ["loss"]).notes
