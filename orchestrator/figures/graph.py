"""Figures 4 to 6: an architecture as its 16 conv blocks in a line, shortcuts as arcs, long ones highlighted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from db.rows import ResultRow
from jobs.architectures import BLOCKS, LONG_SPAN, STAGES
from jobs.errors import BadInput
from jobs.records import Edge
from orchestrator.figures.data import FigureData, NothingToDraw
from orchestrator.figures.style import BLACK, GREY, VERMILION, canvas, heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGE_COLOURS = ("#FFFFFF", "#D9E8F5", "#A9CCE8", "#6FA8D6", "#3D7EBB")
"""Light to dark by depth, so that grey print keeps the order."""
MOST_PANELS = 6
BEND = 0.42
"""Of an arc: how far its control point lies from the line, as a share of its span."""


def graphs(data: FigureData) -> Figure:
    """The architectures of the given rows, one below the other, each set of edges once; at most six."""
    found: dict[tuple[Edge, ...], ResultRow] = {}
    for row in data.rows:
        if row.edges is not None:
            found.setdefault(row.edges, row)
    if not found:
        raise NothingToDraw("nothing to draw: none of these jobs has an architecture yet")
    if len(found) > MOST_PANELS:
        raise BadInput(
            f"{len(found)} architectures do not fit in one figure (at most {MOST_PANELS}): "
            "choose some, e.g. by --filter method=A --filter seed=0"
        )
    return draw(
        [(_name(row), edges) for edges, row in found.items()], f"{data.setting()}, n = {len(found)}", "Architectures"
    )


def searched(data: FigureData, method: str, pretrained: bool) -> Figure:
    """The first replicate's architecture at the first read-out of a method (the report's 50 epoch)."""
    rows = [
        row
        for row in data.rows
        if row.edges is not None
        and row.kind == "evaluate"
        and row.config.get("method") == method
        and bool(row.config.get("pretrained")) == pretrained
    ]
    if not rows:
        how = " pretrained" if pretrained else ""
        raise NothingToDraw(f"nothing to draw: no{how} architecture of method {method} has been evaluated yet")
    row = min(rows, key=lambda row: (row.config.get("search_epoch") or 0, row.seed, row.job))
    n = len({one.seed for one in rows})
    how = ", pretrained" if pretrained else ""
    what = f"Architecture of method {method} ({row.config.get('search_epoch')} epoch{how})"
    return draw([(_name(row), row.edges or ())], f"{data.setting()}, seed {row.seed} of n = {n}", what)


def draw(architectures: Sequence[tuple[str, Sequence[Edge]]], detail: str, what: str) -> Figure:
    """One panel for each (name, edges)."""
    heights = [top - bottom for bottom, top in (_reach(edges) for _, edges in architectures)]
    figure = canvas(9.6, 0.7 + sum(0.3 + 0.48 * height for height in heights))
    grid = figure.add_gridspec(len(architectures), 1, height_ratios=heights)
    for index, (name, edges) in enumerate(architectures):
        axes = figure.add_subplot(grid[index])
        _panel(axes, edges)
        long = sum(1 for source, target in edges if target - source >= LONG_SPAN)
        number = f"{len(edges)} shortcut{'s' if len(edges) > 1 else ''}" if edges else "no shortcuts"
        count = f"{number}, {long} of span ≥ {LONG_SPAN}" if edges else number
        axes.set_title(f"{name}: {count}", fontsize=9)
    _legend(figure)
    heading(figure, what, detail)
    return figure


def _panel(axes: Axes, edges: Sequence[Edge]) -> None:
    from matplotlib.patches import FancyArrowPatch, Rectangle

    axes.set_axis_off()
    for source, target in sorted(edges, key=lambda edge: edge[0] - edge[1]):
        long = target - source >= LONG_SPAN
        # Long ones above the line, short ones below it: neither hides the other.
        bend = -BEND if long else BEND
        axes.add_patch(
            FancyArrowPatch(
                (source + 0.08, 0.36 if long else -0.36),
                (target - 0.08, 0.36 if long else -0.36),
                connectionstyle=f"arc3,rad={bend}",
                arrowstyle="-|>,head_length=3,head_width=1.8",
                color=VERMILION if long else GREY,
                linewidth=1.7 if long else 1.3,
                linestyle="-" if long else (0, (3, 1.5)),
                shrinkA=0,
                shrinkB=0,
            )
        )
    for block in range(BLOCKS):
        stage = STAGES[block]
        axes.add_patch(
            Rectangle((block - 0.33, -0.34), 0.66, 0.68, facecolor=STAGE_COLOURS[stage], edgecolor=BLACK, linewidth=0.9)
        )
        ink = "white" if stage == len(STAGE_COLOURS) - 1 else BLACK
        axes.text(block, 0, str(block), ha="center", va="center", fontsize=8, color=ink)
        if block:
            axes.plot([block - 0.67, block - 0.33], [0, 0], color=BLACK, linewidth=0.9)
    axes.set_xlim(-0.6, BLOCKS - 0.4)
    axes.set_ylim(*_reach(edges))
    axes.set_aspect("equal")


def _reach(edges: Sequence[Edge]) -> tuple[float, float]:
    """From where to where the arcs reach, in blocks: an arc rises by half its bend times its span."""
    spans = [target - source for source, target in edges]
    above = max((span for span in spans if span >= LONG_SPAN), default=0)
    below = max((span for span in spans if span < LONG_SPAN), default=0)
    return -0.5 - BEND / 2 * below, 0.5 + BEND / 2 * above


def _legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    stages = [
        Rectangle((0, 0), 1, 1, facecolor=shade, edgecolor=BLACK, label=f"stage {stage + 1}, {32 >> stage} px")
        for stage, shade in enumerate(STAGE_COLOURS)
    ]
    lines = [
        Line2D([], [], color=VERMILION, linewidth=1.7, label=f"span ≥ {LONG_SPAN}"),
        Line2D([], [], color=GREY, linewidth=1.3, linestyle=(0, (3, 1.5)), label=f"span < {LONG_SPAN}"),
    ]
    figure.legend(handles=[*stages, *lines], loc="outside right center", fontsize=7, handlelength=1.6)


def _name(row: ResultRow) -> str:
    parts = [row.kind]
    if row.config.get("method"):
        parts.append(f"{row.config['method']} {row.config.get('search_epoch') or ''}".strip())
    if row.config.get("pretrained"):
        parts.append("pretrained")
    return f"{', '.join(parts)}, seed {row.seed} (job {row.job})"
