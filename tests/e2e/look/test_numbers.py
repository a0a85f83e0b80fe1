"""`table`, `plot`, `report`, `import` and `export`: numbers come out as they went in."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from scipy import stats as scipy_stats

from tests.helpers.filled import Filled
from tests.helpers.look import GOOD, Orch
from tests.helpers.plausible import published_rows


def import_published(orch: Orch, folder: Path, n: int = 10) -> None:
    with (folder / "published.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["kind", "method", "search_epoch", "seed", "dataset", "test_accuracy", "params", "shortcuts"])
        for row in published_rows(n):
            cell = [row.config.get("method", ""), row.config.get("search_epoch", "")]
            numbers = [repr(row.metrics[name]) for name in ("test_accuracy", "params", "shortcuts")]
            writer.writerow([row.kind, *cell, row.seed, "CIFAR-10", *numbers])
    assert orch("import", folder / "published.csv").code == 0


def test_the_published_numbers_come_out_to_the_digit(orch: Orch, tmp_path: Path) -> None:
    import_published(orch, tmp_path)
    assert orch("table", "--out", "table2.md").code == 0
    said = (tmp_path / "table2.md").read_text()
    for text in ("93.70 ± 0.22", "94.02 ± 0.12", "21.57 ± 0.25", "18.9 ± 0.6", "20.04", "CIFAR-10"):
        assert text in said
    assert "pending" not in said, "nobody submitted a job that is missing"
    assert "93.70 ± 0.22" in orch("table").out
    rows = orch("table", "--json").json()["rows"]
    assert [row["architecture"] for row in rows] == ["A"] * 3 + ["B"] * 3 + ["vgg19"]
    assert all(
        abs(entry["difference"] or 0) < 0.01
        for entry in orch("table", "--diff", "report", "--json").json()["differences"]
    )
    for name in ("t.tex", "t.html", "t.csv", "t.json"):
        assert orch("table", "--out", name).code == 0 and (tmp_path / name).stat().st_size > 200
    assert "95 % interval" in orch("table", "--stats").out
    assert "テスト精度" in orch("table", "--lang", "ja").out
    assert "A" in orch("table", "--by", "method,search_epoch", "--metric", "test_accuracy,params_m").out


def test_growth_over_search_epochs_is_a_file_of_numbers_beside_the_table(orch: Orch, tmp_path: Path) -> None:
    """Every pair of epochs, paired by seed (seed 3 has no epoch 150), adjusted over the pairs of a metric."""
    grown = {50: [93.0, 93.5, 92.75, 93.1], 100: [93.2, 93.9, 93.0, 93.05], 150: [93.9, 94.0, 93.5]}
    lines = [
        f"evaluate,A,{epoch},{seed},cifar10,{v},15000000,20" for epoch in grown for seed, v in enumerate(grown[epoch])
    ]
    (tmp_path / "r.csv").write_text(
        "\n".join(["kind,method,search_epoch,seed,dataset,test_accuracy,params,shortcuts", *lines])
    )
    assert orch("import", "r.csv").code == 0
    said = orch("table", "--stats", "--out", "x.csv")
    assert said.code == 0 and said.err.splitlines() == ["wrote x.csv", "wrote x-growth.csv"]
    with (tmp_path / "x-growth.csv").open() as file:
        rows = {(row["metric"], int(row["start"]), int(row["end"])): row for row in csv.DictReader(file)}
    epochs = [(50, 100), (50, 150), (100, 150)]
    assert set(rows) == {(metric, *pair) for metric in ("test_accuracy", "shortcuts") for pair in epochs}
    tests = {(a, b): scipy_stats.ttest_rel(grown[b], grown[a][: len(grown[b])]) for a, b in epochs}
    ascending, largest = sorted(epochs, key=lambda pair: tests[pair].pvalue), 0.0
    for place, pair in enumerate(ascending):
        largest = max(largest, min(1.0, (len(epochs) - place) * tests[pair].pvalue))
        row, wanted = rows["test_accuracy", *pair], tests[pair]
        later, earlier = grown[pair[1]], grown[pair[0]]
        n, (low, high) = len(later), wanted.confidence_interval(0.95)
        assert (row["architecture"], int(row["change_n"])) == ("A", n)
        numbers = (
            ("change_difference", sum(y - x for x, y in zip(earlier, later, strict=False)) / n),
            ("change_interval_low", low),
            ("change_interval_high", high),
            ("change_statistic", wanted.statistic),
            ("change_p", wanted.pvalue),
            ("holm", largest),
        )
        for name, number in numbers:
            assert float(row[name]) == pytest.approx(number, rel=1e-7), (pair, name)
    with (tmp_path / "x.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["50", "100", "150"]


def test_tables_refuse_with_one_sentence(orch: Orch, filled: Filled, tmp_path: Path) -> None:
    (job,) = filled.submit()
    filled.succeed(job, GOOD)
    assert "cannot write" in orch("table", "--out", tmp_path / "nowhere" / "t.md").refused()
    assert "'t.xyz'" in orch("table", "--out", "t.xyz").refused()
    assert "unknown language 'fr'" in orch("table", "--lang", "fr").refused()
    assert "did you mean 'test_accuracy'" in orch("table", "--by", "kind", "--metric", "test_acuracy").refused()
    assert "--by" in orch("table", "--wide").refused()
    assert "--diff" in orch("table", "--stats", "--diff", "report").refused()
    assert "cannot read 'nope.json'" in orch("table", "--diff", "nope.json").refused()
    assert "key=value" in orch("table", "--filter", "method").refused()
    assert not list(tmp_path.glob("*.md"))


def test_a_table_without_rows_of_table_2_is_what_there_is(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit("command", values={"argv": ["true"]}, preset="report")
    filled.succeed(job, {"loss": 0.5}, edges=[])
    said = orch("table")
    assert said.code == 0 and said.out.splitlines()[:2] == ["true, study default", "program  n  loss"]
    assert "0.5" in orch("table", "--by", "kind", "--metric", "loss").out


def test_plot_and_report(orch: Orch, filled: Filled, tmp_path: Path) -> None:
    for job in filled.submit(seeds=range(3)):
        filled.dispatch(job)
        folder = filled.start(job)
        filled.epochs(folder, [{"test_accuracy": 50.0 + 5 * epoch + job} for epoch in range(4)], of=4)
    assert orch("plot", "curves", "--out", "curves.svg").code == 0
    assert "<svg" in (tmp_path / "curves.svg").read_text()
    assert orch("plot", "gantt", "--out", "gantt.png").code == 0
    assert (tmp_path / "gantt.png").read_bytes().startswith(b"\x89PNG")
    assert "did you mean 'fig1'" in orch("plot", "fig11").refused()
    assert "end it in" in orch("plot", "gantt", "--out", "gantt.doc").refused()
    assert "no job 99" in orch("plot", "graph", "--job", 99).refused()
    assert orch("report", "--out", "page").code == 0
    page = (tmp_path / "page" / "index.html").read_text()
    assert page.startswith("<!") and "random-baseline" in page and "<svg" in page
    (tmp_path / "file").write_text("x")
    assert "cannot write the report" in orch("report", "--out", tmp_path / "file" / "page").refused()


def test_import_twice_changes_nothing(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(
        '{"kind": "evaluate", "method": "A", "search_epoch": 50, "seed": 1, "dataset": "cifar10", '
        '"test_accuracy": 93.5, "params": 21000000, "architecture": "0-2,3-7", "latency_ms": 1.5}\n\n'
        '{"kind": "evaluate", "seed": 0, "dataset": "CIFAR-10", "test_accuracy": 93, "architecture": "vgg19"}\n'
    )
    first = orch("import", "r.jsonl", "--json").json()
    assert first == {"created": [1, 2], "existing": []}
    assert orch("import", "r.jsonl", "--json").json() == {"created": [], "existing": [1, 2]}
    found = orch("status", "--json").json()["jobs"]
    assert found[0]["metrics"] == {"latency_ms": 1.5, "params": 21e6, "shortcuts": 2.0, "test_accuracy": 93.5}
    assert found[0]["state"] == "succeeded" and found[0]["executions"] == 0
    assert "imported" in orch("show", 1).out
    assert "was imported" in orch("logs", 1).refused()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("evaluate,x,,,cifar10,93", "seed must be a number (got 'x')"),
        ("evaluate,-1,,,cifar10,93", "seed must be a whole number"),
        ("evaluate,1,C,50,cifar10,93", "unknown method 'C'"),
        ("evaluate,1,A,,cifar10,93", "no search_epoch"),
        ("evaluate,1,,50,cifar10,93", "no method"),
        ("evaluate,1,,,,93", "no dataset"),
        ("evaluate,1,,,cifar10,nan", "must be finite"),
        ("evaluate,1,,,cifar10,0.93", "must be percent"),
        ("evaluate,1,,,cifar10,", "has no number"),
        (",1,,,cifar10,93", "has no kind"),
        ("evaluate,1,,,cifar10", "has 5 values for 6 columns"),
        ("evaluate,0,,,CIFAR-10,93", "is the same job as line 2"),
    ],
)
def test_one_bad_row_and_nothing_is_imported(orch: Orch, tmp_path: Path, line: str, told: str) -> None:
    heading = "kind,seed,method,search_epoch,dataset,test_accuracy\n"
    (tmp_path / "r.csv").write_text(f"{heading}evaluate,0,,,cifar10,93\n{line}\n")
    sentence = orch("import", "r.csv").refused()
    assert "line 3: " in sentence and told in sentence
    assert not (tmp_path / ".orch").exists()


def test_files_that_are_no_results(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("seed,test_accuracy\n0,93\n")
    assert "no column 'kind'" in orch("import", "a.csv").refused()
    (tmp_path / "a.jsonl").write_text("[1, 2]\n")
    assert "line 1: is no JSON object" in orch("import", "a.jsonl").refused()
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    assert "no UTF-8" in orch("import", "b.csv").refused()
    (tmp_path / "c.csv").write_text("kind,seed\n")
    assert "holds no rows" in orch("import", "c.csv").refused()
    assert "No such file" in orch("import", "nope.csv").refused()
    assert ".csv or .jsonl" in orch("import", "a.txt").refused()


def test_results_never_change(orch: Orch, tmp_path: Path) -> None:
    heading = "kind,seed,dataset,test_accuracy,shortcuts\n"
    (tmp_path / "r.csv").write_text(f"{heading}random-baseline,0,digits,93,4\n")
    assert orch("import", "r.csv").code == 0
    (tmp_path / "r.csv").write_text(f"{heading}random-baseline,1,digits,92,4\nrandom-baseline,0,digits,94,4\n")
    assert "test_accuracy 93, not 94" in orch("import", "r.csv").refused()
    assert len(orch("status", "--json").json()["jobs"]) == 1, "nothing half-written"
    assert orch("import", "r.csv", "--study", "second").code == 0


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_export_comes_back_the_same(orch: Orch, filled: Filled, tmp_path: Path, suffix: str) -> None:
    for number, job in enumerate(filled.submit(seeds=range(3))):
        filled.succeed(job, {**GOOD, "test_accuracy": 90 + number / 3, "odd": 0.1}, edges=[(0, 2 + number)])
    for method in ("A", "B"):
        values = {"architecture": "1-4", "method": method, "search_epoch": 100, "lr": 0.05}
        (job,) = filled.submit("evaluate", values=values, preset="report")
        filled.succeed(job, GOOD, edges=[(1, 4)])
    (job,) = filled.submit("evaluate", values={"architecture": "vgg19", "repeat": 2}, preset="report")
    filled.succeed(job, {**GOOD, "shortcuts": 0.0}, edges=[])
    filled.submit(seeds=[9])
    assert orch("export", "--out", f"r.{suffix}").code == 0
    assert orch("import", f"r.{suffix}", "--store", tmp_path / "other").code == 0
    before, after = orch("export"), orch("export", "--store", tmp_path / "other")
    assert before.out == after.out and before.out.count("\n") == 7
    keys = ("architecture", "epoch", "n", "test_accuracy", "params_m", "shortcuts")

    def table(*store: Any) -> list[dict[str, Any]]:
        made = orch("table", "--json", "--filter", "state=succeeded", *store).json()
        return [{key: row[key] for key in keys} for one in made for row in one["rows"]]

    assert table() == table("--store", tmp_path / "other")
    assert "cannot write" in orch("export", "--out", tmp_path / "nowhere" / "r.csv").refused()
