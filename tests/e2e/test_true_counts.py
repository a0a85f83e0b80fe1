"""Which numbers a table counts: of programs that diverge, end early, leave a metric out or log out of order."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import Orch

PROGRAM = """
import json, os, sys
case, seed = sys.argv[1], int(sys.argv[2])
nan = float("nan")
accuracies = [0.9312, 0.9329, 0.9346]
def lines():
    for epoch in range(1, 6 if case == "short" and seed == 2 else 11):
        line = {"epoch": epoch, "epochs": 10, "acc": accuracies[seed], "loss": 1 / epoch}
        if case == "diverged" and seed == 2 and epoch >= 3:
            line["loss"] = nan
        if case == "partly" and seed == 2:
            del line["loss"]
        if case == "told" and seed == 2 and epoch == 10:
            line["loss"] = nan
        yield line
    if case == "disorder":
        yield {"epoch": 3, "epochs": 10, "acc": 0.5, "loss": 7}
    if case == "placeless":
        yield {"epoch": [-1, 1e300, "end"][seed], "acc": 0.25, "loss": 7 + seed}
with open(os.environ["ORCH_METRICS"], "a") as metrics:
    for line in lines():
        metrics.write(json.dumps(line) + "\\n")
if case == "told":
    with open(os.environ["ORCH_RESULT"], "w") as result:
        json.dump({"loss": 0.25}, result)
"""
CASES = ("diverged", "short", "partly", "told", "disorder", "placeless")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orch]:
    """Three seeds of each case, run once for all tests."""
    orch = Orch(tmp_path_factory.mktemp("counts"))
    (orch.folder / "program.py").write_text(PROGRAM)
    for case in CASES:
        words = (sys.executable, "program.py", case, "{seed}")
        orch("submit", "command", "--name", case, "--seeds", "3", "--no-start", "--", *words)
    orch.finish()
    yield orch
    orch.kill_everything()


def table(orch: Orch, *more: str) -> dict[str, dict[str, Any]]:
    found = orch.json("table", "--by", "name", "--metric", "acc,loss", *more)
    return {row["by"]["name"]: {"n": row["n"], "expected": row["expected"], **row["metrics"]} for row in found["rows"]}


def test_every_number_has_its_own_n_and_value(study: Orch) -> None:
    found = table(study)
    assert {name: (row["acc"]["n"], row["loss"]["n"]) for name, row in found.items()} == {
        "diverged": (3, 2), "short": (3, 3), "partly": (3, 2), "told": (3, 3), "disorder": (3, 3),
        "placeless": (3, 3),
    }  # fmt: skip
    assert found["diverged"]["loss"]["mean"] == found["partly"]["loss"]["mean"] == 0.1
    assert found["told"]["loss"]["mean"] == 0.25, "a result file wins over metric lines"
    assert found["disorder"]["loss"]["mean"] == 7, "the newest line, whatever its epoch"


def test_the_result_and_the_last_epoch_agree(study: Orch) -> None:
    result, last = table(study), table(study, "--epoch", "last")
    assert last.pop("told")["loss"]["n"] == 2  # its numbers are of another source
    del result["told"]
    assert last == result


def test_a_person_is_told_who_diverged_and_who_ended_early(study: Orch, tmp_path: Path) -> None:
    said = study("table", "--by", "name", "--metric", "acc,loss")
    assert "diverged: loss, job 3, seed 2: not finite at its last epoch" in said
    assert "not finite" not in said.replace("job 3, seed 2: not finite", "") and "last epochs differ" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("partly")]
    assert line.split() == ["partly", "3", "0.9329", "±", "0.0017", "0.1", "±", "0.0", "(n", "=", "2)"]
    last = study("table", "--by", "name", "--metric", "loss", "--epoch", "last")
    assert "short: loss: the last epochs differ: epoch 10 of seeds 0, 1; epoch 5 of seed 2" in last
    for name in ("t.md", "t.tex", "t.html"):
        study("table", "--by", "name", "--metric", "acc,loss", "--out", str(tmp_path / name))
        text = (tmp_path / name).read_text()
        assert text.count("(n = 2)") == 2 and "seed 2: not finite at its last epoch" in text
    study("table", "--by", "name", "--metric", "acc,loss", "--out", str(tmp_path / "t.csv"))
    assert re.search(r"^partly,3,3,3,.*,2,0\.1,", (tmp_path / "t.csv").read_text(), re.MULTILINE)


def test_the_legend_of_a_plot_says_how_many_go_on(study: Orch, tmp_path: Path) -> None:
    study("plot", "curves", "--metric", "loss", "--out", str(tmp_path / "c.svg"))
    drawn = (tmp_path / "c.svg").read_text()
    assert "command short (n = 3, from epoch 6: 2)" in drawn and "command diverged (n = 3, from epoch 3: 2)" in drawn


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_number_is_cut_in_a_narrow_terminal(study: Orch, width: int) -> None:
    study.environment["COLUMNS"] = str(width)
    said = study("table", "--by", "name,argv", "--metric", "acc,loss")
    assert said.count("0.9329 ± 0.0017") == 4 and ("…" in said or width == 120)
    assert all(len(line) <= width for line in said.splitlines() if " ± " in line)
    assert "0.9346" in study("status", "--all")


def test_hours_that_nobody_used_are_no_number_and_cpu_hours_are_shown(study: Orch, tmp_path: Path) -> None:
    (row,) = study.json("table", "--by", "kind", "--metric", "gpu_hours,cpu_hours")["rows"]
    assert row["metrics"]["gpu_hours"]["n"] == 0 and row["metrics"]["gpu_hours"]["mean"] is None
    assert row["metrics"]["cpu_hours"]["n"] == 3 * len(CASES) and 0 < row["metrics"]["cpu_hours"]["mean"] < 0.1
    assert "CPU time" in study("show", "1") and "GPU time" not in study("show", "1")
    study("report", "--out", str(tmp_path / "report"))
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<th>CPU minutes</th>" in page and "<td>0.0</td>" not in page[page.index('id="job-table"') :]


def test_the_newest_number_counts_where_its_epoch_is_none(study: Orch, tmp_path: Path) -> None:
    """A negative, a huge one and a text: the value is the newest, and only its place on the curve is dropped."""
    jobs = [job.id for job in study.jobs() if "placeless" in job.config["argv"]]
    for epoch in ([], ["--epoch", "last"]):
        row = table(study, *epoch)["placeless"]
        assert (row["loss"]["mean"], row["loss"]["n"], row["acc"]["mean"]) == (8.0, 3, 0.25)
    places = study.rows(
        f"SELECT metric.epoch, value FROM metric JOIN execution e ON e.id = execution_id "
        f"WHERE metric.name = 'loss' AND job_id IN ({', '.join(map(str, jobs))}) ORDER BY job_id, metric.epoch"
    )
    assert places == [(epoch, 1 / epoch) for epoch in range(1, 11)] * 3, "the lines that have a place"
    (row,) = (row for row in study.json("status")["jobs"] if row["id"] == jobs[0])
    assert (row["epoch"], row["epochs"]) == (10, 10)
    assert "metric lines without an epoch" in study("show", str(jobs[0]))
    before = {epoch: table(study, "--epoch", epoch) for epoch in ("result", "last", "best")}
    study.rebuild()
    assert {epoch: table(study, "--epoch", epoch) for epoch in before} == before
    study("export", "--out", str(tmp_path / "all.csv"))
    study("import", "--study", "again", str(tmp_path / "all.csv"))
    again = study.json("table", "--study", "again", "--by", "name", "--metric", "acc,loss")
    found = {row["by"]["name"]: row["metrics"] for row in again["rows"]}
    assert found["placeless"]["loss"]["mean"] == 8.0 and found["placeless"]["acc"]["n"] == 3
