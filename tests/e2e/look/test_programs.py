"""A study of programs as a person sees it: what varies and what is reported, in every view, whole at any width."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from db.launching import Launching
from jobs.resources import Resources
from jobs.words import Cause, JobState
from tests.helpers.filled import Filled
from tests.helpers.look import GOOD, Orch

ARGV = ["python", "train.py", "--lr", "{lr}", "--opt", "{opt}", "--seed", "{seed}"]
POINTS = [(lr, opt) for lr in ("0.1", "0.02", "10") for opt in ("sgd", "adam")]


def sweep(filled: Filled) -> list[int]:
    """Five of six points succeed with three seeds each, the last one fails, runs and waits."""
    found = []
    for place, (lr, opt) in enumerate(POINTS):
        config = {"argv": ARGV, "parameters": {"lr": lr, "opt": opt, "same": "7"}}
        jobs = filled.submit("command", values=config, seeds=range(3), preset="report")
        found += jobs
        if place < 5:
            for seed, job in enumerate(jobs):
                noise = (0.0, 0.1, 0.3)[(place + seed) % 3]
                filled.succeed(job, {"val/acc": 90.0 + place + noise, "MAP@k": 0.5 - noise, "loss": 0.125}, edges=[])
    filled.dispatch(jobs[0])
    filled.start(jobs[0], node="n7")
    filled.end(jobs[0], Cause.ERROR, JobState.FAILED, error="ValueError: lr", node="n7")
    filled.dispatch(jobs[1])
    filled.epochs(filled.start(jobs[1], node="n8"), [{"val/acc": 51.5, "loss": 2.25}], of=9)
    return found


@pytest.mark.parametrize("width", ["80", "100", "40", ""])
def test_status_tells_the_points_apart_at_any_width(
    orch: Orch, filled: Filled, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    sweep(filled)
    if width:
        monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("LINES", "70")  # every job has its line, however high the terminal of the tests is
    said = orch("status").out
    lines = said.splitlines()
    assert "acc %" not in said and "params M" not in said and "shortcuts" not in said
    assert all("…" not in line.rstrip("…") for line in lines), "a sentence may end early, nothing else is cut"
    assert all(cell_len(line) <= int(width or 120) for line in lines if not line.startswith("! "))
    heading = lines[lines.index(next(line for line in lines if line.startswith("succeeded"))) + 1].split()
    assert heading[:1] == ["job"] and {"lr", "opt", "seed"} < set(heading) and "same" not in heading
    row = next(line for line in lines if line.split()[:1] == ["15"] and "sgd" in line).split()
    assert {"10", "sgd", "2"} < set(row)
    if width != "40":
        assert heading.index("val/acc") > heading.index("seed") and {"MAP@k", "loss"} < set(heading)
        assert {"94", "0.5", "0.125"} < set(row)
        assert {"2.25", "1/9", "adam"} < set(next(line for line in lines if line.split()[:1] == ["17"]).split())
        assert "ValueError: lr" in said


@pytest.mark.parametrize("label", ["", "eval"])
def test_a_long_command_line_takes_no_room_from_the_numbers(
    orch: Orch, filled: Filled, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    """Two programs, told apart by their names where a person gave some; a line's whole room is used."""
    monkeypatch.setenv("COLUMNS", "80")
    for name, text in (
        (label and "train", "train {lr}; " * 9),
        (label, "for f in *.txt; do check $f {lr}; done; " * 5),
    ):
        launching = Launching(backend="local", resources=Resources(cpus=1), label=name)
        for lr in ("0.1", "0.02"):
            values = {"argv": ["sh", "-c", text], "parameters": {"lr": lr}}
            (job,) = filled.submit("command", values=values, preset="report", launching=launching)
            filled.succeed(job, {"acc": 91.5, "loss": 0.25}, edges=[])
    lines = orch("status").out.splitlines()
    heading = next(line for line in lines if line.startswith("  job")).split()
    assert {"job", "name" if label else "program", "lr", "acc", "loss"} <= set(heading)
    assert "without" not in "\n".join(lines) and all(cell_len(line) <= 80 for line in lines)
    rows = [line.split() for line in lines if line.split()[:1] in (["1"], ["4"])]
    assert all({"91.5", "0.25"} < set(row) for row in rows)
    assert len(rows) == 2 and (
        not label or [("eval" in row, "train" in row) for row in rows] == [(True, False), (False, True)]
    )
    assert any("train" in " ".join(row) for row in rows) and any("train" not in " ".join(row) for row in rows)


def test_json_and_show_name_what_was_given_and_reported(orch: Orch, filled: Filled) -> None:
    jobs = sweep(filled)
    one = orch("status", "--json").json()["jobs"][3]
    assert one["parameters"] == {"lr": 0.1, "opt": "adam", "same": 7} and one["metrics"]["val/acc"] == 91.1
    said = orch("show", jobs[3]).out
    assert "lr=0.1 opt=adam same=7" in said and "val/acc" in said
    assert "val/acc 51.5" in orch("show", jobs[16]).out
    assert orch("show", jobs[3], "--json").json()["parameters"]["opt"] == "adam"


def test_a_house_study_beside_programs_has_its_own_columns(
    orch: Orch, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep(filled)
    (job,) = filled.submit(seeds=[0])
    filled.succeed(job, GOOD)
    monkeypatch.setenv("LINES", "70")
    said = orch("status").out
    section = said[said.index("\nsucceeded (") :]
    first, second = (line for line in section.splitlines() if line.split()[:1] == ["job"])
    assert first.split()[3:6] == ["acc", "%", "params"] and "lr" not in first and second.split()[2:4] == ["lr", "opt"]
    table = orch("table", "--json").json()
    assert "dataset" in table and "by" not in table
    assert [("dataset" in other, "by" in other) for other in table["programs"]] == [(False, True)]


def test_table_alone_is_a_table_of_what_varies(orch: Orch, filled: Filled, tmp_path: Path) -> None:
    sweep(filled)
    said = orch("table").out
    lines = [line.split() for line in said.splitlines()]
    assert "architecture" not in said and lines[1] == ["lr", "opt", "n", "MAP@k", "val/acc", "loss"]
    assert [line[:3] for line in lines[2:8]] == [
        ["0.02", "adam", "3"], ["0.02", "sgd", "3"], ["0.1", "adam", "3"], ["0.1", "sgd", "3"],
        ["10", "adam", "0/3"], ["10", "sgd", "3"],
    ]  # fmt: skip
    assert orch("table", "--out", tmp_path / "t.csv", "--stats").code == 0
    with (tmp_path / "t.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 6 and len({len(row) for row in rows}) == 1
    assert float(rows[0]["val/acc_mean"]) == pytest.approx(93 + 0.4 / 3) and rows[4]["val/acc_mean"] == ""
    assert float(rows[0]["val/acc_paired_p"]) < 1 and rows[0]["val/acc_reference"] == "10, sgd"
    found = json.loads(orch("table", "--json", "--stats").out)
    assert found["rows"][0]["by"] == {"lr": 0.02, "opt": "adam"} and len(found["statistics"]) == 6
    assert "**" in orch("table", "--out", tmp_path / "t.md").err or "**" in (tmp_path / "t.md").read_text()
    assert [line.split()[0] for line in orch("table", "--by", "lr", "--metric", "val/acc").out.splitlines()[2:5]] == [
        "0.02", "0.1", "10",
    ]  # fmt: skip
    assert "paired t" in orch("table", "--by", "lr", "--stats").out
    assert "did you mean 'val/acc'" in orch("table", "--metric", "val/ac").refused()


def test_the_page_shows_them_too(orch: Orch, filled: Filled, tmp_path: Path) -> None:
    sweep(filled)
    assert orch("report", "--out", tmp_path / "page").code == 0
    page = (tmp_path / "page" / "index.html").read_text()
    head = page[page.index('id="job-table"') :].partition("</thead>")[0]
    assert "<th>lr</th><th>opt</th><th>MAP@k</th><th>val/acc</th><th>loss</th>" in head
    assert "shortcuts" not in head and "param (M)" not in head and "<strong>" in page


def test_code_in_a_command_line_is_shown_whole_and_never_by_its_last_path(orch: Orch, filled: Filled) -> None:
    """Cut at its last '/', two texts would be one program, and a table's heading the end of a line of shell."""
    texts = ["make one > {out}/m.csv", "make two > {out}/m.csv", "import a.b; print(1/2)"]
    for argv in (
        ["sh", "-c", texts[0]],
        ["bash", "-ec", texts[1]],
        ["python", "-u", "-c", texts[2]],
        ["sh", "a/run.sh"],
    ):
        (job,) = filled.submit("command", values={"argv": argv}, preset="report")
        filled.succeed(job, {"acc": 91.5}, edges=[])
    found = orch("table", "--by", "program", "--json").json()["rows"]
    wanted = [f"-c {texts[0]}", f"-ec {texts[1]}", f"-u -c {texts[2]}", "run.sh"]
    assert sorted(row["by"]["program"] for row in found) == sorted(wanted)
    assert all(row["n"] == 1 for row in found)
