"""What is other than at the submit is said while jobs wait, and of live code in status and tables."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.helpers.cli import Orch, script
from tests.house.rooms import HOUSES, ROOT


def another_orch(folder: Path) -> Path:
    """A copy of orch in which one module that runs on nodes is other."""
    for house in HOUSES:
        shutil.copytree(ROOT / house, folder / house, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "jobs/words.py").open("a") as file:
        file.write("# upgraded\n")
    return folder


def test_an_upgrade_while_jobs_wait_and_live_code_are_said(orch: Orch) -> None:
    script(orch, "train.py", "import json, os\njson.dump({'value': 1}, open(os.environ['ORCH_RESULT'], 'w'))\n")
    program = ("--", sys.executable, "train.py", "{seed}")
    orch("submit", "command", "--seeds", "2", "--no-start", *program)
    orch("submit", "command", "--seed-list", "7", "--code", "live", "--no-start", *program)
    assert "1 job runs live code, as it is when a job starts (--code live): 3" in orch("status")
    calm = orch("explain", "1")
    assert "submitted by orch" not in calm and "changed since the submit" not in calm
    kept = orch.layout.root / orch.json("show", "1")["program"]["software"]
    software = json.loads(kept.read_text())
    (line,) = [line for line in software["packages"] if line.startswith("msgspec==")]
    software["packages"] = [one.replace(line, "msgspec==0.0.1") for one in software["packages"]]
    kept.write_text(json.dumps(software))
    found = orch("explain", "1")
    assert f"what its Python has installed changed since the submit: msgspec 0.0.1 → {line[9:]}" in found
    newer = {**orch.environment, "PYTHONPATH": str(another_orch(orch.folder / "newer"))}
    assert "it was submitted by orch " in orch("explain", "1", env=newer)
    assert "3 waiting jobs (the first is 1) were submitted by orch " in orch("status", env=newer)
    orch("supervise", "--until-idle")
    notes = orch.json("table", "--by", "kind", "--metric", "value")["notes"]
    assert "live code, as it was when each job started (--code live): job 3" in notes
    assert "waiting job" not in orch("status", env=newer)


def test_a_cell_of_several_versions_of_torch_says_so(orch: Orch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """By what a result ran with, which may be other than what was there at its submit."""
    script(orch, "train.py", "import json, os\njson.dump({'value': 1}, open(os.environ['ORCH_RESULT'], 'w'))\n")
    site = tmp_path_factory.mktemp("site")
    search = f"{site}{os.pathsep}{orch.environment['PYTHONPATH']}"

    def torch(version: str) -> None:
        shutil.rmtree(site)
        (site / "torch.dist-info").mkdir(parents=True)
        (site / "torch.dist-info/METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")

    def submit(*more: str) -> None:
        environment = {**orch.environment, "PYTHONPATH": search}
        orch("submit", "command", *more, "--", sys.executable, "train.py", "{seed}", env=environment)

    torch("99.1+cpu")
    submit("--seeds", "2", "--wait")
    table = ("table", "--by", "kind", "--metric", "value")
    assert not [note for note in orch.json(*table)["notes"] if "several codes" in note]
    submit("--seeds", "3", "--no-start")
    torch("99.2")
    orch("supervise", "--until-idle")
    (note,) = [note for note in orch.json(*table)["notes"] if "several codes" in note]
    assert re.search(r"jobs 1–2: [^;]* torch 99\.1\+cpu; job 3: [^;]* torch 99\.2\)", note), note
    split = orch.json("table", "--by", "code", "--metric", "value")["rows"]
    assert sorted(row["n"] for row in split) == [1, 2]
    assert orch.json("diff", "1", "3")["differences"]["versions"] == {"torch": ["99.1+cpu", "99.2"]}
    orch.rebuild()
    assert [row["n"] for row in orch.json("table", "--by", "code", "--metric", "value")["rows"]] == [
        row["n"] for row in split
    ]
