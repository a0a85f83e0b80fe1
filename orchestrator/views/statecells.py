"""The cells of a job's line in `orch status`, for each state."""

from __future__ import annotations

from rich.text import Text

from orchestrator.tables.digits import written
from orchestrator.views import restraints
from orchestrator.views.status import JobLine, StatusView
from orchestrator.views.tables import Cell
from orchestrator.views.words import clock, listed, number, one_line, plural, short

LONGEST_NAME = 16
ACCURACIES = ("test_accuracy", "val_accuracy")


def accuracy(job: JobLine) -> str:
    """The newest or final accuracy; of another kind of job its first number, with its name."""
    for name in ACCURACIES:
        value = job.metrics.get(name)
        if value is not None:
            return written(value, None, 2) if value > 1 else number(value)
    for name, value in job.metrics.items():
        return f"{shortened(name)} {number(value)}"
    return ""


def shortened(name: str) -> str:
    """A name that leaves room for its number."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def epoch(job: JobLine) -> str:
    if job.progress is None:
        return ""
    return f"{job.progress.epoch}/{job.progress.epochs}" if job.progress.epochs else str(job.progress.epoch)


def tries(job: JobLine) -> str:
    return "" if job.attempts <= 1 and job.executions <= 1 else f"{job.attempts}/{job.executions}"


def code(job: JobLine) -> str:
    if job.dropped is not None:
        return f"dropped: {one_line(job.dropped)}"
    if job.not_found:
        return f"not found: {one_line(job.not_found)}"
    return "code changed" if job.code_changed else ""


def failed(job: JobLine, view: StatusView) -> list[Cell]:
    error = one_line(job.error or "")
    return [Text(job.cause or "", style="red"), epoch(job), tries(job), job.node or "", error]


def running(job: JobLine, view: StatusView) -> list[Cell]:
    progress = job.progress
    rate = short(progress.epoch_seconds) if progress and progress.epoch_seconds else ""
    if progress and progress.epoch_seconds and progress.epoch_seconds < 9.95:
        rate = f"{progress.epoch_seconds:.1f}s"
    left = short(progress.left_seconds) if progress and progress.left_seconds is not None else ""
    remark = code(job) or ("loading" if progress is None else "")
    if job.phase == "suspended":
        return [epoch(job), accuracy(job), "", "", tries(job), job.node or "", "suspended: it does not run"]
    if job.idle:
        remark = f"{job.idle}; {remark}" if remark else job.idle
    if progress and progress.late:
        late = f"no epoch for {short(progress.silent_seconds)}"
        remark, left = f"{late}; {job.idle}" if job.idle else late, ""
    return [epoch(job), accuracy(job), rate, left, tries(job), job.node or "", remark]


def submitted(job: JobLine, view: StatusView) -> list[Cell]:
    return [tries(job), job.phase or "sent", one_line(job.reason or "")]


def queued(job: JobLine, view: StatusView) -> list[Cell]:
    again = ""
    if job.behind is not None:
        failed = bool(job.blocked_by)
        why = restraints.behind(job.behind, failed=failed)
        return [epoch(job), tries(job), Text(why, style="red") if failed else why]
    if view.full:
        return [epoch(job), tries(job), view.full]
    if job.not_before is not None and job.not_before > view.now:
        left = (job.not_before - view.now).total_seconds()
        again = f"next retry in {short(left)} ({clock(job.not_before, view.now)})"
    elif job.attempts:
        again = "next retry as soon as there is room"
    else:
        again = "as soon as there is room"
    why = f" after {job.cause}" if job.cause and job.attempts else ""
    return [epoch(job), tries(job), f"{again}{why}"]


def waiting(job: JobLine, view: StatusView) -> list[Cell]:
    if job.blocked_by:
        return [Text(f"blocked by {plural(len(job.blocked_by), 'job')}: {listed(job.blocked_by)}", style="red")]
    return ["for other jobs"]


def succeeded(job: JobLine, view: StatusView) -> list[Cell]:
    params, shortcuts = job.metrics.get("params"), job.metrics.get("shortcuts")
    remark = "imported" if job.imported else code(job)
    return [
        accuracy(job),
        "" if params is None else f"{params / 1e6:.2f}",
        "" if shortcuts is None else number(shortcuts),
        tries(job),
        job.node or "",
        remark,
    ]


def cancelled(job: JobLine, view: StatusView) -> list[Cell]:
    return [epoch(job)]
