"""LaTeX that fits the page: long tables go on, prose breaks its lines, statistics are split (`make latex` looks)."""

from __future__ import annotations

import re

from orchestrator.comparison import anystudy, wording
from orchestrator.tables.grid import ROWS_A_PAGE, Grid, latex
from tests.helpers import sweep


def test_a_long_table_goes_on_in_floats_that_a_page_holds() -> None:
    rows = [[f"r{n}", f"{n}.5"] for n in range(2 * ROWS_A_PAGE + 1)]
    whole = Grid(caption="Long", headings=["a", "b"], rows=rows, text_columns=1, notes=["said once"], label="tab:x",
                 bold=frozenset({(ROWS_A_PAGE + 3, 1)}))  # fmt: skip
    shown = latex(whole)
    assert [shown.count(word) for word in (r"\begin{table}", "a & b", "said once", r"\label{tab:x}")] == [3, 3, 1, 1]
    assert re.findall(r"\br(\d+) &", shown) == [f"{n}" for n in range(len(rows))], "every row once, in order"
    (bold,) = [line for line in shown.splitlines() if "boldmath" in line]
    assert bold.strip().startswith(f"r{ROWS_A_PAGE + 3} ")


def test_a_table_of_text_alone_breaks_its_lines_within_the_text() -> None:
    shown = latex(Grid(caption="c", headings=["part", "answer"], rows=[["code", "word " * 40]], text_columns=2))
    widths = [float(one) for one in re.findall(r"p\{([\d.]+)\\linewidth\}", shown)]
    assert len(widths) == 2 and widths[0] < widths[1] and sum(widths) < 0.95
    assert "resizebox" not in shown and r"\usepackage{array}" in shown


def test_no_p_leaves_what_its_n_could_have_shown() -> None:
    grid = wording.family_grid(anystudy.compare(sweep.rows(4), ["opt"], "acc", tasks=["lr"], margin=1.0).family)
    parts = [part.headings for part in grid.parts()]
    assert parts[1] == ["task", "comparison", "n", "p", "p (Holm)", "smallest shown", "n needed"]
    assert parts[0][:4] == ["task", "comparison", "n", "difference (95 %)"] and "within ±1" in parts[0]
    assert {name for part in parts for name in part} == set(grid.headings)
