"""`orch archive` as typed: what its README says holds where there is no store, and no secret is in it."""

from __future__ import annotations

import re
import shlex
import subprocess
import zipfile

from tests.helpers.cli import Orch

TRAIN = """
import json, os, sys
lr, seed = float(sys.argv[1]), int(sys.argv[2])
assert os.environ["DEMO_API_TOKEN"] and os.environ["DEMO_KIND"] == "kept"
for epoch in (1, 2):
    print(f"epoch={epoch} acc={80 + 10 * lr + epoch + seed / 7}")
with open(os.environ["ORCH_RESULT"], "w") as out:
    json.dump({"acc": 82 + 10 * lr + seed / 7}, out)
"""
SECRET = "hunter2-and-more"
TRIED = ("tables/statistics.json", "tables/compare.json", "figures/forest.svg", "results.csv", "report/index.html")


def test_a_reviewer_has_all_of_it_in_one_file_without_the_store(orch: Orch) -> None:
    (orch.folder / "orch.toml").write_text('[env]\npass = ["DEMO_*"]\n')
    (orch.folder / "train.py").write_text(TRAIN)
    orch.environment |= {"DEMO_API_TOKEN": SECRET, "DEMO_KIND": "kept"}
    told = ("--metric", "acc=acc=([0-9.]+)", "--metric", "epoch=epoch=([0-9]+)")
    command = ("python3", "train.py", "{lr}", "{seed}")
    orch("submit", "command", "--study", "t2", "--seeds", "2", "--grid", "lr=0.1,0.2", *told, "--wait", "--", *command)
    orch("drop", "2", "--study", "t2", "--because", "diverged")
    orch("archive", "--study", "t2", "--out", "t2.zip", "--license", "CC-BY-4.0")
    again = orch.call("archive", "--study", "t2", "--out", "t2.zip")
    assert again.returncode == 2 and "'t2.zip' is there already" in again.stderr and again.stderr.count("\n") == 1

    for name in (".orch", "orch.toml", "train.py"):  # gone, as for a reviewer
        (orch.folder / name).rename(orch.folder / f"gone-{name}")
    with zipfile.ZipFile(orch.folder / "t2.zip") as file:
        held = {info.filename: file.read(info) for info in file.infolist()}
        file.extractall(orch.folder / "x")
    assert not [name for name, data in held.items() if SECRET.encode() in data]
    assert [data for name, data in held.items() if name.startswith("code/") and name.endswith("/train.py")] == [
        TRAIN.encode()
    ]
    subprocess.run(["sha256sum", "--quiet", "-c", "manifest-sha256.txt"], cwd=orch.folder / "x", check=True)

    readme = held["README.md"].decode()
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| `orch [^`]+` \| `(orch [^`]+)` \|$", readme, re.MULTILINE)
    names = {name for name, _ in rows}
    assert {"tables/table.md", "tables/compare.json", "figures/forest.svg", "results.csv", "report/index.html"} <= names
    for folder in ("tables", "figures"):
        (orch.folder / folder).mkdir()
    for name, typed in [row for row in rows if row[0] in TRIED]:  # all of them: tests/integration/archives
        words = shlex.split(typed.replace("ARCHIVE.zip", "t2.zip"))
        orch(*words[1:])
        assert (orch.folder / name).read_bytes() == held[name], typed

    out = orch("verify", "t2.zip", code=1)
    assert "3 of 4 seeds; 1 dropped" in out and "seed 1 was dropped by hand" in out and "diverged" in out
    shown = orch("show", "1", "--archive", "t2.zip")
    assert "runs/0/1 in t2.zip" in shown and SECRET not in shown
    wrong = orch.call("table", "--archive", "t2.zip", "--study", "default")
    assert wrong.returncode == 2 and "holds the study 't2' alone" in wrong.stderr
    assert not (orch.folder / ".orch").exists() and not list((orch.folder / "tmp").glob("orch-archive-*"))
