"""Runs that are one run count once: refused at submit, and told where an older store has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.filled import Filled
from tests.helpers.look import Orch


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--grid", "seed=5"], "--seeds or --seed-list gives the seeds"),
        (["--grid", "Seed=5"], "cannot name a parameter 'Seed'"),
        (["--grid", "job=1,2"], "cannot name a parameter 'job'"),
        (["--grid", "gpu_hours=1"], "call it 'gpu_hours_'"),
        (["--grid", "lr=1", "--grid", "device_name=x"], "cannot name a parameter 'device_name'"),
        (["--grid", "lr=0.1,0.10"], "are one number"),
        (["--set", "parameters=x"], "--grid NAME=V1,V2"),
        (["--set", "seed=5"], "no setting 'seed'"),
    ],
)
def test_a_parameter_never_takes_a_name_of_orch(orch: Orch, tmp_path: Path, options: list[str], told: str) -> None:
    command = ("submit", "command", "--seeds", "3", "--no-start", *options, "--", "echo", "{seed}", "{job}")
    assert told in orch(*command).refused()
    assert not (tmp_path / ".orch").exists()


def test_the_command_stands_after_the_dashes(orch: Orch) -> None:
    said = orch("submit", "command", "--set", "argv=x", "--", "echo")
    assert said.code == 2 and "after --" in said.err


def test_an_older_store_shows_them_and_counts_them_once(orch: Orch, filled: Filled, tmp_path: Path) -> None:
    for value in ("5", "6"):
        config = {"argv": ["train", "{seed}"], "parameters": {"seed": value}}
        for job in filled.submit("command", values=config, seeds=range(3), preset="report"):
            filled.dispatch(job)
            filled.epochs(filled.start(job), [{"loss": 0.5 + int(value)}])
    config = {"argv": ["train"], "parameters": {"seed": "5"}}
    for job in filled.submit("command", values=config, seeds=range(3), preset="report"):
        filled.succeed(job, {"loss": 1.0 + job}, edges=[])
    by = ("table", "--by", "kind", "--metric", "loss", "--json")
    found = orch(*by, "--filter", "argv=train").json()["rows"]
    assert [one["n"] for one in found] == [3], "without {seed} in its arguments each seed is a run of its own"
    found = orch("table", "--by", "kind", "--epoch", "last", "--metric", "loss", "--json").json()
    told = [note for note in found["notes"] if "one run" in note]
    assert [note.split(" are ")[0] for note in told] == ["jobs 1–3", "jobs 4–6"]
    assert found["rows"][0]["expected"] == 5 and len(orch("status", "--json").json()["jobs"]) == 9
    assert orch("plot", "curves", "--metric", "loss", "--out", "curves.svg").code == 0
    assert "n = 2" in (tmp_path / "curves.svg").read_text()
