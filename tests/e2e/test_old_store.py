"""A store that orch 0.1.0 left behind opens, tells the same numbers, goes on with what was queued, and is rebuilt."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import old
from tests.helpers.cli import Orch

RANDOM = {
    "architecture": "random",
    "n": 2,
    "expected": 2,
    "test_accuracy": {"mean": 94.50704225352112, "std": 0.9959250439247198},
    "params_m": {"mean": 0.33165, "std": 0.0011087434329005164},
    "shortcuts": {"mean": 14.5, "std": 3.5355339059327378},
}
"""What `orch table --json` of 0.1.0 said of this store."""


@pytest.fixture
def orch(tmp_path: Path) -> Iterator[Orch]:
    here = old.unpack(tmp_path)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = Orch(here, {"PATH": path, "TMPDIR": "/tmp"})  # the long path leaves no room for sockets
    yield command
    command.kill_everything()


def states(orch: Orch) -> dict[int, tuple[str, str | None, int, int]]:
    """Job → state, cause, attempts, executions; of every study."""
    found = {}
    for study in ("default", "cluster", "odd", "waits"):
        for job in json.loads(orch("status", "--study", study, "--json"))["jobs"]:
            found[job["id"]] = (job["state"], job["cause"], job["attempts"], job["executions"])
    return found


def rows(orch: Orch) -> Any:
    found = json.loads(orch("table", "--json"))
    (row,) = found["rows"]
    assert [one["by"] for one in found["programs"]], "the programs of the study stand beside Table 2"
    return {name: row[name] for name in RANDOM}


def accuracies(orch: Orch) -> dict[str, str]:
    """Learning rate → mean accuracy of the commands, as a person types it."""
    orch("table", "--by", "lr", "--metric", "accuracy", "--out", "lr.csv")
    with (orch.folder / "lr.csv").open() as file:
        return {row["lr"]: row["accuracy_mean"] for row in csv.DictReader(file) if row["accuracy_mean"]}


STATES = {
    **dict.fromkeys((1, 2, 3, 4, 5, 6, 8, 9, 10), ("succeeded", "success", 1, 1)),
    7: ("failed", "error", 1, 1),
    11: ("queued", None, 0, 0),
}


def test_it_opens_with_the_same_numbers_and_goes_on(orch: Orch) -> None:
    assert states(orch) == STATES
    assert rows(orch) == RANDOM
    assert accuracies(orch) == {"0.1": "80.7", "0.5": "81.5"}
    assert "no luck" in orch("explain", "7")
    orch("supervise", "--until-idle", code=1)  # job 7 failed long ago
    assert states(orch) == {**STATES, 11: ("succeeded", "success", 1, 1)}


def test_it_is_rebuilt_from_its_folders(orch: Orch) -> None:
    (orch.folder / ".orch" / "orch.db").unlink()
    orch.rebuild()
    assert states(orch) == STATES
    assert rows(orch) == RANDOM
    assert accuracies(orch) == {"0.1": "80.7", "0.5": "81.5"}
