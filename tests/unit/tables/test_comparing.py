"""Groups of a sweep compared: what is best, what cannot be told from it, and the statistics in every format."""

from __future__ import annotations

from typing import Any

import pytest
from scipy import stats

from db.rows import ResultRow
from jobs.reported import Declared
from orchestrator.tables import comparing, default, generic, grid, groupstats, statistics
from orchestrator.tables.grouped import Grouped
from tests.helpers.plausible import row

ACC = {
    "0.1": [90.0, 91.2, 90.4, 91.9, 90.8],
    "0.02": [93.1, 92.9, 93.8, 93.2, 93.5],
    "10": [93.0, 93.2, 93.7, 93.0, 93.5],
}


def rows(seeds: dict[str, list[int]] | None = None, **more: Any) -> list[ResultRow]:
    found = []
    for lr, values in ACC.items():
        for seed, acc in zip((seeds or {}).get(lr, range(5)), values, strict=False):
            config = {"argv": ["python", "train.py", "--lr", "{lr}"], "parameters": {"lr": lr, "same": "1"}}
            metrics = {"val/acc": acc, "val/loss": 100 - acc, "depth": acc}
            found.append(
                row(len(found), kind="command", seed=seed, accuracy=None, metrics=metrics, config=config, **more)
            )
    return found


def table(given: list[ResultRow] | None = None) -> Grouped:
    (part,) = default.parts(given or rows())
    return part.table()


def test_rows_are_what_varies_and_columns_what_is_reported() -> None:
    found = table()
    assert (found.title, found.by, found.metrics) == ("train.py", ("lr",), ("val/acc", "val/loss", "depth"))
    assert [(one.keys, one.n) for one in found.groups] == [(("0.02",), 5), (("0.1",), 5), (("10",), 5)]


def test_the_best_is_bold_where_its_direction_is_known_and_what_is_alike_is_marked() -> None:
    found = table()
    bold, alike = comparing.emphasis(found)
    assert bold == {(0, 0), (0, 1)}, "nobody knows whether a depth is good"
    p = stats.ttest_rel(ACC["10"], ACC["0.02"]).pvalue
    assert p > 0.05 and alike == {(2, 0), (2, 1)}
    shown = generic.to_grid(found, emphasize=True)
    text = grid.markdown(shown)
    assert "| 0.02 | 5 | **93.3 ± 0.4** | **6.70 ± 0.35** | 93.3 ± 0.4 |" in text
    assert "| 10 | 5 | 93.3 ± 0.3† |" in text and "| 0.1 | 5 | 90.9 ± 0.7 |" in text
    assert r"{\boldmath\textbf{$93.3 \pm 0.4$}}" in grid.latex(shown) and r"\textdagger" in grid.latex(shown)
    assert "<strong>93.3 ± 0.4</strong>" in grid.html(shown)
    assert "**" not in grid.markdown(generic.to_grid(found)).partition("\n\n")[2]


def test_a_declared_direction_counts() -> None:
    declared = {"depth": Declared(better="lower")}
    found = table(rows(declared=declared))
    bold, _ = comparing.emphasis(found)
    assert (1, 2) in bold


def test_statistics_are_those_of_scipy_paired_by_the_seeds_that_are_shared() -> None:
    found = table(rows({"0.1": [0, 1, 2, 8, 9], "10": [5, 6, 7, 8, 9]}))
    best, worse, other = comparing.compare(found, 0)
    assert best.reference is None and worse.reference == other.reference == 0
    assert worse.pairs == 3 and worse.paired is not None and worse.welch is not None
    expected = stats.ttest_rel(ACC["0.1"][:3], ACC["0.02"][:3])
    assert worse.paired.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert worse.welch.p == pytest.approx(stats.ttest_ind(ACC["0.1"], ACC["0.02"], equal_var=False).pvalue, rel=1e-9)
    assert (other.pairs, other.paired, other.alike) == (0, None, None) and other.welch is not None
    (record, second, _) = groupstats.records(found)
    assert record["val/acc_reference"] is None and second["val/acc_reference"] == "0.02"
    assert second["val/acc_paired_p"] == worse.paired.p and second["val/acc_pairs"] == 3
    text = grid.markdown(groupstats.grids(found)[0])
    assert "differences are from 0.02 (the best)" in text and "| 0.1 | 5 | 90.9 ± 0.7 |" in text


def test_programs_have_tables_of_their_own_and_what_their_command_lines_differ_in_has_a_name() -> None:
    lines = [["python", "a.py", "--opt", "sgd"], ["python", "a.py", "--opt", "adam", "--fast"], ["./b.sh", "x"]]
    given = [
        row(job, kind="command", seed=0, accuracy=None, metrics={"n": 1.0}, config={"argv": line})
        for job, line in enumerate(lines)
    ]
    first, second = default.parts(given)
    assert (first.title, first.by) == ("a.py", ["opt", "fast"]) and (second.title, second.by) == ("b.sh", ["program"])
    assert [one.keys for one in first.table().groups] == [("adam", "true"), ("sgd", None)]


def stages(*experiments: tuple[str, str]) -> list[ResultRow]:
    """Two jobs of each (experiment, number that it reports), all of one program."""
    return [
        row(
            2 * place + seed, kind="command", seed=seed, accuracy=None, metrics={metric: 1.0 + seed}, experiment=name,
            config={"argv": ["tool", name, "-lr", "{lr}"], "parameters": {"lr": "0.1"}},
        )
        for place, (name, metric) in enumerate(experiments)
        for seed in range(2)
    ]  # fmt: skip


def test_stages_of_one_program_that_share_no_number_are_tables_of_their_own() -> None:
    """fasttext supervised and fasttext test: in one table each row would have only half of the columns."""
    found = default.parts(stages(("train", "loss"), ("test", "precision")))
    assert [(part.title, part.metrics) for part in found] == [("tool, train", ["loss"]), ("tool, test", ["precision"])]
    (together,) = default.parts(stages(("ours", "loss"), ("theirs", "loss")))
    assert (together.title, together.by[0], together.metrics) == ("tool", "experiment", ["loss"])


def test_seeds_that_agree_to_the_last_digit_warn_nobody(recwarn: pytest.WarningsRecorder) -> None:
    """scipy warns of cancellation where all values of a side are nearly one."""
    same, other = [0.903, 0.903 + 2e-16, 0.903], [0.599, 0.604, 0.594]
    for first, second in ((same, other), (other, same), (same, same)):
        assert statistics.welch_t(first, second) is not None and statistics.paired_t(first, second) is not None
    assert not [one for one in recwarn if issubclass(one.category, RuntimeWarning)]


def test_a_parameter_called_n_does_not_hide_the_count() -> None:
    given = [
        row(job, kind="command", seed=0, metrics={"loss": 1.0}, config={"argv": ["x"], "parameters": {"n": str(job)}})
        for job in range(2)
    ]
    (part,) = default.parts(given)
    lines = grid.comma_separated(generic.to_grid(part.table())).splitlines()
    assert lines[0].startswith("config.n,n,expected,") and lines[2].startswith("1,1,1,")
