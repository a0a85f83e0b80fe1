"""The examples run as their README says: a kind from another package, and a sweep of a plain script."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.helpers.cli import Orch

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_kind_of_another_package_is_submitted_and_tabulated(orch: Orch, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "site"
    shutil.copytree(EXAMPLES / "orch_example", source)  # building leaves files behind
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, capture_output=True)
    orch.environment["PYTHONPATH"] += os.pathsep + str(target)
    orch("submit", "darts", "--seeds", "3", "--set", "darts=3000", "--wait")
    status = orch.json("status")
    assert [job["kind"] for job in status["jobs"]] == ["darts"] * 3
    estimates = [job["metrics"]["pi"] for job in status["jobs"]]
    assert len(set(estimates)) == 3
    assert all(abs(value - math.pi) < 0.3 for value in estimates)
    assert "3000" in orch("table", "--by", "darts", "--metric", "pi,error")


def test_a_sweep_of_a_script_is_one_job_per_point_and_seed(orch: Orch) -> None:
    script = EXAMPLES / "train.py"
    words = ["--", sys.executable, str(script), "--seed", "{seed}", "--lr", "{lr}"]
    orch("submit", "command", "--seeds", "2", "--grid", "lr=0.1,0.01", "--wait", *words)
    rows = orch.json("table", "--by", "lr", "--metric", "loss")["rows"]
    found = {row["by"]["lr"]: row["metrics"]["loss"] for row in rows}
    assert set(found) == {0.1, 0.01}
    assert found[0.1]["mean"] < found[0.01]["mean"]
    assert {row["n"] for row in rows} == {2}


def test_a_study_of_two_stages_ends_in_a_table_and_a_figure(orch: Orch) -> None:
    """`train.py` prints as PyTorch's MNIST example does, and has no line of ours."""
    folder = orch.folder / "digits"
    shutil.copytree(EXAMPLES / "digits", folder)
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace("seeds = 3", "seeds = 2").replace("lr = [0.1, 0.01]", "lr = [0.1]"))
    orch.environment["PATH"] = f"{Path(sys.executable).parent}:{orch.environment['PATH']}"
    orch("submit", "digits/study.toml", "--wait", timeout=200)
    found = {job["id"]: job["metrics"] for job in orch.json("status")["jobs"]}
    assert all(found[job]["test_acc"] > 75 and found[job]["test_loss"] > 0 for job in (1, 2))
    assert all(50 < found[job]["noisy_acc"] < found[job - 2]["test_acc"] for job in (3, 4))
    rows = orch.json("table", "--by", "name", "--metric", "test_acc,noisy_acc")["rows"]
    assert {row["by"]["name"]: row["n"] for row in rows} == {"train": 2, "noise": 2}
    orch("plot", "box", "--x", "lr", "--y", "test_acc", "--out", "box.pdf")
    assert (orch.folder / "box.pdf").read_bytes().startswith(b"%PDF")
    curves = orch("plot", "curves", "--y", "test_loss", "--hue", "lr", "--out", "loss.svg")
    assert curves == "" and (orch.folder / "loss.svg").exists()
