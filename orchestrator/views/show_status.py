"""`orch status` in a terminal of any width."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.text import Text

from jobs.words import JobState
from orchestrator.views.status import ORDER, JobLine, Section, StatusView
from orchestrator.views.tables import Cell, columns
from orchestrator.views.words import clock, listed, number, one_line, plural, short

STYLES: Mapping[JobState, str] = {
    JobState.FAILED: "bold red",
    JobState.RUNNING: "bold cyan",
    JobState.SUBMITTED: "blue",
    JobState.QUEUED: "yellow",
    JobState.WAITING: "magenta",
    JobState.SUCCEEDED: "green",
    JobState.CANCELLED: "dim",
}
BAR_COLUMNS = 40
ACCURACIES = ("test_accuracy", "val_accuracy")


def status(view: StatusView, width: int) -> Text:
    """The whole picture."""
    if not view.total:
        lines = [Text(f"study {view.study}: no jobs yet; submit some, e.g. 'orch submit random-baseline --seeds 10'")]
    else:
        lines = [_title(view, width), *_kinds(view, width)]
        for section in view.sections:
            lines += _section(section, view, width)
    lines += [_note(note) for note in view.notes]
    if view.supervisor is not None and view.supervisor.alive:
        lines.append(Text(f"supervisor: pid {view.supervisor.pid} on {view.supervisor.host}", style="dim"))
    return Text("\n").join(lines)


def _note(text: str) -> Text:
    return Text("! ", style="bold yellow").append(one_line(text), style="not bold default")


def _title(view: StatusView, width: int) -> Text:
    done = view.counts[JobState.SUCCEEDED]
    title = Text(f"study {view.study}", style="bold").append(f"  {done} of {view.total} succeeded", style="not bold")
    room = min(BAR_COLUMNS, width - title.cell_len - 2)
    return title.append("  ").append_text(bar(view.counts, room)) if room >= 10 else title


def bar(counts: Mapping[JobState, int], room: int) -> Text:
    """What part of all jobs is where; every state that there is gets at least one cell."""
    total = sum(counts.values())
    order = (JobState.SUCCEEDED, *(state for state in ORDER if state is not JobState.SUCCEEDED))
    there = [state for state in order if counts.get(state)]
    cells = {state: max(1, round(counts[state] * room / total)) for state in there}
    while sum(cells.values()) > room:
        largest = max(cells, key=lambda state: cells[state])
        cells[largest] -= 1
    text = Text()
    for state, n in cells.items():
        text.append(
            ("━" if state in (JobState.SUCCEEDED, JobState.FAILED, JobState.RUNNING) else "─") * n, STYLES[state]
        )
    return text


def _kinds(view: StatusView, width: int) -> list[Text]:
    there = [state for state in ORDER if view.counts.get(state)]
    rows: list[list[Cell]] = []
    for kind, found in view.kinds.items():
        shown = [Text(str(found.get(s, 0)), style=STYLES[s]) if found.get(s) else Text("·", style="dim") for s in there]
        rows.append([kind, *shown])
    return columns(["kind", *there], rows, width=width, right=range(1, len(there) + 1), stretch=0)


def _section(section: Section, view: StatusView, width: int) -> list[Text]:
    state = section.state
    headings, cells, options = LAYOUTS[state]
    headings = ["job", "kind", "seed", *headings]
    rows = [[str(job.id), job.kind, str(job.seed), *cells(job, view)] for job in section.lines]
    more = f"… and {section.n - len(section.lines)} more" if section.n > len(section.lines) else ""
    title = Text(f"{state} ({section.n})", style=STYLES[state])
    if view.dense:
        told = " · ".join(heading for i, heading in enumerate(headings) if i > 2 and any(row[i] for row in rows))
        title.append(f"  {told}" if told else "", style="dim not bold").append(f"  {more}" if more else "")
        title.truncate(width, overflow="ellipsis")
    found = columns(
        [""] * len(headings) if view.dense else headings,
        rows,
        width=width,
        right=(0, 2, *options.get("right", ())),
        stretch=len(headings) - 1,
        drop=options.get("drop", ()),
        indent=2,
    )
    return [title, *found, *([Text(f"  {more}", style="dim")] if more and not view.dense else [])]


def accuracy(job: JobLine) -> str:
    """The newest or final accuracy in percent; of another kind of job its first number."""
    for name in ACCURACIES:
        value = job.metrics.get(name)
        if value is not None:
            return f"{value:.2f}"
    for name, value in job.metrics.items():
        return f"{name} {number(value)}"
    return ""


def _epoch(job: JobLine) -> str:
    if job.progress is None:
        return ""
    return f"{job.progress.epoch}/{job.progress.epochs}" if job.progress.epochs else str(job.progress.epoch)


def _tries(job: JobLine) -> str:
    return "" if job.attempts <= 1 and job.executions <= 1 else f"{job.attempts}/{job.executions}"


def _code(job: JobLine) -> str:
    return "code changed" if job.code_changed else ""


def _failed(job: JobLine, view: StatusView) -> list[Cell]:
    error = one_line(job.error or "")
    return [Text(job.cause or "", style="red"), _epoch(job), _tries(job), job.node or "", error]


def _running(job: JobLine, view: StatusView) -> list[Cell]:
    progress = job.progress
    rate = short(progress.epoch_seconds) if progress and progress.epoch_seconds else ""
    if progress and progress.epoch_seconds and progress.epoch_seconds < 9.95:
        rate = f"{progress.epoch_seconds:.1f}s"
    left = short(progress.left_seconds) if progress and progress.left_seconds is not None else ""
    remark = _code(job) or ("loading" if progress is None else "")
    if progress and progress.late:
        remark, left = f"no epoch for {short(progress.silent_seconds)}", ""
    return [_epoch(job), accuracy(job), rate, left, _tries(job), job.node or "", remark]


def _submitted(job: JobLine, view: StatusView) -> list[Cell]:
    return [_tries(job), job.phase or "sent", one_line(job.reason or "")]


def _queued(job: JobLine, view: StatusView) -> list[Cell]:
    again = ""
    if job.not_before is not None and job.not_before > view.now:
        left = (job.not_before - view.now).total_seconds()
        again = f"next retry in {short(left)} ({clock(job.not_before, view.now)})"
    elif job.attempts:
        again = "next retry as soon as there is room"
    else:
        again = "as soon as there is room"
    why = f" after {job.cause}" if job.cause and job.attempts else ""
    return [_epoch(job), _tries(job), f"{again}{why}"]


def _waiting(job: JobLine, view: StatusView) -> list[Cell]:
    if job.blocked_by:
        return [Text(f"blocked by {plural(len(job.blocked_by), 'job')}: {listed(job.blocked_by)}", style="red")]
    return ["for other jobs"]


def _succeeded(job: JobLine, view: StatusView) -> list[Cell]:
    params, shortcuts = job.metrics.get("params"), job.metrics.get("shortcuts")
    remark = "imported" if job.imported else _code(job)
    return [
        accuracy(job),
        "" if params is None else f"{params / 1e6:.2f}",
        "" if shortcuts is None else number(shortcuts),
        _tries(job),
        job.node or "",
        remark,
    ]


def _cancelled(job: JobLine, view: StatusView) -> list[Cell]:
    return [_epoch(job)]


Layout = tuple[list[str], Callable[[JobLine, StatusView], list[Cell]], Mapping[str, tuple[int, ...]]]
LAYOUTS: Mapping[JobState, Layout] = {
    JobState.FAILED: (["cause", "epoch", "tries", "node", "error"], _failed, {"right": (4, 5), "drop": (4, 5, 6)}),
    JobState.RUNNING: (
        ["epoch", "acc %", "s/ep", "left", "tries", "node", "remark"],
        _running,
        {"right": (3, 4, 5, 6, 7), "drop": (9, 7, 8)},
    ),
    JobState.SUBMITTED: (["tries", "where", "why"], _submitted, {"right": (3,), "drop": (3,)}),
    JobState.QUEUED: (["epoch", "tries", "when"], _queued, {"right": (3, 4), "drop": (3, 4)}),
    JobState.WAITING: (["why"], _waiting, {}),
    JobState.SUCCEEDED: (
        ["acc %", "params M", "shortcuts", "tries", "node", "remark"],
        _succeeded,
        {"right": (3, 4, 5, 6), "drop": (6, 7, 8)},
    ),
    JobState.CANCELLED: (["epoch"], _cancelled, {"right": (3,)}),
}
"""Per state: headings after job, kind and seed; the cells; which are numbers, and which go first when narrow."""
