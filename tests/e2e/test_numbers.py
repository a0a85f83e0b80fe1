"""Numbers of a program that knows nothing of orch: declared, changed, found, shown, and the same after a rebuild."""

from __future__ import annotations

import sys
from typing import Any

from jobs.files import read_json
from jobs.records import Manifest
from tests.helpers.cli import Orch, script

GUEST = """
import argparse, csv, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--seed", type=int)
parser.add_argument("--output", type=pathlib.Path)
given = parser.parse_args()
given.output.mkdir(exist_ok=True)
with open(given.output / "history.csv", "w") as file:
    rows = csv.writer(file)
    rows.writerow(["epoch", "val_loss", "phase"])
    for epoch in range(1, 4):
        print(f"Epoch [{epoch}/3] lr {given.lr}", flush=True)
        print(f"  Test Accuracy: {80 + epoch + given.seed}.50%")
        rows.writerow([epoch, given.lr / epoch, "warm"])
"""
FILE, ACC, EPOCH = "{out}/run/history.csv", r"test_acc=Accuracy: ([\d.]+)", r"epoch=Epoch \[(\d+)"
GRID = ("--grid", "lr=0.1,0.01", "--seeds", "2", "--")
COMMAND = (*GRID, sys.executable, "guest.py", "--lr", "{lr}", "--seed", "{seed}")


def submit(orch: Orch, *more: str, **options: Any) -> str:
    return orch("submit", "command", *more, *COMMAND, "--output", "{out}/run", **options)


def results(orch: Orch) -> dict[int, dict[str, float | None]]:
    return {job["id"]: job["metrics"] for job in orch.json("status")["jobs"]}


def test_a_guests_numbers_from_the_submit_to_the_table(orch: Orch) -> None:
    script(orch, "guest.py", GUEST)
    told = submit(orch, "--no-start", "--metric", r"test_acc=Acuracy: ([\d.]+)", "--result-file", FILE)
    assert "created 4 jobs" in told
    # A slip in the pattern is mended by the same submit: no job is made, what is not named stays.
    told = submit(orch, "--no-start", "--metric", ACC, "--metric", EPOCH, "--metric", r"f1=F1 ([\d.]+)")
    assert "created 0 jobs" in told and "4 existed already" in told and "changed" in told and "f1" in told
    orch("set", "1-4", "--declare", "test_acc: label=Test accuracy, unit=%, digits=1", "--no-start")
    orch("supervise", "--until-idle")
    expected = {
        number: {"test_acc": 83.5 + seed, "val_loss": lr / 3}
        for number, (lr, seed) in enumerate([(0.1, 0), (0.1, 1), (0.01, 0), (0.01, 1)], 1)
    }
    assert results(orch) == expected
    remark = orch.json("status")["jobs"][0]["remarks"]["not found"]
    assert remark == r"f1: no printed line matched 'F1 ([\d.]+)'"
    seen = orch("status")
    assert "not found: f1" in seen and "test_acc %" in seen and "84.5" in seen
    shown = orch("show", "1")
    assert "not found" in shown and "Test accuracy" in shown and f"from {FILE}; printed: " in shown
    table = orch("table", "--by", "lr", "--metric", "test_acc")
    assert "Test accuracy (%)" in table and "84.0 ± 0.7" in table and "f1: no printed line matched" in table
    # The curve has every epoch of both ways, and the attempt's manifest what it was told.
    assert orch.rows("SELECT DISTINCT epoch, name FROM metric ORDER BY name, epoch") == [
        (epoch, name) for name in ("test_acc", "val_loss") for epoch in (1, 2, 3)
    ]
    manifests = [read_json(path, Manifest) for path in orch.layout.submissions.glob("*/manifest.json")]
    options = [terms.options for one in manifests if one is not None for terms in one.terms]
    assert options and all(one["result_files"] == [FILE] and len(one["metrics"]) == 3 for one in options)
    # What is finished keeps its terms and its numbers, and a rebuild gives both again.
    assert "changed" not in submit(orch, "--no-start", "--metric", ACC)
    before = orch.json("show", "1")["launching"]
    orch.rebuild()
    assert results(orch) == expected and orch.json("show", "1")["launching"] == before


def test_bad_words_are_refused_before_anything_is_made(orch: Orch) -> None:
    for words, told in (
        (("--metric", "acc=("), "no regular expression"),
        (("--metric", "lr=(x)"), "is a parameter of these jobs"),
        (("--result-file", "{ot}/m.json"), "did you mean {out}?"),
    ):
        refused = orch.call("submit", "command", *words, *COMMAND)
        assert refused.returncode == 2 and told in refused.stderr and "Traceback" not in refused.stderr
    assert not orch.layout.root.exists()
