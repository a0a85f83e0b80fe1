"""Files of results from anywhere: read as they are meant, or refused by one sentence with nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.words import Cause, JobState
from tests.helpers.filled import Filled
from tests.helpers.look import Orch

HEAD = "kind,method,search_epoch,seed,dataset,test_accuracy"
DEEP = "[" * 100_000


def rows(orch: Orch, *more: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orch("table", "--json", *more).json()["rows"]
    return found


def test_imported_repeats_are_repeats_of_one_architecture(orch: Orch, tmp_path: Path) -> None:
    lines = [
        f"{kind},A,50,{seed},cifar10,{base + seed + repeat / 10},{repeat}"
        for kind, base in (("evaluate", 93), ("random-baseline", 92))
        for seed in range(2)
        for repeat in range(3)
    ]
    (tmp_path / "r.csv").write_text("\n".join([f"{HEAD},repeat", *lines]))
    assert orch("import", "r.csv").code == 0
    (one,) = rows(orch)
    assert (one["n"], one["expected"], one["random_accuracy"]["n"]) == (2, 2, 2)
    assert one["test_accuracy"]["mean"] == pytest.approx(93.6)
    assert one["test_accuracy"]["std"] == pytest.approx(0.5**0.5)
    (group,) = orch("table", "--by", "kind", "--filter", "kind=evaluate", "--json").json()["rows"]
    assert (group["n"], group["expected"]) == (2, 2)


def test_rows_of_one_seed_with_several_architectures_are_several(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(
        f"{HEAD},architecture\nevaluate,A,50,0,cifar10,93,0-2\nevaluate,A,50,0,cifar10,94,0-3\n"
        "evaluate,A,50,1,cifar10,95,0-2\n"
    )
    assert orch("import", "r.csv").code == 0
    assert [one["n"] for one in rows(orch)] == [3], "seed 1 found what seed 0 had found: another replicate"


def test_a_setting_in_a_column_is_a_setting(orch: Orch, tmp_path: Path) -> None:
    lines = [f"evaluate,A,50,{seed},cifar10,{90 + epochs / 100},{epochs}" for epochs in (150, 300) for seed in (0, 1)]
    (tmp_path / "r.csv").write_text("\n".join([f"{HEAD},epochs", *lines]))
    assert orch("import", "r.csv").code == 0
    assert [(one["variant"], one["n"], one["test_accuracy"]["mean"]) for one in rows(orch)] == [
        ({"epochs": "150"}, 2, 91.5),
        ({"epochs": "300"}, 2, 93.0),
    ]
    assert orch("import", "r.csv", "--json").json()["created"] == []
    (tmp_path / "s.jsonl").write_text(
        '{"kind": "search", "method": "B", "seed": 0, "dataset": "digits", "val_accuracy": 81.5, "readouts": [5, 10], '
        '"pretrained": true, "config.order": "second", "metrics.lr": 7}\n'
    )
    assert orch("import", "s.jsonl", "--study", "s").code == 0
    by = "pretrained,order,readouts,config.lr,metrics.lr"
    (found,) = orch("table", "--by", by, "--metric", "val_accuracy", "--study", "s", "--json").json()["rows"]
    assert found["by"] == {
        "pretrained": True,
        "order": "second",
        "readouts": "5,10",
        "config.lr": 0.0090131,
        "metrics.lr": 7.0,
    }


def test_a_store_of_before_knows_its_file_again(orch: Orch, tmp_path: Path) -> None:
    """An earlier orch took the column `epochs` for a metric: the same file creates nothing, and changes nothing."""
    from db import creation
    from db.entries import Import, ImportedResult
    from db.launching import Template
    from db.store import Store
    from jobs.files import now
    from orchestrator.exchange.resultrows import read

    path = tmp_path / "r.csv"
    path.write_text(f"{HEAD},epochs,lr\nevaluate,A,50,0,cifar10,93,300,0.5\n")
    (row,) = read(path)
    template = Template(
        kind="evaluate",
        kind_version=1,
        preset="report",
        config={"method": "A", "search_epoch": 50},
        dataset="cifar10",
    )
    metrics: dict[str, float | None] = {"test_accuracy": 93.0, "epochs": 300.0, "lr": 0.5}
    store = Store(tmp_path / ".orch", create=True)
    with store.write() as writer:
        job = creation.next_id(writer.connection)
        result = ImportedResult(job, 0, 0, row.earlier_key, metrics)
        writer.decide([Import(study="default", source="r.csv", templates=(template,), results=(result,), at=now())])
    assert row.key != row.earlier_key
    assert orch("import", "r.csv", "--json").json() == {"created": [], "existing": [job]}
    path.write_text(f"{HEAD},epochs,lr\nevaluate,A,50,0,cifar10,93,150,0.5\n")
    assert orch("import", "r.csv", "--json").json()["created"] == [job + 1], "another job than that of 300 epochs"


def test_what_orch_0_1_0_exported_is_read_as_ever(orch: Orch, filled: Filled, tmp_path: Path) -> None:
    """Its rows had the metric `epochs` in a column and the setting in `config`; the search was left out."""
    text = (
        "kind,method,search_epoch,seed,dataset,preset,repeat,architecture,test_accuracy,params,shortcuts,epochs,config\n"
        'evaluate,A,1,0,digits,demo,,0-2,91,300000,1,3,"{""epochs"":3,""precision"":""fp32"",""width"":0.125}"\n'
        'evaluate,A,1,1,digits,demo,,0-2,92,300000,1,3,"{""epochs"":3,""precision"":""fp32"",""width"":0.125}"\n'
        'evaluate,A,1,1,digits,demo,1,0-2,94,300000,1,3,"{""epochs"":3,""precision"":""fp32"",""width"":0.125}"\n'
    )
    (tmp_path / "r.csv").write_text(text)
    assert len(orch("import", "r.csv", "--json").json()["created"]) == 3
    (one,) = rows(orch)
    assert (one["n"], one["test_accuracy"]["mean"]) == (2, 92.0)
    (job,) = filled.submit("evaluate", values={"architecture": "0-2", "epochs": 3}, seeds=[7])
    assert orch("import", "r.csv", "--json").json()["created"] == [] and job == 4
    (tmp_path / "r.csv").write_text(text.replace('""epochs"":3', '""epochs"":4'))
    assert "says epochs 3 in a column and 4 in config" in orch("import", "r.csv").refused()


def test_fractions_and_any_number_that_a_job_reports(orch: Orch, filled: Filled, tmp_path: Path) -> None:
    told = {"test_accuracy": 0.93, "seed": 7.0, "repeat": 3.0, "config": 1.0, "params": 2.5, "params_m": 1e300}
    for job in filled.submit("command", seeds=range(2), values={"argv": ["true"]}, preset="report"):
        filled.succeed(job, told, edges=[])
    for suffix in ("csv", "jsonl"):
        other = tmp_path / suffix
        assert orch("export", "--out", f"r.{suffix}").code == 0
        assert orch("import", f"r.{suffix}", "--store", other).code == 0
        by = ("table", "--by", "kind,seed", "--metric", ",".join(f"metrics.{name}" for name in told), "--json")
        assert orch(*by).json() == orch(*by, "--store", other).json()
        there = orch(*by, "--store", other).json()["rows"]
        assert [one["by"]["seed"] for one in there] == [0, 1]
        means = {name.removeprefix("metrics."): found["mean"] for name, found in there[0]["metrics"].items()}
        assert means == {**told, "params_m": 2.5e-6}, "params_m is made of params where there are any"
    (tmp_path / "hand.csv").write_text("kind,seed,test_accuracy\ncommand,0,0.93\n")
    assert orch("import", "hand.csv", "--study", "hand").code == 0


def test_replicates_stay_apart_and_failures_come_along(orch: Orch, filled: Filled, tmp_path: Path) -> None:
    searches = filled.submit("search", values={"method": "A"}, seeds=range(4))
    for job in searches:
        filled.succeed(job, {"test_accuracy": 80.0}, edges=[(0, 2)])
    for place, search in enumerate(searches):
        for kind in ("evaluate", "random-baseline"):
            config = {"search": search, "search_epoch": 1, "method": "A"}
            (job,) = filled.submit(
                kind, values=config | ({"match": "count"} if kind != "evaluate" else {}), seeds=[place]
            )
            if place == 3 and kind == "evaluate":
                filled.dispatch(job)
                filled.start(job)
                filled.end(job, Cause.ERROR, JobState.FAILED, error="boom")
            else:
                filled.succeed(job, {"test_accuracy": 90.0 + place * place}, edges=[(0, 2)])
    filled.submit(seeds=[9])
    said = orch("export", "--out", "r.csv")
    assert said.err == "wrote 11 results and 1 failed job to r.csv\nleft out 1 job that had not ended\n"
    other = ("--store", tmp_path / "other")
    assert "imported 11 results and 1 failed job" in orch("import", "r.csv", *other).out
    ended = ("table", "--stats", "--json", "--filter", "state=succeeded,failed")
    before, after = (orch(*ended, *more).json() for more in ((), other))
    assert before["rows"][0]["n"] == 3 and before["rows"][0]["expected"] == 4
    assert before["statistics"] == after["statistics"]
    for one in (before, after):
        for row in one["rows"]:
            row["notes"] = [note.partition(": ")[0] for note in row["notes"]]
    assert before == after
    failed = next(one["id"] for one in orch("status", "--json", *other).json()["jobs"] if one["state"] == "failed")
    assert "boom" in orch("explain", failed, *other).out
    assert "was imported and failed elsewhere" in orch("retry", failed, *other).refused()
    assert orch("rebuild", *other).code == 0
    assert orch(*ended, *other).json()["statistics"] == after["statistics"]


def test_rows_of_one_search_share_it_in_whatever_order_they_come(orch: Orch, filled: Filled, tmp_path: Path) -> None:
    (search,) = filled.submit("search", values={"method": "A"})
    filled.succeed(search, {"test_accuracy": 80.0}, edges=[(0, 2)])
    for repeat in range(2):
        values = {"search": search, "search_epoch": 1, "method": "A", "repeat": repeat}
        (job,) = filled.submit("evaluate", values=values)
        filled.succeed(job, {"test_accuracy": 90.0 + repeat}, edges=[(0, 2)])
    other = ("--store", tmp_path / "other")
    for chosen in ("repeat=0", "kind=search", "repeat=1"):
        assert orch("export", "--filter", chosen, "--out", "r.csv").code == 0
        assert orch("import", "r.csv", *other).code == 0
    assert [(one["n"], one["test_accuracy"]["mean"]) for one in rows(orch, *other)] == [(1, 90.5)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"evaluate,,,{'9' * 30},cifar10,93", "seed is too large"),
        (f"evaluate,,,{'9' * 400},cifar10,93", "seed must be finite"),
        ("evaluate,,,1e25,cifar10,93", "seed is too large"),
        ("evaluate,,,1.5,cifar10,93", "seed must be a whole number"),
        ("evaluate,,,1_0,cifar10,93", "seed must be a number"),
        ("evaluate,,,0,cifar10,inf", "must be finite"),
        ("evaluate,,,0,cifar10,NaN", "must be finite"),
        ("evaluate,,,0,cifar10,1e999", "must be finite"),
        ("evaluate,,,0,cifar10,9,3", "has 7 values for 6 columns"),
        ('evaluate,,,0,"cif\nar10",93', "dataset holds signs that cannot be printed"),
        ("evaluate,,,0,cif\x1b[31mar,93", "dataset holds signs that cannot be printed"),
        (f"{'k' * 2000},,,0,cifar10,93", "kind is 2000 letters long"),
        (f"evaluate,,,0,cifar10,{'9' * 10_000_000}", "must be finite"),
        ('evaluate,,,0,cifar10,"93', "is no CSV in line 3"),
    ],
)
def test_absurd_rows_are_refused_by_their_line(orch: Orch, tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "r.csv").write_text(f"{HEAD}\nevaluate,A,50,0,cifar10,93\n{line}\n", newline="")
    sentence = orch("import", "r.csv").refused()
    assert told in sentence and "line" in sentence and len(sentence) < 600
    assert not (tmp_path / ".orch").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"kind": "evaluate", "seed": 0, "seed": 1, "dataset": "digits", "test_accuracy": 93}', "names 'seed' twice"),
        ('{"kind": "evaluate", "seed": 0, "dataset": "digits", "test_accuracy": NaN}', "NaN is no number"),
        ('{"kind": "evaluate", "seed": 0, "dataset": "digits", "test_accuracy": 1e999}', "must be finite"),
        ('{"kind": "evaluate", "seed": 1' + "0" * 400 + ', "dataset": "digits", "test_accuracy": 93}', "finite"),
        ('{"kind": "evaluate", "seed": 1' + "0" * 9000 + ', "dataset": "digits", "test_accuracy": 93}', "no JSON"),
        ('{"kind": "evaluate", "seed": true, "dataset": "digits", "test_accuracy": 93}', "seed must be a number"),
        ('{"kind": "evaluate", "seed": 0, "dataset": "digits", "a": 1, "metrics.a": 2}', "metric 'a' twice"),
        ('{"kind": "evaluate", "seed": 0, "dataset": "digits", "lr": 1, "config.lr": 2, "x": 1}', "setting 'lr' twice"),
        ('{"kind": "evaluate", "seed": 0, "dataset": "digits", "config.rl": 2, "x": 1}', "has no setting 'rl'"),
        ('{"kind": "evaluate", "seed": 0, "dataset": "digits", "epochs": 0.5, "x": 1}', "setting 'epochs'"),
        ('{"kind": "command", "seed": 0, "\\ud800": 2}', "a metric's name cannot be kept"),
        ('{"kind": "command", "seed": 0, "x": 2, "config": {"a": "\\ud800"}}', "its config cannot be kept"),
        ('{"kind": "\\ud800", "seed": 0, "x": 2}', "kind holds signs"),
        ('{"kind": "command", "seed": 0, "x": 2, "origin": {"key": "k", "gpu_seconds": -1}}', "origin must be"),
        ('{"kind": "command", "seed": 0, "x": 2, "origin": {"key": "k", "state": "failed"}}', "says that it failed"),
        ('{"kind": "command", "seed": 0, "x": 2, "origin": {}}', "it has no key"),
        ('{"kind": "command", "seed": 0, "x": ' + DEEP, "nested too deeply"),
        ('"text"', "it is text"),
    ],
)
def test_absurd_json_lines_are_refused_by_their_line(orch: Orch, tmp_path: Path, text: str, told: str) -> None:
    good = json.dumps({"kind": "evaluate", "seed": 5, "dataset": "digits", "test_accuracy": 93})
    (tmp_path / "r.jsonl").write_text(f"{good}\n{text}\n")
    sentence = orch("import", "r.jsonl").refused()
    assert "line 2: " in sentence and told in sentence and len(sentence) < 600
    assert not (tmp_path / ".orch").exists()


def test_marks_and_line_ends_of_other_systems(orch: Orch, tmp_path: Path) -> None:
    text = f'\ufeff{HEAD},"odd, ""name"""\r\nevaluate,A,50,0,"CIFAR-10",93,1\r\n\r\nevaluate,A,50,1,"CIFAR-10",94,2\r\n'
    (tmp_path / "r.csv").write_bytes(text.encode())
    assert len(orch("import", "r.csv", "--json").json()["created"]) == 2
    assert [one["n"] for one in rows(orch)] == [2]
    assert orch("status", "--json").json()["jobs"][0]["metrics"]['odd, "name"'] == 1.0
    line = '{"kind": "command", "seed": 0, "a\u2028b": 1}\r\n'
    (tmp_path / "r.jsonl").write_bytes(line.encode())
    assert len(orch("import", "r.jsonl", "--study", "b", "--json").json()["created"]) == 1
    (tmp_path / "folder.csv").mkdir()
    assert "it is no file" in orch("import", "folder.csv").refused()
    (tmp_path / "twice.csv").write_text("kind,seed,acc,acc\ncommand,0,1,2\n")
    assert "two columns 'acc' in line 1" in orch("import", "twice.csv").refused()
    (tmp_path / "rows.csv").write_text("kind,seed,acc\ncommand,3,1\ncommand,3,1\n")
    assert "line 3: is the same job as line 2" in orch("import", "rows.csv").refused()
