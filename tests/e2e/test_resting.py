"""A result that rests on another job's earlier run says so: in show, explain, JSON, and an export."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.helpers.cli import Orch

SAYS = "import json, os; print('acc 93.5', flush=True); json.dump({'acc': 93.5}, open(os.environ['ORCH_RESULT'], 'w'))"


def test_show_explain_and_export_say_what_a_result_rests_on(tmp_path: Path) -> None:
    orch = Orch(tmp_path)
    (tmp_path / "say.py").write_text(SAYS)
    says = ("--no-start", "--metric", r"acc=acc ([\d.]+)", "--", sys.executable, "say.py")
    orch("submit", "command", *says, "first", "{seed}")
    orch("submit", "command", "--after", "1", *says, "second", "{seed}")
    orch.finish()
    assert orch.json("show", "2")["rests_on"] == [] and "rests on" not in orch("show", "2")
    orch("retry", "--succeeded", "1", "--no-start")
    text = "generation 1 of job 1, superseded by generation 2"
    assert f"rests on     {text}" in orch("show", "2").replace("  rests", "rests")
    assert f"its result rests on {text}" in orch("explain", "2")
    superseded = {"job": 1, "generation": 1, "superseded_by": 2, "dropped": None}
    assert orch.json("show", "2")["rests_on"] == [superseded]
    assert any(text in line for line in orch.json("explain", "2")["why"])
    orch.finish()
    orch("drop", "1", "--because", "diverged")
    assert orch.json("show", "2")["rests_on"] == [{**superseded, "dropped": "diverged"}]
    assert f"{text} and dropped by hand (diverged)" in orch("explain", "2")
    note = "job 2 rests on generation 1 of job 1, which ran again since and was dropped by hand: diverged"
    assert note in orch("table") and note in orch.json("table", "--by", "kind")["notes"]
    orch("export", "--out", "all.jsonl")
    orch("import", "--study", "again", "all.jsonl")
    orch("export", "--study", "again", "--out", "second.jsonl")
    assert (tmp_path / "second.jsonl").read_text() == (tmp_path / "all.jsonl").read_text()
    (record,) = (json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines())
    assert record["origin"]["flags"]["rests on"] == "generation 1 of job 1 of its store, which ran again since"
    assert record["origin"]["declared"]["acc"]["pattern"] == r"acc ([\d.]+)", "what was declared goes along"
    assert "rests on: generation 1 of job 1" in orch("table", "--study", "again", "--by", "kind")
