"""A table of text, and how it is written as Markdown, LaTeX (booktabs), HTML or CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Headings, rows of text, numbered notes, and (for CSV) the same rows as unrounded records."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 2
    """The first so many columns are text, the rest numbers (centred)."""
    notes: Sequence[str] = ()
    """Unnumbered first, then those that start with a superscript number."""
    records: Sequence[Mapping[str, object]] = field(default_factory=tuple)


SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+(?:,[⁰¹²³⁴⁵⁶⁷⁸⁹]+)*")
_PLUS_MINUS = re.compile(r"(\d[\d.]*) ± (\d[\d.]*)")
_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "→": r"$\to$",
    "<": r"$<$",
    ">": r"$>$",
    "α": r"$\alpha$",
    "τ": r"$\tau$",
    "σ": r"$\sigma$",
    "–": "--",
    "…": r"\ldots{}",
}


def markdown(grid: Grid) -> str:
    """A GitHub table with its caption above and its notes below."""
    marks = [":--"] * grid.text_columns + [":-:"] * (len(grid.headings) - grid.text_columns)
    lines = [f"**{_md(grid.caption)}**", "", _md_row(grid.headings), _md_row(marks)]
    lines += [_md_row([_md(cell) for cell in row]) for row in grid.rows]
    if grid.notes:
        lines += ["", "\\\n".join(_md(note) for note in grid.notes)]
    return "\n".join(lines) + "\n"


def latex(grid: Grid) -> str:
    """A table float for the packages booktabs and graphicx, shrunk to the width of the text where it is wider.

    Japanese text needs a Japanese engine (LuaLaTeX, upLaTeX).
    """
    columns = "l" * grid.text_columns + "c" * (len(grid.headings) - grid.text_columns)
    lines = [
        r"% needs \usepackage{booktabs} and \usepackage{graphicx}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_tex(grid.caption)}}}",
        r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        f"    {' & '.join(_tex(heading) for heading in grid.headings)} \\\\",
        r"    \midrule",
    ]
    lines += [f"    {' & '.join(_tex(cell) for cell in row)} \\\\" for row in grid.rows]
    lines += [r"    \bottomrule", r"  \end{tabular}}"]
    lines += [rf"  \\{{\footnotesize {_tex(note)}}}" for note in grid.notes]
    lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"


def html(grid: Grid) -> str:
    """A `<table>` with caption and notes, escaped."""
    return _template().render(grid=grid)


def comma_separated(grid: Grid) -> str:
    """CSV of the unrounded records; of the shown text where there are none."""
    out = io.StringIO()
    if grid.records:
        names = list(dict.fromkeys(name for record in grid.records for name in record))
        writer = csv.DictWriter(out, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(grid.records)
    else:
        plain = csv.writer(out, lineterminator="\n")
        plain.writerow(grid.headings)
        plain.writerows(grid.rows)
    return out.getvalue()


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("orchestrator.tables", ""), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("grid.html.j2")


def _md_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _md(text: str) -> str:
    return re.sub(r"([\\|*_`<\[])", r"\\\1", text.replace("\n", " "))


def _tex(text: str) -> str:
    """Text with its special signs; "93.70 ± 0.22" becomes one formula, which keeps the spacing right."""
    held = _RAISED.sub(lambda match: f"\0{match.group().translate(_PLAIN)}\1", text)
    held = _PLUS_MINUS.sub("\2\\1 \3 \\2\2", held)
    escaped = "".join(_TEX.get(char, char) for char in held)
    for sign, meaning in (("\0", r"\textsuperscript{"), ("\1", "}"), ("\2", "$"), ("\3", r"\pm")):
        escaped = escaped.replace(sign, meaning)
    return escaped
