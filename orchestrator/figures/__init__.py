"""Where does a picture come from? The report's figures and a few more; matplotlib is imported on use only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.errors import BadInput
from jobs.files import publish
from orchestrator.figures import alpha, compared, curves, gantt, general, graph, scatter
from orchestrator.figures.data import AlphaMap, Axes, FigureData, NothingToDraw, alpha_maps
from orchestrator.figures.speech import translate
from orchestrator.figures.style import fit, save, styled
from orchestrator.tables.words import Language

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "FORMATS", "AlphaMap", "Axes", "FigureData", "NothingToDraw", "alpha_maps", "draw", "image"]

FIGURES: Mapping[str, tuple[str, Callable[[FigureData], Figure]]] = {
    "fig1": ("accuracy against parameters", scatter.parameters),
    "fig2": ("accuracy against number of shortcuts", scatter.shortcuts),
    "fig3": ("test accuracy during the search, from scratch and pretrained", curves.search),
    "fig4": ("an architecture of method A", lambda data: graph.searched(data, "A", False)),
    "fig5": ("an architecture of method B", lambda data: graph.searched(data, "B", False)),
    "fig6": ("an architecture of method A, pretrained", lambda data: graph.searched(data, "A", True)),
    "fig7": ("how the gates moved, without pretraining", lambda data: alpha.searched(data, False)),
    "fig8": ("how the gates moved, with pretraining", lambda data: alpha.searched(data, True)),
    "graph": ("the architectures of the chosen jobs", graph.graphs),
    "alpha": ("how the gates of the chosen searches moved", alpha.maps),
    "curves": ("learning curves with a band over seeds", curves.learning),
    "bars": ("means of any study with seeds, intervals and n", general.bars),
    "box": ("the spread over seeds of any study", general.boxes),
    "scatter": ("the seeds of any study against a parameter or another number", general.scatter),
    "heatmap": ("means over two parameters", general.heatmap),
    "forest": ("differences with intervals, and what n could have shown", compared.forest),
    "paired": ("pairs of seeds, joined", compared.paired),
    "profile": ("the share of runs above a score, for each group", compared.profiles),
    "pareto": ("the Pareto front of accuracy and parameters", scatter.pareto),
    "gantt": ("executions by node, with causes", gantt.gantt),
}
"""Name → (what it shows, how it is drawn)."""
FORMATS = ("png", "svg", "pdf")
GENERAL = frozenset({"bars", "box", "scatter", "heatmap", "profile"})
"""Whose legends are a parameter's values."""


def image(name: str, data: FigureData, format: str, lang: Language = "en") -> bytes:
    """A figure as a file's bytes. Raises BadInput (name, format, mixed data sets, no font), NothingToDraw."""
    if name not in FIGURES:
        near = get_close_matches(name, FIGURES, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known figures: {', '.join(FIGURES)}"
        raise BadInput(f"unknown figure '{name}': {hint}")
    if format not in FORMATS:
        raise BadInput(f"cannot draw a figure as '{format}': end the file in .{', .'.join(FORMATS)}")
    with styled(lang):
        figure = FIGURES[name][1](data)
        if lang == "ja":
            translate(figure, legends=name not in GENERAL)
        fit(figure, lang)
        return save(figure, format)


def draw(name: str, data: FigureData, out: Path, lang: Language = "en") -> None:
    """Draw a figure into a file; its suffix says the format. Raises BadInput, also where `out` cannot be written."""
    content = image(name, data, out.suffix.removeprefix(".").lower(), lang)
    try:
        publish(out, content)
    except OSError as error:
        raise BadInput(f"cannot write '{out}': {error.strerror}; choose another --out") from None
