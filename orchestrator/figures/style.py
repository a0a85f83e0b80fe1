"""The look of all figures: colours safe for the colour-blind (Okabe & Ito, 2008), readable in print and in grey."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

from db.rows import ResultRow
from orchestrator.figures.speech import font
from orchestrator.tables.declared import called
from orchestrator.tables.words import Language

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, YELLOW, BLACK, GREY = "#E69F00", "#56B4E9", "#F0E442", "#000000", "#6B6B6B"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
METHODS: Mapping[str, str] = {"A": BLUE, "B": VERMILION, "vgg19": BLACK, "random": GREY}
MARKERS = "os^DvPX*"
DASHES = ("-", "--", "-.", ":")
_SETTINGS: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "pdf.fonttype": 42,
    "text.parse_math": False,  # a name with two dollar signs is no formula
    "svg.fonttype": "path",
    "svg.hashsalt": "orch",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextmanager
def styled(lang: Language = "en") -> Iterator[None]:
    """Everything drawn inside looks like orch's figures, whatever the user's matplotlibrc says.

    Raises BadInput where no font has the language's signs.
    """
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: MutableMapping[Any, Any] = matplotlib.rcParams
        settings.update(_SETTINGS)
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # that a font has no bold is no news
        if lang == "ja":
            settings["font.family"] = [font(), "DejaVu Sans"]
        yield


def canvas(width: float, height: float) -> Figure:
    """A figure of that size in inches, without pyplot's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def fit(figure: Figure, lang: Language = "en") -> None:
    """Break the heading and the line of details where they are wider than the figure, between two of their words."""
    for text in (figure._suptitle, figure._supxlabel):  # type: ignore[attr-defined]
        if text is not None:
            room = figure.get_figwidth() * 72 * 0.97 / (text.get_fontsize() * (0.5 if lang == "ja" else 0.53))
            text.set_text("\n".join(piece for line in text.get_text().split("\n") for piece in _broken(line, room)))


def _broken(line: str, room: float) -> Iterator[str]:
    """Pieces of a line, each at most `room` half-width signs wide where it has a blank to break at."""
    piece, used = "", 0
    for word in line.split(" "):
        width = sum(2 if east_asian_width(sign) in "WF" else 1 for sign in word)
        if piece and used + 1 + width > room:
            yield piece
            piece, used = word, width
        else:
            piece, used = (f"{piece} {word}", used + 1 + width) if piece else (word, width)
    yield piece


def save(figure: Figure, format: str) -> bytes:
    """The figure's file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[format]
    with warnings.catch_warnings():
        # A study's name may hold signs that no installed font has: boxes are no reason to fail.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format=format, dpi=200, metadata=metadata)
    return buffer.getvalue()


def title(axes: Axes, what: str, detail: str) -> None:
    """What is shown, and below it smaller: study, data set, n."""
    axes.set_title(detail, fontsize=8, color=GREY)
    axes.figure.suptitle(what, x=0.01, ha="left", fontsize=11, fontweight="bold")


def heading(figure: Figure, what: str, detail: str) -> None:
    """Of a figure with several panels: what is shown above, study, data set and n below."""
    figure.suptitle(what, x=0.01, ha="left", fontsize=11, fontweight="bold")
    figure.supxlabel(detail, x=0.01, ha="left", fontsize=8, color=GREY)


def whole_numbers(axes: Axes) -> None:
    """Ticks of the x axis at whole numbers only: there is no epoch 1.5."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def words(metric: str) -> str:
    """A metric's name in a label: 'validation accuracy' for `val_accuracy`."""
    return metric.replace("_", " ").replace("val ", "validation ")


def named(metric: str, rows: Iterable[ResultRow]) -> str:
    """What an axis calls a metric: as it was declared ('Test accuracy (%)'), else its name in words."""
    found = called(metric, rows)
    return words(metric) if found == metric else found


def colour(index: int) -> str:
    return CYCLE[index % len(CYCLE)]
