"""`orch submit study.toml --until` as it is typed: seeds in batches, a supervisor that dies, a table that says it."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.cli import PYTHON, Orch, script, until

STUDY = f"""
[study]
until = "acc +-1 at lr=0.1"
at_most = 6
[[experiment]]
name = "train"
command = ["{PYTHON}", "train.py", "{{lr}}", "{{seed}}"]
[experiment.grid]
lr = [0.1, 0.01]
"""
PROGRAM = """
import json, os, sys
json.dump({"acc": 90 + 3 * (int(sys.argv[2]) % 2)}, open(os.environ["ORCH_RESULT"], "w"))
"""


def look(orch: Orch) -> dict[str, object]:
    found: dict[str, object] = orch.json("status")["rule"]
    return found


def test_a_study_goes_on_until_it_is_decided_whoever_dies(orch: Orch, tmp_path: Path) -> None:
    script(orch, "train.py", PROGRAM)
    (orch.folder / "study.toml").write_text(STUDY)
    told = orch.json("submit", "study.toml")
    assert len(told["created"]) == 6, "five seeds of the side, one of the other point"
    assert told["rule"]["new"] and told["rule"]["looks"] == [5, 6]
    until(lambda: "succeeded" in orch.states(), "a first result")
    orch.kill_supervisor()
    again = orch.json("submit", "study.toml")
    assert again["created"] == [] and not again["rule"]["new"]
    orch.finish()
    assert sorted(job.seed for job in orch.jobs()) == [0, 0, 1, 2, 3, 4, 5], "exactly one more, without anybody"
    assert (look(orch)["verdict"], look(orch)["n"]) == ("undecided", 6)
    said = "not decided at n = 6 of at most 6; mean 91.5"
    assert said in orch("table")
    assert (
        said in orch("compare", "--by", "lr") and orch.json("compare", "--by", "lr")["rule"]["verdict"] == "undecided"
    )
    orch("report", "--out", "page")
    assert said in (orch.folder / "page" / "index.html").read_text()
    plain = orch.call("submit", "command", "--until", "acc +-1 at lr=0.1", "--at-most", "6", "--", "true", "{seed}")
    assert plain.returncode == 2 and "--until is a rule of a study file" in plain.stderr
    repeated = orch.call("submit", "study.toml", "--no-start")
    assert "no longer in" not in repeated.stdout + repeated.stderr
    orch.rebuild()
    assert look(orch)["verdict"] == "undecided"
    orch("drop", "2", "--because", "too low")
    assert "stopped by hand: seed 1 of lr=0.1 was dropped, after it was not decided at n = 6" in orch("table")
    orch.check()
    (orch.folder / "study.toml").write_text(STUDY.replace("at_most = 6", "at_most = 4"))
    refused = orch.call("submit", "study.toml")
    assert refused.returncode == 2 and "it takes 5 seeds a side" in refused.stderr
