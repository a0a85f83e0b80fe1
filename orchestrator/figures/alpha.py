"""Figures 7 and 8: how far the gates of all 105 edges moved from their start, as heat maps on one diverging scale.

At the start a gate of A is ½, and one of B is 1/(sources + 1): the gates themselves would show how many sources a block
has, not what the search decided. Below B's edges stands "none", which they compete with.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isfinite, nan
from typing import TYPE_CHECKING

from jobs.architectures import BLOCKS, EDGES, STAGES
from jobs.errors import BadInput
from jobs.shortcuts.discretise import TARGETS, Method, initial_gate
from orchestrator.figures.data import AlphaMap, FigureData, NothingToDraw
from orchestrator.figures.style import BLACK, canvas, heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MOST_PANELS = 6
IMPOSSIBLE = "#DCDCDC"
LINE = "#8A8A8A"
"""Between stages."""


def maps(data: FigureData) -> Figure:
    """Every given map, at most six; all on one scale."""
    if len(data.alphas) > MOST_PANELS:
        raise BadInput(
            f"{len(data.alphas)} maps do not fit in one figure (at most {MOST_PANELS}): choose some by --filter"
        )
    return _draw(data, data.alphas, "How the gates moved", len({alpha.job for alpha in data.alphas}))


def searched(data: FigureData, pretrained: bool) -> Figure:
    """The first replicate of each method, after its last epoch."""
    fitting = [alpha for alpha in data.alphas if alpha.pretrained == pretrained]
    chosen: dict[str, AlphaMap] = {}
    for alpha in sorted(fitting, key=lambda alpha: (alpha.method, alpha.seed, alpha.job, -alpha.epoch)):
        chosen.setdefault(alpha.method, alpha)
    how = "with" if pretrained else "without"
    searches = len({alpha.job for alpha in fitting})
    return _draw(data, list(chosen.values()), f"How the gates moved {how} pretraining", searches)


def moves(alpha: AlphaMap) -> list[list[float]]:
    """Gate minus its start: 16 rows (from block i) of 16 (to block j), NaN where there is no edge; for B a 17th of
    "none"."""
    values = [[nan] * BLOCKS for _ in range(BLOCKS + bool(alpha.none))]
    method: Method = "B" if alpha.method == "B" else "A"
    for source, target in EDGES:
        values[source][target] = alpha.gates[source][target] - initial_gate(target, method)
    if alpha.none:
        for target in TARGETS:
            values[BLOCKS][target] = alpha.none[target] - initial_gate(target, "B")
    return values


def scale(alphas: Sequence[AlphaMap]) -> float:
    """The end of the one diverging scale around 0: the largest move of all, rounded up to 0.1, or to 0.01 below it."""
    largest = max(
        (abs(move) for alpha in alphas for row in moves(alpha) for move in row if isfinite(move)), default=1.0
    )
    step = 10 if largest > 0.1 else 100
    return max(0.01, ceil(largest * step - 1e-9) / step)


def _draw(data: FigureData, alphas: Sequence[AlphaMap], what: str, searches: int) -> Figure:
    if not alphas:
        raise NothingToDraw(f"nothing to draw: no such search has written its α yet ({what.lower()})")
    columns = min(len(alphas), 3 if len(alphas) != 4 else 2)
    lines = ceil(len(alphas) / columns)
    figure = canvas(4.0 * columns + 1.0, 3.9 * lines + 0.6)
    top = scale(data.alphas)
    panels = [figure.add_subplot(lines, columns, index + 1) for index in range(len(alphas))]
    images = [_panel(axes, alpha, top) for axes, alpha in zip(panels, alphas, strict=True)]
    figure.colorbar(images[0], ax=panels, shrink=0.8, label="gate minus its start (A: σ(α), B: softmax)")
    number = f"{searches} search{'es' if searches > 1 else ''}"
    detail = f"{data.setting()}, n = {number}; outlined: kept; grey: no such edge; last row of B: none"
    heading(figure, what, detail)
    return figure


def _panel(axes: Axes, alpha: AlphaMap, top: float) -> AxesImage:
    import numpy as np
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    values = np.ma.masked_invalid(np.array(moves(alpha)))
    colours = colormaps["PuOr_r"].with_extremes(bad=IMPOSSIBLE)
    image = axes.imshow(values, vmin=-top, vmax=top, cmap=colours, interpolation="nearest")
    for source, target in alpha.kept:
        for width, ink in ((2.6, "white"), (1.3, BLACK)):
            axes.add_patch(
                Rectangle(
                    (target - 0.5, source - 0.5),
                    1,
                    1,
                    fill=False,
                    edgecolor=ink,
                    linewidth=width,
                    zorder=3,
                    clip_on=False,
                )
            )
    for block in range(1, BLOCKS):
        if STAGES[block] != STAGES[block - 1]:
            axes.axhline(block - 0.5, color=LINE, linewidth=0.5)
            axes.axvline(block - 0.5, color=LINE, linewidth=0.5)
    if alpha.none:
        axes.axhline(BLOCKS - 0.5, color="white", linewidth=3.0)
    axes.grid(False)
    axes.set_xticks(range(BLOCKS), [str(block) for block in range(BLOCKS)], fontsize=6)
    sources = [*map(str, range(BLOCKS)), *(["none"] if alpha.none else [])]
    axes.set_yticks(range(len(sources)), sources, fontsize=6)
    axes.set_xlabel("to block j", fontsize=8)
    axes.set_ylabel("from block i", fontsize=8)
    how = ", pretrained" if alpha.pretrained else ""
    name = f"{alpha.method}{how}, {alpha.epoch} epoch, seed {alpha.seed} (job {alpha.job}): {len(alpha.kept)} kept"
    axes.set_title(name, fontsize=8)
    return image
