"""`orch status` in a terminal of any width."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.cells import cell_len
from rich.text import Text

from jobs.words import JobState
from orchestrator.tables.varying import is_house
from orchestrator.views import kindlines, statecells
from orchestrator.views.programs import programs
from orchestrator.views.status import ORDER, JobLine, Section, StatusView
from orchestrator.views.tables import Cell, columns
from orchestrator.views.words import one_line

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
FIRST = "orch submit random-baseline --seeds 10 --preset demo"
"""A first command that works on any machine, without a GPU too."""


def status(view: StatusView, width: int) -> Text:
    """The whole picture."""
    if not view.total:
        lines = [Text(f"study {view.study}: no jobs yet; submit some, e.g. '{FIRST}'")]
    else:
        lines = [_title(view, width), *_kinds(view, width)]
        for section in view.sections:
            lines += _section(section, view, width)
    lines += [_note(note) for note in view.notes]
    alive = view.supervisor is not None and view.supervisor.alive
    last = [f"supervisor: pid {view.supervisor.pid} on {view.supervisor.host}"] if alive and view.supervisor else []
    last += [line for line in (view.seals, view.room, view.mirror) if line]
    if len(last) > 1 and cell_len(" · ".join(last)) <= width:
        last = [" · ".join(last)]
    lines += [Text(line, style="dim") for line in last]
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
    if kindlines.wide(view.kinds) > width:
        return [Text(line) for line in kindlines.texts(view.kinds, ORDER, width)]
    there = [state for state in ORDER if view.counts.get(state)]
    rows: list[list[Cell]] = []
    for kind, found in view.kinds.items():
        shown = [Text(str(found.get(s, 0)), style=STYLES[s]) if found.get(s) else Text("·", style="dim") for s in there]
        rows.append([kind, *shown])
    return columns(["kind", *there], rows, width=width, right=range(1, len(there) + 1), stretch=0)


def _section(section: Section, view: StatusView, width: int) -> list[Text]:
    """The house's jobs first, with the columns of its study; then all others, with what tells them apart."""
    house = [job for job in section.lines if is_house(job.kind)]
    others = [job for job in section.lines if not is_house(job.kind)]
    state = section.state
    more = f"… and {section.n - len(section.lines)} more" if section.n > len(section.lines) else ""
    title = Text(f"{state} ({section.n})", style=STYLES[state])
    lines: list[Text] = []
    if house:
        told, lines = _house(house, state, view, width)
        title.append(f"  {told}" if told else "", style="dim not bold")
    if others:
        left_out, found = programs(others, state, view, width)
        lines += found
        room = width - title.cell_len - 4 - (len(more) + 2) * view.dense
        if left_out and cell_len(left_out) <= room:
            title.append(f"  ({left_out})", style="dim not bold")
    if more and view.dense:
        title.append(f"  {more}", style="dim not bold")
    title.truncate(width, overflow="ellipsis")
    return [title, *lines, *([Text(f"  {more}", style="dim")] if more and not view.dense else [])]


def _house(jobs: Sequence[JobLine], state: JobState, view: StatusView, width: int) -> tuple[str, list[Text]]:
    headings, cells, options = LAYOUTS[state]
    headings = ["job", "kind", "seed", *headings]
    rows = [[str(job.id), job.kind, str(job.seed), *cells(job, view)] for job in jobs]
    told = ""
    if view.dense:
        told = " · ".join(heading for i, heading in enumerate(headings) if i > 2 and any(row[i] for row in rows))
    found = columns(
        [""] * len(headings) if view.dense else headings,
        rows,
        width=width,
        right=(0, 2, *options.get("right", ())),
        stretch=len(headings) - 1,
        drop=options.get("drop", ()),
        indent=2,
    )
    return told, found


Layout = tuple[list[str], Callable[[JobLine, StatusView], list[Cell]], Mapping[str, tuple[int, ...]]]
LAYOUTS: Mapping[JobState, Layout] = {
    JobState.FAILED: (
        ["cause", "epoch", "tries", "node", "error"],
        statecells.failed,
        {"right": (4, 5), "drop": (4, 5, 6)},
    ),
    JobState.RUNNING: (
        ["epoch", "acc %", "s/ep", "left", "tries", "node", "remark"],
        statecells.running,
        {"right": (3, 4, 5, 6, 7), "drop": (9, 7, 8)},
    ),
    JobState.SUBMITTED: (["tries", "where", "why"], statecells.submitted, {"right": (3,), "drop": (3,)}),
    JobState.QUEUED: (["epoch", "tries", "when"], statecells.queued, {"right": (3, 4), "drop": (3, 4)}),
    JobState.WAITING: (["why"], statecells.waiting, {}),
    JobState.SUCCEEDED: (
        ["acc %", "params M", "shortcuts", "tries", "node", "remark"],
        statecells.succeeded,
        {"right": (3, 4, 5, 6), "drop": (6, 7, 8)},
    ),
    JobState.CANCELLED: (["epoch"], statecells.cancelled, {"right": (3,)}),
}
"""Per state: headings after job, kind and seed; the cells; which are numbers, and which go first when narrow."""
