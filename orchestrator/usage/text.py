"""`orch usage` in a terminal, and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.text import Text

from orchestrator.tables.keys import spelt
from orchestrator.tables.values import as_data
from orchestrator.usage.gathering import CAUSE, Account
from orchestrator.usage.pieces import Piece, Use
from orchestrator.usage.sums import Total, by_class, total
from orchestrator.views.tables import Cell, columns
from orchestrator.views.words import listed, one_line, plural, short

SECOND, HOUR = 1e6, 3.6e9
"""In microseconds."""
KWH = 3.6e6
"""In joules."""
HEADINGS = ("runs", "time", "CPU h", "used", "GPU h", "busy", "energy")


def render(found: Account, width: int) -> Text:
    """The whole picture."""
    whole = total(found.pieces)
    runs = f"{plural(len(whole.runs), 'execution')} of {plural(found.jobs, 'job')}"
    lines = [Text(f"study {found.study}", style="bold").append(f"  {runs}", style="not bold")]
    if whole.runs:
        lines += _groups(found, width) if found.by else _classes(found.pieces, whole, width)
    own, machines = short(found.queued / SECOND), short(found.waited / SECOND)
    lines.append(Text(f"waited: {own} in orch's queue, {machines} in the machines'", style="dim"))
    lines += [Text("! ", style="bold yellow").append(one_line(note), style="not bold default") for note in notes(found)]
    return Text("\n").join(lines)


def notes(found: Account) -> list[str]:
    """What is not known, and what was left out."""
    whole = total(found.pieces)
    told = []
    if whole.gpu_untold:
        told.append(
            f"nobody knows whether executions of {hours(whole.gpu_untold)} h had their GPUs: they are in no GPU h"
        )
    if found.left_out:
        names = listed(
            [f"{job}/{attempt}/{name} ({one.why})" for one in found.left_out for job, attempt, name in [one.run]]
        )
        told.append(f"{plural(len(found.left_out), 'execution')} left out: {names}")
    return told


def _classes(pieces: Iterable[Piece], whole: Total, width: int) -> list[Text]:
    rows: list[list[Cell]] = []
    classes = by_class(pieces)
    for use in Use:
        these = {cause: one for (other, cause), one in classes.items() if other is use}
        if not these:
            continue
        rows.append([use.value, *_cells(_together(these.values()))])
        if any(these):
            rows += [[Text(f"  {cause}", style="dim"), *_cells(one)] for cause, one in these.items()]
    rows.append([Text("total", style="bold"), *_cells(whole)])
    return columns(["", *HEADINGS], rows, width=width, right=range(1, 8), drop=(5, 7), indent=2)


def _together(totals: Iterable[Total]) -> Total:
    """Of classes that share no part of an execution's time."""
    found = Total()
    for one in totals:
        found.join(one)
    return found


def _groups(found: Account, width: int) -> list[Text]:
    """One line for each value; of a key, what part of its time was good for what."""
    names = spelt(value for value, _ in found.groups)
    rows: list[list[Cell]] = []
    for name, (_, pieces) in zip(names, found.groups, strict=True):
        one = total(pieces)
        rows.append([name, *_cells(one), *([] if found.by == CAUSE else _shares(pieces, one))])
    more = () if found.by == CAUSE else ("useful", "repeated", "else")
    right = range(1, 8 + len(more))
    return columns([found.by, *HEADINGS, *more], rows, width=width, right=right, drop=(5, 7), indent=2)


def _shares(pieces: Sequence[Piece], whole: Total) -> list[Cell]:
    """Useful, repeated and all else, as parts of the time."""
    time = dict.fromkeys(Use, 0)
    for piece in pieces:
        time[piece.use] += piece.spent.time
    useful, repeated = time[Use.USEFUL], time[Use.REPEATED]
    return [
        _percent(part / whole.time if whole.time else None)
        for part in (useful, repeated, whole.time - useful - repeated)
    ]


def _cells(one: Total) -> list[Cell]:
    return [
        str(len(one.runs)),
        short(one.time / SECOND),
        hours(one.cpu),
        _percent(one.cpu_share),
        _gpu_hours(one),
        _percent(one.gpu_share),
        _energy(one),
    ]


def hours(micro: int) -> str:
    """Microseconds as hours."""
    return f"{micro / HOUR:.2f}" if micro < 100 * HOUR else f"{micro / HOUR:,.0f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def _gpu_hours(one: Total) -> str:
    """'≥' where nobody knows of a part of it whether it had its GPUs."""
    if one.gpu_untold:
        return f"≥ {hours(one.gpu)}" if one.gpu else "-"
    return hours(one.gpu) if one.gpu else "-"  # runs without a GPU, as in tables


def _energy(one: Total) -> str:
    """In kWh; '≥' where a part of it is not known."""
    if one.joules is None:
        return "-"
    return f"{'≥ ' if one.energy_untold or one.gpu_untold else ''}{one.joules / KWH:.2f} kWh"


def as_json(found: Account) -> dict[str, Any]:
    """All times in seconds, energy in joules; null is what nobody knows."""
    return {
        "study": found.study,
        "by": found.by or None,
        "jobs": found.jobs,
        "classes": _classes_json(found.pieces),
        "groups": [
            {"value": as_data(value), **_total_json(total(pieces)), "classes": _classes_json(pieces)}
            for value, pieces in found.groups
        ],
        "total": _total_json(total(found.pieces)),
        "queue_seconds": found.queued / SECOND,
        "pending_seconds": found.waited / SECOND,
        "left_out": [
            {"job": one.run[0], "attempt": one.run[1], "execution": one.run[2], "why": one.why}
            for one in found.left_out
        ],
    }


def _classes_json(pieces: Iterable[Piece]) -> list[dict[str, Any]]:
    return [
        {"class": str(use), "cause": cause or None, **_total_json(one)}
        for (use, cause), one in by_class(pieces).items()
    ]


def _total_json(one: Total) -> dict[str, Any]:
    return {
        "executions": len(one.runs),
        "seconds": one.time / SECOND,
        "cpu_seconds": one.cpu / SECOND,
        "cpu_used_seconds": one.cpu_used / SECOND if one.cpu > one.cpu_untold else None,
        "cpu_unknown_seconds": one.cpu_untold / SECOND,
        "gpu_seconds": one.gpu / SECOND if one.gpu or not one.gpu_untold else None,
        "gpu_unknown_seconds": one.gpu_untold / SECOND,
        "gpu_busy_seconds": one.busy / SECOND if one.gpu > one.busy_untold else None,
        "gpu_busy_unknown_seconds": one.busy_untold / SECOND,
        "joules": one.joules,
        "joules_unknown_seconds": one.energy_untold / SECOND,
    }
