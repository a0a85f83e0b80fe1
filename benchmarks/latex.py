"""`make latex`: does LaTeX take every table that orch writes, and can a person read what it makes of it?

Typesets made-up studies in a plain article (10 pt, A4). Fails where the engine stops, where anything is wider or
higher than the page, and where a table is shrunk below \\tiny (5 pt). It is no part of `make test`: LaTeX is 100 MB.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from db.layouts import Layout
from orchestrator.report import checklist, questions, watched
from orchestrator.report.data import ReportData
from orchestrator.report.laid import laid_out
from orchestrator.tables import default, generic, groupstats, render, stats, table2
from orchestrator.tables.grid import Grid, latex
from tests.helpers import plausible, sweep

SIZE, LEAST = 10.0, 5.0
"""Points of a letter: of the article, and of \\tiny in it, the smallest that anybody should have to read."""
ODD = "a_b & 50 % #1 $x^2$ {y} \\z ~ <i> “é” ß ± − × ≥ → λ Δ … † 1.2e-9 ≈ ∞ 3 ± 0.1"
ARTICLE = r"""\documentclass[10pt,a4paper]{article}
\usepackage{booktabs}\usepackage{graphicx}\usepackage{array}
\let\shrunk\resizebox
\renewcommand{\resizebox}[3]{\setbox0\hbox{#3}\typeout{WIDTH \the\wd0 OF \the\linewidth}\shrunk{#1}{#2}{#3}}
\begin{document}
%s
\end{document}
"""


def tables() -> Iterator[tuple[str, Sequence[Grid]]]:
    """What `table`, `--stats`, `compare`, `--by`, `[table]` and `report --checklist` write, by name."""
    rows = plausible.study_rows(10)
    (table,) = table2.build_all(rows)
    yield "table", [render.to_grid(table)]
    yield "table --stats", stats.compute(table).grids()
    yield "compare", questions.answers(rows, margin=0.3).grids()
    programs = [replace(one, study=ODD) for one in sweep.rows(8)]
    yield "compare --margin", questions.answers(programs, margin=0.3).grids()
    for part in default.parts(programs):
        yield "table of a program", [generic.to_grid(part.table(), emphasize=True), *groupstats.grids(part.table())]
    yield "120 rows", [generic.to_grid(generic.group(rows, ["seed", "kind", "method", "search_epoch"]))]
    layout = Layout(rows=("opt",), columns=("lr", "metric"), metrics=("acc",), baseline={"opt": "sgd"}, caption=ODD,
                    labels={"opt": "a_b & λ"}, values={"opt": {"sgd": "[SGD]"}}, filters=("lr<5",))  # fmt: skip
    yield "[table]", [one.grid() for one in laid_out([layout], programs, programs)]
    given = ReportData(study="s", made_at=datetime(2026, 1, 6, tzinfo=UTC), rows=rows, curves=plausible.curves(rows))
    yield "report --checklist", [checklist.grid(given)]
    yield "searches under watch", watched.grids(rows, plausible.curves(rows))


def faults(engine: str, name: str, grids: Sequence[Grid]) -> list[str]:
    """What is wrong with these tables on paper; prints the size of the smallest letters."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "t.tex").write_text(ARTICLE.replace("%s", "\n".join(map(latex, grids))), "utf-8")
        done = subprocess.run(
            [engine, "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
            cwd=folder,
            capture_output=True,
            check=False,
        )
        said = Path(folder, "t.log").read_text("utf-8", errors="replace")
    if done.returncode:
        return [f"{name}: {re.findall('^! .*', said, re.MULTILINE)[:1]}"]
    found = [f"{name}: {line}" for line in re.findall(r"^(?:Overfull .hbox|.*Float too large).*", said, re.MULTILINE)]
    sizes = [SIZE * min(1.0, float(b) / float(a)) for a, b in re.findall(r"WIDTH ([\d.]+)pt OF ([\d.]+)pt", said)]
    sizes += [SIZE * min(1.0, float(b) / float(a)) for a, b in re.findall(r"WIDTH ([\d.]+)ptOF ([\d.]+)pt", said)]
    print(f"{name}: {len(grids)} tables, letters of {min(sizes, default=9.0):.1f} pt or more")
    return found + [f"{name}: letters of {one:.1f} pt" for one in sizes if one < LEAST]


def main() -> int:
    engine = shutil.which("pdflatex")
    if engine is None:
        print("!!! NO table was typeset. Get LaTeX with: sudo apt-get install texlive-latex-recommended")
        return 0
    found = [fault for name, grids in tables() for fault in faults(engine, name, grids)]
    print("\n".join(found) or "all of it typeset, within the page")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
