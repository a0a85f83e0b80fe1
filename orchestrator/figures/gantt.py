"""Attempts by node over time, coloured by how they ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from db.rows import Span
from orchestrator.figures.data import FigureData, NothingToDraw
from orchestrator.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, canvas, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNNING = "running"
LOOKS: dict[str, tuple[str, str]] = {
    "success": (BLUE, ""),
    RUNNING: (SKY, ""),
    "node_failure": (VERMILION, "///"),
    "launch_failure": (VERMILION, "\\\\\\"),
    "gpu_fault": (VERMILION, "xxx"),
    "preempted": (ORANGE, "///"),
    "timeout": (ORANGE, "..."),
    "out_of_memory": (PURPLE, "///"),
    "gpu_out_of_memory": (PURPLE, "xxx"),
    "killed": (GREEN, "\\\\\\"),
    "error": (BLACK, ""),
    "cancelled": ("#FFFFFF", "///"),
    "lost": (GREY, "xxx"),
    "hang": (GREY, "..."),
}
"""Colour and hatch by cause: the hatch tells them apart in grey print."""
MOST_NUMBERS = 80
"""Above so many executions job numbers would only be ink."""
DIGIT = 0.0065
"""Of the axis' width: what a character of a job number takes."""


def gantt(data: FigureData) -> Figure:
    """One bar for each execution, on its node's lanes; an execution that still runs ends at the newest known time."""
    from matplotlib.collections import PolyCollection

    if not data.spans:
        raise NothingToDraw("nothing to draw: no job has started yet")
    start = min(span.started_at for span in data.spans)
    end = max(max(span.ended_at or span.started_at, span.started_at) for span in data.spans)
    unit, seconds = _unit((end - start).total_seconds())
    placed = lanes(data.spans, end)
    nodes = sorted({span.node for span in data.spans})
    height = {node: 1 + max(lane for span, lane in placed if span.node == node) for node in nodes}
    offsets: dict[str, int] = {}
    total = 0
    for node in nodes:
        offsets[node] = total
        total += height[node]
    figure = canvas(9.0, min(24.0, 1.6 + 0.3 * total + 0.12 * len(nodes)))
    axes = figure.add_subplot()
    groups: dict[str, list[tuple[Span, float, float, float]]] = {}
    whole = max((end - start).total_seconds() / seconds, 1e-9)
    least = whole / 400
    for span, lane in placed:
        left = (span.started_at - start).total_seconds() / seconds
        width = max(((span.ended_at or end) - span.started_at).total_seconds() / seconds, least)
        cause = span.cause or (RUNNING if span.ended_at is None else "lost")
        groups.setdefault(cause, []).append((span, left, width, offsets[span.node] + lane))
    for cause in (*LOOKS, *sorted(groups.keys() - LOOKS.keys())):
        if cause not in groups:
            continue
        bars = groups[cause]
        face, hatch = LOOKS.get(cause, (GREY, "+++"))
        # One collection for each cause: thousands of bars as single artists would take minutes.
        corners = [
            [(x, y - 0.41), (x + width, y - 0.41), (x + width, y + 0.41), (x, y + 0.41)] for _, x, width, y in bars
        ]
        axes.add_collection(
            PolyCollection(
                corners,
                facecolors=face,
                edgecolors=BLACK if face == "#FFFFFF" else "white",
                hatch=hatch,
                linewidths=0.5,
                label=f"{cause.replace('_', ' ')} ({len(bars)})",
            )
        )
        for span, left, width, y in bars if len(placed) <= MOST_NUMBERS else ():
            number = f"{span.job}.{span.attempt}" if span.attempt > 1 else str(span.job)
            if width < whole * DIGIT * (len(number) + 1):
                continue  # it would lie on the neighbours
            axes.text(
                left + width / 2,
                y,
                number,
                ha="center",
                va="center",
                fontsize=6,
                color=BLACK,
                clip_on=True,
                bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "alpha": 0.85, "linewidth": 0},
            )
    for node in nodes[1:]:
        axes.axhline(offsets[node] - 0.5, color=GREY, linewidth=0.6)
    axes.set_yticks([offsets[node] + (height[node] - 1) / 2 for node in nodes], nodes)
    axes.set_ylim(total - 0.5, -0.5)
    axes.set_xlim(0, max(left + width for bars in groups.values() for _, left, width, _ in bars) * 1.02)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"{unit} since {start:%Y-%m-%d %H:%M} UTC")
    figure.legend(loc="outside lower center", ncols=5)
    jobs = len({span.job for span in data.spans})
    setting = data.setting()
    detail = f"{setting}, " if setting else ""
    title(axes, "Executions by node", f"{detail}n = {jobs} jobs, {len(data.spans)} executions; numbers: job.attempt")
    return figure


def lanes(spans: Sequence[Span], end: datetime) -> list[tuple[Span, int]]:
    """Each span with the first lane of its node that is free when it starts."""
    free: dict[str, list[datetime]] = {}
    placed = []
    for span in sorted(spans, key=lambda span: (span.started_at, span.job, span.attempt)):
        own = free.setdefault(span.node, [])
        until = max(span.ended_at or end, span.started_at)
        for lane, busy in enumerate(own):
            if busy <= span.started_at:
                own[lane] = until
                break
        else:
            lane = len(own)
            own.append(until)
        placed.append((span, lane))
    return placed


def _unit(total: float) -> tuple[str, float]:
    """The unit of the time axis, and its seconds."""
    if total < 300:
        return "seconds", 1.0
    if total < 3 * 3600:
        return "minutes", 60.0
    return ("hours", 3600.0) if total < 72 * 3600 else ("days", 86400.0)
