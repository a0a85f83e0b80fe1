"""Figures in Japanese: their fixed words, and a font that has its signs."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.errors import BadInput
from orchestrator.tables.japanese import japanese

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FONTS = re.compile(
    r"(NotoSans|NotoSerif|SourceHan\w*)(CJK|JP)|ipaex?g|ipag\b|ipam|TakaoGothic|VL-?(P)?Gothic|meiryo|YuGoth|msgothic|"
    r"Hiragino|ヒラギノ|DroidSansFallback",
    re.IGNORECASE,
)
"""Names of the files of fonts with Japanese signs on Linux, macOS and Windows."""


@cache
def font() -> str:
    """The name of a font with Japanese signs. Raises BadInput where this machine has none."""
    from matplotlib import font_manager

    for path in sorted(font_manager.findSystemFonts()):
        if _FONTS.search(Path(path).name):
            try:
                font_manager.fontManager.addfont(path)  # matplotlib's own list may be older than the font
                return str(font_manager.FontProperties(fname=path).get_name())
            except (OSError, RuntimeError):
                continue
    raise BadInput(
        "no font on this machine has Japanese signs: install one (apt-get install fonts-ipafont-gothic), or leave "
        "--lang ja out"
    )


def translate(figure: Figure, *, legends: bool) -> None:
    """Titles, labels and notes of a figure. `legends`: whether those are orch's words, too."""
    from matplotlib.legend import Legend
    from matplotlib.text import Text

    kept: set[int] = set()
    for legend in figure.findobj(Legend):
        if not legends and isinstance(legend, Legend):
            kept.update(map(id, legend.get_texts()))
    for found in figure.findobj(Text):
        if isinstance(found, Text) and id(found) not in kept:
            found.set_text(japanese(found.get_text()))
