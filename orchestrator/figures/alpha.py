"""Figures 7 and 8: the gates of all 105 edges as upper-triangular heat maps on one colour scale."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from jobs.architectures import BLOCKS, EDGES, STAGES
from jobs.errors import BadInput
from orchestrator.figures.data import AlphaMap, FigureData, NothingToDraw
from orchestrator.figures.style import BLACK, canvas, heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MOST_PANELS = 6
IMPOSSIBLE = "#E4E4E4"


def maps(data: FigureData) -> Figure:
    """Every given map, at most six; all on one scale."""
    if len(data.alphas) > MOST_PANELS:
        raise BadInput(
            f"{len(data.alphas)} maps do not fit in one figure (at most {MOST_PANELS}): choose some by --filter"
        )
    return _draw(data, data.alphas, "Gates of the shortcuts", len({alpha.job for alpha in data.alphas}))


def searched(data: FigureData, pretrained: bool) -> Figure:
    """The first replicate of each method, after its last epoch."""
    fitting = [alpha for alpha in data.alphas if alpha.pretrained == pretrained]
    chosen: dict[str, AlphaMap] = {}
    for alpha in sorted(fitting, key=lambda alpha: (alpha.method, alpha.seed, alpha.job, -alpha.epoch)):
        chosen.setdefault(alpha.method, alpha)
    how = "with" if pretrained else "without"
    searches = len({alpha.job for alpha in fitting})
    return _draw(data, list(chosen.values()), f"Gates of the shortcuts {how} pretraining", searches)


def scale(alphas: Sequence[AlphaMap]) -> float:
    """The top of the one colour scale that starts at 0: the largest gate of all, rounded up to 0.1."""
    largest = max((alpha.gates[i][j] for alpha in alphas for i, j in EDGES), default=1.0)
    return max(0.1, ceil(largest * 10 - 1e-9) / 10)


def _draw(data: FigureData, alphas: Sequence[AlphaMap], what: str, searches: int) -> Figure:
    if not alphas:
        raise NothingToDraw(f"nothing to draw: no such search has written its α yet ({what.lower()})")
    columns = min(len(alphas), 3 if len(alphas) != 4 else 2)
    lines = ceil(len(alphas) / columns)
    figure = canvas(4.0 * columns + 1.0, 3.9 * lines + 0.6)
    top = scale(data.alphas)
    panels = [figure.add_subplot(lines, columns, index + 1) for index in range(len(alphas))]
    images = [_panel(axes, alpha, top) for axes, alpha in zip(panels, alphas, strict=True)]
    figure.colorbar(images[0], ax=panels, shrink=0.8, label="gate (A: σ(α), B: softmax)")
    number = f"{searches} search{'es' if searches > 1 else ''}"
    detail = f"{data.setting()}, n = {number}; outlined: kept; grey: no such edge"
    heading(figure, what, detail)
    return figure


def _panel(axes: Axes, alpha: AlphaMap, top: float) -> AxesImage:
    import numpy as np
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    values = np.full((BLOCKS, BLOCKS), np.nan)
    for source, target in EDGES:
        values[source, target] = alpha.gates[source][target]
    colours = colormaps["viridis"].with_extremes(bad=IMPOSSIBLE)
    image = axes.imshow(np.ma.masked_invalid(values), vmin=0.0, vmax=top, cmap=colours, interpolation="nearest")
    for source, target in alpha.kept:
        for width, ink in ((2.6, BLACK), (1.1, "white")):
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
            axes.axhline(block - 0.5, color="white", linewidth=0.6)
            axes.axvline(block - 0.5, color="white", linewidth=0.6)
    axes.grid(False)
    axes.set_xticks(range(BLOCKS), [str(block) for block in range(BLOCKS)], fontsize=6)
    axes.set_yticks(range(BLOCKS), [str(block) for block in range(BLOCKS)], fontsize=6)
    axes.set_xlabel("to block j", fontsize=8)
    axes.set_ylabel("from block i", fontsize=8)
    how = ", pretrained" if alpha.pretrained else ""
    name = f"{alpha.method}{how}, {alpha.epoch} epoch, seed {alpha.seed} (job {alpha.job}): {len(alpha.kept)} kept"
    axes.set_title(name, fontsize=8)
    return image
