"""A table of text, and how it is written as Markdown, LaTeX (booktabs), HTML or CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from orchestrator import text
from orchestrator.tables.headings import Span

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
    bold: frozenset[tuple[int, int]] = frozenset()
    """(row, column) of what is best in its column."""
    label: str = ""
    """For \\label in LaTeX; letters, digits and : . _ + / - alone."""
    above: Sequence[Sequence[Span]] = ()
    """Nested headings: the levels above the last one, the outermost first; `headings` name the whole way then."""
    leaves: Sequence[str] = ()
    """The last level of nested headings."""
    pieces: Sequence[Sequence[int]] = ()
    """Columns that stand together where the whole is too wide for a page: each piece begins with the text columns."""

    def parts(self) -> Sequence[Grid]:
        """The pieces as tables of their own, the notes under the last one; itself where it has none."""
        if not self.pieces:
            return [self]
        found = []
        for place, piece in enumerate(self.pieces):
            columns = [*range(self.text_columns), *piece]
            found.append(
                replace(
                    self,
                    caption=self.caption
                    if len(self.pieces) == 1
                    else f"{self.caption} ({place + 1}/{len(self.pieces)})",
                    headings=[self.headings[column] for column in columns],
                    rows=[[row[column] for column in columns] for row in self.rows],
                    notes=self.notes if place + 1 == len(self.pieces) else (),
                    bold=frozenset((row, columns.index(column)) for row, column in self.bold if column in columns),
                    label=self.label if place == 0 else "",
                    pieces=(),
                )
            )
        return found


ROWS_A_PAGE = 40
"""A float of more rows runs off the page."""
_NUMBER = re.compile(r"^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\Z")
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+(?:,[⁰¹²³⁴⁵⁶⁷⁸⁹]+)*")
_PLUS_MINUS = re.compile(r"(\d[\d.]*) ± (\d[\d.]*)")
_POWER = re.compile(r"(?<![\w.])(?:\(([-−]?\d[\d.]*) ± (\d[\d.]*)\)|([-−]?\d[\d.]*))e(-?\d{1,3})(?![\w.])")
"""'1.2e300', '(1.20 ± 0.14)e-9'."""
_GREEK = (*range(0x3B1, 0x3BF), *range(0x3C0, 0x3C2), *range(0x3C3, 0x3CA))
_LETTERS = (
    *("alpha", "beta", "gamma", "delta", "varepsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu"),
    *("xi", "pi", "rho", "sigma", "tau", "upsilon", "varphi", "chi", "psi", "omega"),
)
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
    "≈": r"$\approx$",
    "≠": r"$\neq$",
    "∞": r"$\infty$",
    "√": r"$\surd$",
    "∈": r"$\in$",
    "∇": r"$\nabla$",
    "∑": r"$\sum$",
    "·": r"$\cdot$",
    "<": r"$<$",
    ">": r"$>$",
    **{chr(code): rf"$\{name}$" for code, name in zip(_GREEK, _LETTERS, strict=True)},
    "Δ": r"$\Delta$",
    "–": "--",
    "…": r"\ldots{}",
    "†": r"\textsuperscript{\textdagger}",
}


def markdown(grid: Grid) -> str:
    """A GitHub table with its caption above and its notes below."""
    marks = [":--"] * grid.text_columns + [":-:"] * (len(grid.headings) - grid.text_columns)
    lines = [
        f"**{_md(grid.caption)}**",
        "",
        _md_row([_md_heading(heading) for heading in grid.headings]),
        _md_row(marks),
    ]
    for place, row in enumerate(grid.rows):
        shown = [f"**{_md(cell)}**" if (place, column) in grid.bold else _md(cell) for column, cell in enumerate(row)]
        lines.append(_md_row(shown))
    if grid.notes:
        lines += ["", "\\\n".join(_md(note) for note in grid.notes)]
    return "\n".join(lines) + "\n"


def latex(grid: Grid) -> str:
    """A table float for the packages booktabs and graphicx, shrunk to the width of the text where it is wider.

    A table with pieces is a float for each, so that none has to shrink until nobody can read it, and so are each
    ROWS_A_PAGE rows of a long one; where all is text, lines are broken. Japanese text needs a Japanese engine
    (LuaLaTeX, upLaTeX).
    """
    if grid.pieces or len(grid.rows) > ROWS_A_PAGE:
        return "\n".join(latex(page) for part in grid.parts() for page in _pages(part))
    prose = grid.text_columns >= len(grid.headings)
    columns = _broken(grid) if prose else "l" * grid.text_columns + "c" * (len(grid.headings) - grid.text_columns)
    lines = [
        rf"% needs \usepackage{{booktabs}} and \usepackage{{{'array' if prose else 'graphicx'}}}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_tex(grid.caption)}}}" + (rf"\label{{{grid.label}}}" if grid.label else ""),
        r"  \small" if prose else r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        *_tex_above(grid),
        f"    {' & '.join(_tex(heading) for heading in (grid.leaves or grid.headings))} \\\\",
        r"    \midrule",
    ]
    for place, row in enumerate(grid.rows):
        shown = [_tex_bold(cell) if (place, column) in grid.bold else _tex(cell) for column, cell in enumerate(row)]
        if shown and shown[0].startswith(("[", "*")):  # which \\ would take for its own
            shown[0] = f"{{{shown[0][0]}}}{shown[0][1:]}"
        lines.append(f"    {' & '.join(shown)} \\\\")
    lines += [r"    \bottomrule", r"  \end{tabular}" + ("" if prose else "}")]
    lines += [rf"  \\{{\footnotesize {_tex(note)}}}" for note in grid.notes]
    lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"


def _pages(grid: Grid) -> Sequence[Grid]:
    """As many rows as a page has room for, each with the headings; the notes under the last."""
    starts = range(0, len(grid.rows), ROWS_A_PAGE)
    if len(starts) < 2:
        return [grid]
    return [
        replace(
            grid,
            caption=f"{grid.caption} ({place + 1}/{len(starts)})",
            rows=grid.rows[start : start + ROWS_A_PAGE],
            notes=grid.notes if place + 1 == len(starts) else (),
            bold=frozenset((row - start, column) for row, column in grid.bold if 0 <= row - start < ROWS_A_PAGE),
            label=grid.label if place == 0 else "",
        )
        for place, start in enumerate(starts)
    ]


def _broken(grid: Grid) -> str:
    """Columns that break their lines: by and large as wide as what stands in them, together as wide as the text."""
    columns = list(zip(grid.headings, *grid.rows, strict=True))
    words = [max(len(word) for cell in cells for word in cell.split() or [""]) for cells in columns]
    weights = [
        max(2.4 * word, min(float(max(map(len, cells))), 60.0)) for word, cells in zip(words, columns, strict=True)
    ]
    widths = [(0.98 - 0.04 * len(weights)) * weight / sum(weights) for weight in weights]
    return "@{}" + "".join(rf">{{\raggedright\arraybackslash}}p{{{one:.2f}\linewidth}}" for one in widths) + "@{}"


def html(grid: Grid) -> str:
    """A `<table>` with caption and notes, escaped."""
    return _template().render(grid=grid)


def comma_separated(grid: Grid) -> str:
    """CSV of the unrounded records; of the shown text where there are none."""
    out = io.StringIO()
    if grid.records:
        names = list(dict.fromkeys(name for record in grid.records for name in record))
        writer = csv.DictWriter(out, names, lineterminator="\n")
        writer.writerow({name: _cell(name) for name in names})
        writer.writerows({name: _cell(value) for name, value in record.items()} for record in grid.records)
    else:
        shown = csv.writer(out, lineterminator="\n")
        shown.writerow([_cell(heading) for heading in grid.headings])
        shown.writerows([_cell(value) for value in row] for row in grid.rows)
    return out.getvalue()


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("orchestrator.tables", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    return environment.get_template("grid.html.j2")


def _cell(value: object) -> object:
    """Text is text for a spreadsheet too; what looks like a number stays one."""
    return text.cell(text.plain(value)) if isinstance(value, str) and not _NUMBER.match(value) else value


def _visible(value: object) -> object:
    """For the templates: markup is orch's own, everything else is data."""
    return text.plain(value) if type(value) is str else value


def _md_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _md(words: str) -> str:
    return re.sub(r"([\\|*_`<\[~$]|&(?=#?\w+;))", r"\\\1", text.plain(words.replace("\n", " ")))


def _md_heading(words: str) -> str:
    """As `_md`, but names keep their underscores: inside a word these mean nothing."""
    return re.sub(r"(?<=\w)\\_(?=\w)", "_", _md(words))


def _power(match: re.Match[str]) -> str:
    """A number with a power of ten as one formula, in marks of `_tex`."""
    mean, std, alone, power = match.groups()
    first = (f"({mean} \3 {std})" if mean else alone).replace("−", "-")
    times = "" if first == "1" else first + " \4 "
    return f"\2{times}10\5{power}\1\2"


def _tex_above(grid: Grid) -> list[str]:
    """Each level of nested headings, and a rule under every heading of several columns."""
    lines = []
    for level in grid.above:
        first = level[0].start if level else 0
        heads = [rf"\multicolumn{{{span.width}}}{{c}}{{{_tex(span.text)}}}" for span in level]
        lines.append(f"    {' & '.join([*[''] * first, *heads])} \\\\")
        rules = [rf"\cmidrule(lr){{{span.start + 1}-{span.start + span.width}}}" for span in level]
        lines.append(f"    {' '.join(rules)}")
    return lines


def _tex_bold(words: str) -> str:
    r"""Bold in text and in formulas, which \textbf alone leaves as they are."""
    return rf"{{\boldmath\textbf{{{_tex(words)}}}}}"


def _tex(words: str) -> str:
    """Text with its special signs; "93.70 ± 0.22" becomes one formula, which keeps the spacing right."""
    shown = text.plain(words)  # so the marks below are ours alone
    held = _RAISED.sub(lambda match: f"\0{match.group().translate(_PLAIN)}\1", shown)
    held = _POWER.sub(_power, held)
    held = _PLUS_MINUS.sub("\2\\1 \3 \\2\2", held)
    escaped = "".join(_TEX.get(char, char) for char in held)
    for sign, meaning in (
        ("\0", r"\textsuperscript{"),
        ("\1", "}"),
        ("\2", "$"),
        ("\3", r"\pm"),
        ("\4", r"\times"),
        ("\5", "^{"),
    ):
        escaped = escaped.replace(sign, meaning)
    return escaped
