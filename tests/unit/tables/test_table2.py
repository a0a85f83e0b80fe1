"""Table 2: cells, completeness, the report's digits, footnotes, and what is never mixed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.rows import ResultRow
from jobs.errors import BadInput
from jobs.words import JobState
from orchestrator.tables import render, stats, table2
from orchestrator.tables.cells import Cell, job_list
from tests.helpers.plausible import PUBLISHED, published_rows, row, study_rows

A50 = {"method": "A", "search_epoch": 50}


def searched(n: int, start: int = 1, **values: Any) -> list[ResultRow]:
    config = {**A50, **values.pop("config", {})}
    return [row(start + seed, seed=seed, config=config, accuracy=93.0 + seed / 10, **values) for seed in range(n)]


def cells_of(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith("|") and name in line)
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def published_cells() -> list[list[str]]:
    """The report's rows as its own text."""
    found = []
    for one in PUBLISHED["rows"]:
        shown = []
        for name, digits in (("test_accuracy", 2), ("params_m", 2), ("shortcuts", 1), ("random_accuracy", 2)):
            value = one[name]
            if value is None:
                shown.append("-")  # nobody submitted such jobs
            elif value["std"] is None:
                shown.append("0" if value["mean"] == 0 else f"{value['mean']:.{digits}f}")
            else:
                shown.append(f"{value['mean']:.{digits}f} ± {value['std']:.{digits}f}")
        found.append(shown)
    return found


def test_the_reports_numbers_come_out_to_the_digit_in_markdown() -> None:
    text = render.render(table2.build(published_rows()), "md")
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert [[cell.strip() for cell in line.strip("|").split("|")][2:] for line in lines] == published_cells()
    names = [[cell.strip() for cell in line.strip("|").split("|")][:2] for line in lines]
    assert [name for name, _ in names] == [
        "architecture search A", "", "", "architecture search B", "", "", "baseline (VGG19)¹",
    ]  # fmt: skip
    assert [epoch for _, epoch in names] == ["50 epoch", "100 epoch", "150 epoch"] * 2 + [""]


def test_the_reports_numbers_come_out_to_the_digit_in_latex_and_html() -> None:
    table = table2.build(published_rows())
    tex = render.render(table, "tex")
    assert r"\toprule" in tex and r"\midrule" in tex and r"\bottomrule" in tex
    bodies = tex.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    shown = [[cell.strip() for cell in line.strip().removesuffix(r"\\").split("&")][2:] for line in bodies]
    assert shown == [
        [f"${cell.replace('±', chr(92) + 'pm')}$" if "±" in cell else cell for cell in one] for one in published_cells()
    ]
    page = render.render(table, "html")
    rows = re.findall(r"<tr>(.*?)</tr>", page)[1:]
    assert [re.findall(r"<td>(.*?)</td>", one)[2:] for one in rows] == published_cells()


def test_japanese_headings() -> None:
    text = render.render(table2.build(published_rows()), "md", lang="ja")
    assert "| アーキテクチャ |" in text and "テスト精度 (%)" in text and "アーキテクチャ探索 A" in text
    assert "93.70 ± 0.22" in text and "50 エポック" in text


def test_the_json_contract() -> None:
    found = json.loads(render.render(table2.build(searched(3)), "json"))
    assert set(found) == {"dataset", "preset", "rows"}
    assert (found["dataset"], found["preset"]) == ("cifar10", "report")
    (one,) = found["rows"]
    assert one == {
        "architecture": "A",
        "epoch": 50,
        "n": 3,
        "expected": 3,
        "test_accuracy": {"mean": pytest.approx(93.1), "std": pytest.approx(0.1)},
        "params_m": {"mean": pytest.approx(20.040522), "std": 0.0},
        "shortcuts": {"mean": 0.0, "std": 0.0},
        "random_accuracy": None,
    }


def test_one_value_has_no_std() -> None:
    table = table2.build(searched(1))
    assert json.loads(render.render(table, "json"))["rows"][0]["test_accuracy"] == {"mean": 93.0, "std": None}
    assert cells_of(render.render(table, "md"), "50 epoch")[2] == "93.00"


def test_incomplete_and_pending_cells_show_no_number() -> None:
    rows = searched(8)
    rows += [row(9 + k, seed=8 + k, config=A50, accuracy=None, state=JobState.RUNNING) for k in range(2)]
    rows += [row(20 + k, kind="random-baseline", seed=k, config=A50, accuracy=None) for k in range(10)]
    table = table2.build(rows)
    text = render.render(table, "md")
    assert cells_of(text, "50 epoch")[2:] == ["8/10", "8/10", "8/10", "pending"]
    one = json.loads(render.render(table, "json"))["rows"][0]
    assert (one["n"], one["expected"]) == (8, 10)
    assert one["test_accuracy"]["mean"] == pytest.approx(93.35)
    assert one["random_accuracy"] == {"mean": None, "std": None, "n": 0, "expected": 10}
    line = render.render(table, "csv").splitlines()[1]
    assert "8/10,8,10,,,,,,,pending,0,10,," in line
    assert "93.35" in render.render(table, "md", stats=stats.compute(table))


def test_a_failed_job_keeps_its_cell_incomplete_and_a_cancelled_one_does_not_count() -> None:
    rows = [*searched(3), row(4, seed=3, config=A50, accuracy=None, state=JobState.FAILED)]
    text = render.render(table2.build(rows), "md")
    assert cells_of(text, "50 epoch")[2] == "3/4" and "failed: job 4" in text
    cancelled = [*rows[:3], replace(rows[3], state=JobState.CANCELLED)]
    assert cells_of(render.render(table2.build(cancelled), "md"), "50 epoch")[2] == "93.10 ± 0.10"


def test_a_diverged_job_is_not_counted() -> None:
    rows = [*searched(3), row(4, seed=3, config=A50, accuracy=None, state=JobState.SUCCEEDED)]
    text = render.render(table2.build(rows), "md")
    assert cells_of(text, "50 epoch")[2] == "3/4" and "without a finite test accuracy" in text
    named = [*rows[:-1], replace(rows[-1], metrics={**rows[-1].metrics, "test_accuracy": None})]
    text = render.render(table2.build(named), "md")
    assert cells_of(text, "50 epoch")[2] == "3/4" and "job 4, seed 3: not finite at its last epoch" in text


def test_a_number_has_its_own_n() -> None:
    rows = searched(3)
    fewer = [replace(rows[0], metrics={name: one for name, one in rows[0].metrics.items() if name != "params"})]
    table = table2.build([*fewer, *rows[1:]])
    assert cells_of(render.render(table, "md"), "50 epoch")[3].endswith("(n = 2)")
    assert "(n = 2)" in render.render(table, "html") and "(n = 2)" in render.render(table, "tex")
    (found,) = table.contract()["rows"]
    assert found["n"] == 3 and found["params_m"]["n"] == 2 and "n" not in found["test_accuracy"]
    heading, line = render.render(table, "csv").splitlines()
    record = dict(zip(heading.split(","), line.split(","), strict=True))
    assert record["n"] == "3" and record["params_m_n"] == "2"


def test_more_architectures_can_be_expected_than_there_are_jobs() -> None:
    table = table2.build(searched(3), expected={("A", 50): 10, ("B", 150): 10})
    found = table.contract()["rows"]
    assert [(one["architecture"], one["epoch"], one["n"], one["expected"]) for one in found] == [
        ("A", 50, 3, 10),
        ("B", 150, 0, 10),
    ]
    assert cells_of(render.render(table, "md"), "150 epoch")[2] == "pending"


def test_the_architecture_is_the_unit() -> None:
    rows = [
        row(1, seed=0, config=A50, accuracy=92.0, architecture="x"),
        row(2, seed=0, config={**A50, "repeat": 1}, accuracy=94.0, architecture="x"),
        row(3, seed=1, config=A50, accuracy=95.0, architecture="y"),
    ]
    one = table2.build(rows).contract()["rows"][0]
    assert (one["n"], one["expected"]) == (2, 2)
    assert one["test_accuracy"] == {"mean": 94.0, "std": pytest.approx(2**0.5)}
    waiting = [*rows, row(4, seed=1, config={**A50, "repeat": 1}, accuracy=None, state=JobState.RUNNING)]
    assert cells_of(render.render(table2.build(waiting), "md"), "50 epoch")[2] == "3/4"


def test_the_baseline_is_one_architecture_over_training_seeds() -> None:
    vgg = {"architecture": "vgg19"}
    rows = [row(1 + seed, seed=seed, config=vgg, accuracy=93.0 + seed, architecture="v") for seed in range(3)]
    table = table2.build(rows)
    text = render.render(table, "md")
    assert cells_of(text, "baseline") == ["baseline (VGG19)¹", "", "94.00 ± 1.00", "20.04", "0", "-"]
    assert "¹ one architecture: ± over training seeds, n = 3" in text
    assert table.contract()["rows"][0]["random_accuracy"] is None


def test_random_architectures_that_match_nothing_are_a_row_of_their_own() -> None:
    rows = [row(1 + seed, kind="random-baseline", seed=seed, accuracy=93.0 + seed) for seed in range(3)]
    (one,) = table2.build(rows).contract()["rows"]
    assert (one["architecture"], one["epoch"], one["n"]) == ("random", None, 3)
    assert cells_of(render.render(table2.build(rows), "md"), "random architectures")[2] == "94.00 ± 1.00"


def test_rows_are_in_the_reports_order() -> None:
    rows = [
        row(1, kind="random-baseline"),
        row(2, config={"architecture": "vgg19"}),
        row(3, config={"method": "B", "search_epoch": 50}),
        row(4, config={"method": "A", "search_epoch": 150}),
        row(5, config={"method": "A", "search_epoch": 50}),
    ]
    found = [(one.architecture, one.epoch) for one in table2.build(rows).rows]
    assert found == [("A", 50), ("A", 150), ("B", 50), ("vgg19", None), ("random", None)]


def test_data_sets_and_presets_are_never_mixed() -> None:
    rows = searched(2) + searched(2, 10, dataset="digits", preset="demo", config={"dataset": "digits"})
    with pytest.raises(BadInput, match=r"never mixes data sets.*--filter dataset="):
        table2.build(rows)
    tables = table2.build_all(rows)
    assert [(table.dataset, table.preset, table.rows[0].cell.n) for table in tables] == [
        ("cifar10", "report", 2),
        ("digits", "demo", 2),
    ]
    text = render.render(tables, "md")
    assert "CIFAR-10, preset report, study synthetic" in text and "(digits, preset demo, study synthetic)" in text


def test_differing_configs_split_a_cell_and_say_by_what() -> None:
    rows = searched(2) + searched(3, 10, config={"lr": 0.1})
    found = table2.build(rows).contract()["rows"]
    assert [(one["variant"], one["n"]) for one in found] == [({"lr": "0.0090131"}, 2), ({"lr": "0.1"}, 3)]
    assert "(lr 0.1)" in render.render(table2.build(rows), "md")


def test_a_variant_stands_beside_its_own_random_architectures() -> None:
    rows = searched(2) + searched(2, 10, config={"pretrained": True})
    rows += searched(2, 20, kind="random-baseline", config={"pretrained": True})
    table = table2.build(rows)
    assert [(one.variant, one.random is None) for one in table.rows] == [
        ({"pretrained": "false"}, True),
        ({"pretrained": "true"}, False),
    ]
    assert "| 50 epoch |" in render.render(table, "md") and "| 50 epoch (pretrained) |" in render.render(table, "md")


def test_architectures_of_differing_searches_are_never_mixed() -> None:
    searches = [
        row(
            100 + seed,
            kind="search",
            seed=seed,
            config={"method": "A", "readouts": (50,), **({"tau": 0.6} if seed else {})},
        )
        for seed in range(2)
    ]
    rows = [row(1 + seed, seed=seed, config={**A50, "search": 100 + seed}) for seed in range(2)]
    found = table2.build(rows + searches).contract()["rows"]
    assert [(one["variant"], one["n"]) for one in found] == [({"search tau": "0"}, 1), ({"search tau": "0.6"}, 1)]
    alike = table2.build(rows + [replace(one, config={"method": "A"}) for one in searches]).contract()["rows"]
    assert [one["n"] for one in alike] == [2] and "variant" not in alike[0]


def test_two_ways_of_matching_are_two_rows() -> None:
    rows = searched(2) + searched(2, 10, kind="random-baseline", config={"match": "count"})
    rows += searched(3, 20, kind="random-baseline", config={"match": "indegree"})
    found = [(one.variant["random match"], one.random.n if one.random else 0) for one in table2.build(rows).rows]
    assert found == [("count", 2), ("indegree", 3)]


def test_differing_code_and_devices_inside_a_cell_are_footnoted() -> None:
    rows = searched(2, code="1+aa", device_name="H100") + searched(2, 10, code="1+bb", device_name="A100")
    rows[2:] = [replace(one, seed=one.seed + 2) for one in rows[2:]]
    rows[0] = replace(rows[0], code_changed=True, flags={"match": "nearest of 100000 draws"})
    text = render.render(table2.build(rows), "md")
    assert "differing code versions: 1+aa (jobs 1–2); 1+bb (jobs 10–11)" in text
    assert "differing devices: A100 (jobs 10–11); H100 (jobs 1–2)" in text
    assert "other code than they were submitted with: job 1" in text
    assert "match: nearest of 100000 draws (job 1)" in text
    assert cells_of(text, "50 epoch")[1] == "50 epoch¹,²,³"
    assert r"50 epoch\textsuperscript{1,2,3}" in render.render(table2.build(rows), "tex")


def test_nothing_yet_is_an_empty_table() -> None:
    assert json.loads(render.render(table2.build([]), "json")) == {"dataset": None, "preset": None, "rows": []}
    assert "no results yet" in render.render([], "md")


def test_markup_in_names_is_escaped() -> None:
    evil = "<script>alert(1)</script>|`x`_$&"
    table = table2.build(searched(2, study=evil))
    assert "<script>" not in render.render(table, "html")
    assert r"\|" in render.render(table, "md") and "<script>" not in render.render(table, "md").replace(r"\<", "")
    assert r"\_\$\&" in render.render(table, "tex")


@pytest.mark.parametrize("name", ["table.docx", "table", "table.md.bak"])
def test_an_unknown_suffix_is_refused(name: str) -> None:
    from pathlib import Path

    with pytest.raises(BadInput, match="end it in"):
        render.format_of(Path(name))


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(BadInput, match="unknown table format 'xls'"):
        render.render(table2.build(searched(1)), "xls")


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=20, unique_by=lambda pair: pair[0]))
def test_a_number_is_shown_exactly_where_every_job_is_done(jobs: list[tuple[int, bool]]) -> None:
    rows = [
        row(
            1 + seed,
            seed=seed,
            config=A50,
            accuracy=93.0 if done else None,
            state=JobState.RUNNING if not done else JobState.SUCCEEDED,
        )
        for seed, done in jobs
    ]
    table = table2.build(rows)
    done = sum(one for _, one in jobs)
    shown = cells_of(render.render(table, "md"), "50 epoch")[2]
    assert table.rows[0].cell.n == done and table.rows[0].cell.expected == len(jobs)
    assert shown == (f"{done}/{len(jobs)}" if done < len(jobs) else "93.00 ± 0.00" if done > 1 else "93.00")


def test_job_lists_are_short() -> None:
    assert job_list([row(job) for job in (3, 1, 2, 7, 9, 10)]) == "jobs 1–3, 7, 9–10"
    assert job_list([row(4)]) == "job 4"


def test_a_study_with_architectures_pairs_by_search() -> None:
    table = table2.build(study_rows(6))
    assert [one.cell.n for one in table.rows] == [6] * 7
    assert all(isinstance(one.random, Cell) and one.random.n == 6 for one in table.rows if one.is_searched)


def test_a_pretrained_search_is_named_also_where_no_other_is_in_the_table() -> None:
    found = render.render(table2.build(searched(3, config={"pretrained": True})), "md")
    assert cells_of(found, "50 epoch")[1] == "50 epoch (pretrained)"
    both = searched(3) + searched(3, 10, config={"pretrained": True, "weights": ""})
    assert [row.variant.get("pretrained") for row in table2.build(both).rows] == ["false", "true"]
    assert "pretrained" not in render.render(table2.build(searched(3)), "md")
